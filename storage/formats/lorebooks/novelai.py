"""NovelAI's lorebooks, and those in its stories and scenarios, with their memory and author's note.

The fields are those of its own exports (docs.novelai.net, "Lorebook").
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import LoreEntry, Position
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import values
from storyloom.storage.formats.lorebooks.entries import (
    LONGEST_CONTENT,
    EntryForm,
    bounded,
    check_size,
    read_entries,
    write_entry,
)

NAME = "novelai"
_VERSION = 5
_SIGNS = {"lorebookVersion", "storyContainerVersion", "scenarioVersion"}
# The story's text has the budget priority 0: what has less is put into it, what has more stands before it.
_INTO_THE_STORY = -400


def is_lorebook(data: Mapping[str, Any]) -> bool:
    """Whether a file's data are a lorebook's, a story's or a scenario's."""
    return not _SIGNS.isdisjoint(data)


def form(disabled: Collection[str] = ()) -> EntryForm:
    """The form of entries, of which those in disabled categories are disabled.

    Args:
        disabled: the categories' ids.
    """

    def read_entry(raw: Mapping[str, Any]) -> LoreEntry:
        config = values.mapping(raw, "contextConfig")
        order = values.whole(config, "budgetPriority", 400, -values.GREATEST)
        place = values.whole(config, "insertionPosition", -1, -values.GREATEST)
        category = raw.get("category")
        shut = isinstance(category, str) and category in disabled
        within = order < 0 and place < 0 and config.get("insertionType", "newline") == "newline"
        return LoreEntry(
            id="",
            name=values.text(raw, "displayName"),
            content=values.text(raw, "text"),
            keys=values.texts(raw, "keys"),
            enabled=values.flag(raw, "enabled", True) and not shut,
            constant=values.flag(raw, "forceActivation", False),
            position=Position.AT_DEPTH if within else Position.BEFORE_CHARACTERS,
            depth=-place - 1 if within else 4,
            order=order,
            exclude_recursion=not values.flag(raw, "nonStoryActivatable", False),
        )

    return EntryForm(NAME, read_entry, plain_entry)


def plain_entry(entry: LoreEntry) -> dict[str, Any]:
    """A value as an entry of a lorebook."""
    within = entry.position is Position.AT_DEPTH
    return {
        "text": entry.content,
        "contextConfig": {
            "prefix": "",
            "suffix": "\n",
            "tokenBudget": 2048,
            "reservedTokens": 0,
            "budgetPriority": _INTO_THE_STORY if within and entry.order >= 0 else entry.order,
            "trimDirection": "trimBottom",
            "insertionType": "newline",
            "maximumTrimType": "sentence",
            "insertionPosition": -entry.depth - 1 if within else -1 if entry.order >= 0 else 0,
        },
        "lastUpdatedAt": 0,
        "displayName": entry.name,
        "keys": list(entry.keys),
        "searchRange": 1000,
        "enabled": entry.enabled,
        "forceActivation": entry.constant,
        "keyRelative": False,
        "nonStoryActivatable": not entry.exclude_recursion,
        "category": "",
        "loreBiasGroups": [],
    }


def read(data: Mapping[str, Any], new_id: Callable[[], str]) -> Lorebook:
    """A file's data as a lorebook; of a story only lorebook, memory and author's note.

    Raises:
        ImportRefused: its entries are no list.
    """
    if "lorebookVersion" in data:
        return _book(data, new_id)
    content = data.get("content") if "storyContainerVersion" in data else data
    content = content if isinstance(content, Mapping) else {}
    found = _book(values.mapping(content, "lorebook"), new_id)
    context = content.get("context")
    parts = (
        [part if isinstance(part, Mapping) else {} for part in context] if isinstance(context, list) else []
    )
    try:
        name = values.text(values.mapping(data, "metadata"), "title") or values.text(data, "title")
        memory, note = (values.text(part, "text") for part in [*parts, {}, {}][:2])
        check_size("name", name)
        check_size("memory", memory, LONGEST_CONTENT)
        check_size("the author's note", note, LONGEST_CONTENT)
    except values.Unreadable as error:
        told = f"Title, memory and author's note were left out: {error}."
        return replace(found, refused=(*found.refused, told))
    return replace(found, name=name, memory=memory, authors_note=note)


def dump(lorebook: Lorebook) -> dict[str, Any]:
    """A lorebook as a .lorebook file's data."""
    kept = values.mapping(lorebook.extensions, NAME)
    form_here = form(_disabled(kept))
    entries: dict[str, dict[str, Any]] = {}
    for entry in lorebook.entries:
        written = write_entry(form_here, entry)
        id = written.get("id")
        if not isinstance(id, str) or not id or id in entries:
            id = str(uuid.uuid5(uuid.NAMESPACE_OID, entry.id))
        entries[id] = {**written, "id": id}
    order = kept.get("order")
    known = [id for id in order if isinstance(id, str)] if isinstance(order, list) else []
    return {
        "lorebookVersion": _VERSION,
        "settings": {"orderByKeyLocations": False},
        "categories": [],
        **kept,
        "entries": list(entries.values()),
        "order": [*known, *(id for id in entries if id not in set(known))],
    }


def _book(data: Mapping[str, Any], new_id: Callable[[], str]) -> Lorebook:
    raws = data.get("entries", [])
    if not isinstance(raws, list):
        raise ImportRefused("The lorebook can't be read: its “entries” are no list.")
    entries, refused = read_entries(form(_disabled(data)), raws, new_id)
    kept, too_large = bounded({name: value for name, value in data.items() if name != "entries"})
    told = tuple(f"The book came without its field {name}: it is too large." for name in too_large)
    extensions = {NAME: kept} if kept else {}
    return Lorebook(format=NAME, entries=entries, refused=(*refused, *told), extensions=extensions)


def _disabled(data: Mapping[str, Any]) -> set[str]:
    categories = data.get("categories")
    return {
        category["id"]
        for category in (categories if isinstance(categories, list) else [])
        if isinstance(category, Mapping)
        and category.get("enabled") is False
        and isinstance(category.get("id"), str)
    }
