"""Entries of any form to values and back: each for itself, so that one bad entry costs only itself."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from storyloom.memory.lore import LoreEntry
from storyloom.storage.formats.lorebooks.leftovers import left_over, restored
from storyloom.storage.formats.lorebooks.values import Unreadable

MOST_ENTRIES = 20_000
LONGEST_CONTENT = 200_000
LONGEST_FIELD = 10_000
MOST_ITEMS = 1_000
LONGEST_KEY = 2_000
LARGEST_KEPT = 2**20


@dataclass(frozen=True, slots=True)
class EntryForm:
    """One program's form of an entry.

    Attributes:
        name: under which an entry's ``extensions`` keep what only this form has.
        read: an entry's fields as a value without id and extensions; raises Unreadable.
        write: a value as the form's fields; reads nothing of id and extensions.
    """

    name: str
    read: Callable[[Mapping[str, Any]], LoreEntry]
    write: Callable[[LoreEntry], dict[str, Any]]


def read_entries(
    form: EntryForm, raws: Iterable[Any], new_id: Callable[[], str]
) -> tuple[tuple[LoreEntry, ...], tuple[str, ...]]:
    """The entries that can be read, and why others or parts of them can't, a sentence each."""
    entries: list[LoreEntry] = []
    refused: list[str] = []
    beyond = 0
    for place, raw in enumerate(raws, start=1):
        if place > MOST_ENTRIES:
            beyond += 1
            continue
        try:
            entry = _read(form, raw)
        except Unreadable as error:
            refused.append(f"Entry {place}{_label(raw)} was left out: {error}.")
            continue
        kept, too_large = bounded(entry.extensions.get(form.name, {}))
        refused += (
            f"Entry {place}{_label(raw)} came without its field {name}: it is too large."
            for name in too_large
        )
        entries.append(replace(entry, id=new_id(), extensions={form.name: kept} if kept else {}))
    if beyond:
        refused.append(f"The last {beyond:,} entries were left out: at most {MOST_ENTRIES:,} are taken.")
    return tuple(entries), tuple(refused)


def write_entry(form: EntryForm, entry: LoreEntry) -> dict[str, Any]:
    """An entry in a form's fields, with what the form alone had put back where it still holds."""
    written = form.write(entry)
    kept = entry.extensions.get(form.name)
    if not isinstance(kept, Mapping):
        return written
    meaning = form.read(written)

    def same(trial: Mapping[str, Any]) -> bool:
        try:
            return form.read(trial) == meaning
        except Unreadable:
            return False

    return restored(written, kept, same)


def bounded(kept: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields small enough to keep, and the names of the others."""
    sizes = {name: len(json.dumps(value)) for name, value in kept.items()}
    too_large = [name for name, size in sizes.items() if size > LARGEST_KEPT]
    return {name: value for name, value in kept.items() if name not in too_large}, too_large


def _read(form: EntryForm, raw: Any) -> LoreEntry:
    if not isinstance(raw, Mapping):
        raise Unreadable("it is no object")
    entry = form.read(raw)
    for field in fields(entry):
        longest = LONGEST_CONTENT if field.name == "content" else LONGEST_FIELD
        check_size(field.name, getattr(entry, field.name), longest)
    return replace(entry, extensions={form.name: left_over(raw, form.write(entry))})


def check_size(
    name: str, value: object, longest: int = LONGEST_FIELD, longest_item: int = LONGEST_KEY
) -> None:
    """Check a field's length: that of a text, or of a list and its items.

    Raises:
        Unreadable: it is too long to be meant.
    """
    if isinstance(value, str) and len(value) > longest:
        raise Unreadable(f"{name} has {len(value):,} characters, and at most {longest:,} are taken")
    if isinstance(value, tuple):
        if len(value) > MOST_ITEMS:
            raise Unreadable(f"{name} has {len(value):,} items, and at most {MOST_ITEMS:,} are taken")
        if any(len(item) > longest_item for item in value):
            raise Unreadable(f"{name} has an item of more than {longest_item:,} characters")


def _label(raw: Any) -> str:
    """What a person may know the entry by."""
    if isinstance(raw, Mapping):
        for field in ("comment", "displayName", "name", "key", "keys"):
            value = raw.get(field)
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, str) and first.strip():
                return f" (“{first.strip()[:60]}”)"
    return ""
