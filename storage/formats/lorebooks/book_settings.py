"""What a file says of its book as a whole: name, scan depth, token budget, recursion.

World info and the books inside cards name these alike (Character Card V2, "CharacterBook").
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from storyloom.memory.lore import LoreSettings
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import values
from storyloom.storage.formats.lorebooks.entries import bounded, check_size
from storyloom.storage.formats.lorebooks.leftovers import left_over, restored

_FIELDS = ("scan_depth", "token_budget", "recursive_scanning")


def with_book(lorebook: Lorebook, raw: Mapping[str, Any], form: str, without: Collection[str]) -> Lorebook:
    """The lorebook with the name, settings and other fields of its file.

    Args:
        lorebook: what was read so far.
        raw: the object that has the entries in it.
        form: under which name its other fields are kept.
        without: fields that are not kept.
    """
    try:
        name, settings = _read(raw)
        check_size("name", name)
    except values.Unreadable as error:
        told = f"The book's own settings were left out: {error}."
        return replace(lorebook, refused=(*lorebook.refused, told))
    found = replace(lorebook, name=name or lorebook.name, settings=settings)
    rest = {field: value for field, value in raw.items() if field not in without}
    kept, too_large = bounded(left_over(rest, _written(found)))
    told_large = tuple(f"The book came without its field {field}: it is too large." for field in too_large)
    extensions = {**found.extensions, form: kept} if kept else found.extensions
    return replace(found, extensions=extensions, refused=(*found.refused, *told_large))


def book_fields(lorebook: Lorebook, form: str) -> dict[str, Any]:
    """The book's name, settings and kept fields, as its file has them."""
    written = _written(lorebook)
    kept = lorebook.extensions.get(form)
    if not isinstance(kept, Mapping):
        return written

    def same(trial: Mapping[str, Any]) -> bool:
        try:
            return _read(trial) == _read(written)
        except values.Unreadable:
            return False

    return restored(written, kept, same)


def read_back(lorebook: Lorebook) -> LoreSettings | None:
    """The settings as a file has them."""
    return _read(_written(lorebook))[1]


def _read(raw: Mapping[str, Any]) -> tuple[str, LoreSettings | None]:
    name = values.text(raw, "name")
    if all(raw.get(field) is None for field in _FIELDS):
        return name, None
    default = LoreSettings()
    return name, LoreSettings(
        scan_depth=values.whole(raw, "scan_depth", default.scan_depth),
        budget_cap=values.whole(raw, "token_budget", default.budget_cap),
        recursive=values.flag(raw, "recursive_scanning", default.recursive),
    )


def _written(lorebook: Lorebook) -> dict[str, Any]:
    written: dict[str, Any] = {"name": lorebook.name} if lorebook.name else {}
    if lorebook.settings is not None:
        written["scan_depth"] = lorebook.settings.scan_depth
        if lorebook.settings.budget_cap:
            written["token_budget"] = lorebook.settings.budget_cap
        written["recursive_scanning"] = lorebook.settings.recursive
    return written
