"""KoboldAI's saves (United's and Lite's too): their world info, memory and author's note. Only read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import Logic, LoreEntry
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import values
from storyloom.storage.formats.lorebooks.entries import LONGEST_CONTENT, EntryForm, check_size, read_entries

NAME = "koboldai"
_SIGNS = {"worldinfo", "worldinfo_v2", "gamestarted"}


def is_save(data: Mapping[str, Any]) -> bool:
    """Whether a file's data are a save's, or United's world info alone."""
    return not _SIGNS.isdisjoint(data) or {"folders", "entries"} <= data.keys()


def read_entry(raw: Mapping[str, Any]) -> LoreEntry:
    """An entry of world info as a value.

    Raises:
        Unreadable: a field's meaning isn't plain.
    """
    secondary = values.keys(raw, "keysecondary") if values.flag(raw, "selective", False) else ()
    against = values.keys(raw, "keyanti")
    return LoreEntry(
        id="",
        name=values.text(raw, "comment") or values.text(raw, "title"),
        content=values.text(raw, "content"),
        keys=values.keys(raw, "key"),
        secondary_keys=secondary or against,
        logic=Logic.AND_ANY if secondary or not against else Logic.NOT_ANY,
        enabled=not values.flag(raw, "widisabled", False),
        constant=values.flag(raw, "constant", False),
        probability=values.number(raw, "probability", 100.0, 0.0, 100.0),
    )


def plain_entry(entry: LoreEntry) -> dict[str, Any]:
    """A value as an entry of world info."""
    against = entry.logic is Logic.NOT_ANY
    return {
        "key": ",".join(entry.keys),
        "keysecondary": "" if against else ",".join(entry.secondary_keys),
        "keyanti": ",".join(entry.secondary_keys) if against else "",
        "content": entry.content,
        "comment": entry.name,
        "selective": bool(entry.secondary_keys) and not against,
        "constant": entry.constant,
        "probability": values.plain(entry.probability),
        "widisabled": not entry.enabled,
    }


FORM = EntryForm(NAME, read_entry, plain_entry)


def read(data: Mapping[str, Any], new_id: Callable[[], str]) -> Lorebook:
    """A save's data as a lorebook; its story is not part of it.

    Raises:
        ImportRefused: its world info is no list and no object.
    """
    raws = (
        data if {"folders", "entries"} <= data.keys() else data.get("worldinfo_v2") or data.get("worldinfo")
    )
    if isinstance(raws, Mapping):
        raws = raws.get("entries")
    if isinstance(raws, Mapping):
        raws = list(raws.values())
    if raws is not None and not isinstance(raws, list):
        raise ImportRefused("The save's world info can't be read: it is no list of entries.")
    entries, refused = read_entries(FORM, [raw for raw in raws or [] if not _is_blank(raw)], new_id)
    found = Lorebook(format=NAME, entries=entries, refused=refused)
    try:
        memory = values.text(data, "memory")
        note = values.text(data, "authorsnote") or values.text(data, "authornote")
        check_size("memory", memory, LONGEST_CONTENT)
        check_size("the author's note", note, LONGEST_CONTENT)
    except values.Unreadable as error:
        return replace(found, refused=(*refused, f"Memory and author's note were left out: {error}."))
    return replace(found, memory=memory, authors_note=note)


def _is_blank(raw: Any) -> bool:
    """Whether it is the empty row that KoboldAI keeps for a new entry."""
    return isinstance(raw, Mapping) and raw.get("init") is False and not raw.get("content")
