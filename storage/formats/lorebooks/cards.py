"""Character cards: V1, V2 (malfoyslastname/character-card-spec-v2), V3 (kwaroran/character-card-spec-v3)."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from storyloom.memory.errors import ImportRefused, InvalidSetting
from storyloom.memory.lore import CharacterSheet
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import character_book, values
from storyloom.storage.formats.lorebooks.entries import LONGEST_CONTENT, bounded, check_size
from storyloom.storage.formats.lorebooks.leftovers import left_over, restored

NAME = character_book.NAME
SPECS = {"card-v2": ("chara_card_v2", "2.0"), "card-v3": ("chara_card_v3", "3.0")}

_TEXTS = {
    "name": "name",
    "description": "description",
    "personality": "personality",
    "scenario": "scenario",
    "greeting": "first_mes",
    "examples": "mes_example",
    "notes": "creator_notes",
    "system_prompt": "system_prompt",
    "last_instruction": "post_history_instructions",
    "author": "creator",
    "card_version": "character_version",
    "nickname": "nickname",
}
_LISTS = {"greetings": "alternate_greetings", "tags": "tags"}
# A card's outer object repeats V1's fields for programs that know no other.
_REPEATED = {
    "spec",
    "spec_version",
    "name",
    "description",
    "personality",
    "scenario",
    "first_mes",
    "mes_example",
}
_NOT_KEPT = {"character_book", "spec", "spec_version"}
_V1 = _REPEATED - {"spec", "spec_version", "name"}


def is_card(data: Mapping[str, Any]) -> bool:
    """Whether a file's data are a card's, of any version."""
    inner = data.get("data")
    if isinstance(inner, Mapping) and ("name" in inner or str(data.get("spec")).startswith("chara_card")):
        return True
    return "name" in data and "entries" not in data and not _V1.isdisjoint(data)


def read(data: Mapping[str, Any], new_id: Callable[[], str]) -> Lorebook:
    """A card's data as a lorebook with one character; neither it nor its book suffers from a bad other."""
    inner = data.get("data")
    inner = inner if isinstance(inner, Mapping) else data
    outer = {} if inner is data else data
    found = _read_book(inner.get("character_book"), new_id)
    raw = {name: value for name, value in outer.items() if name not in _REPEATED}
    raw["data"] = {name: value for name, value in inner.items() if name not in _NOT_KEPT}
    try:
        sheet, too_large = _read(raw)
    except values.Unreadable as error:
        return replace(found, refused=(f"The character was left out: {error}.", *found.refused))
    told = tuple(f"{sheet.name} came without the card's field {name}: it is too large." for name in too_large)
    return replace(found, characters=(replace(sheet, id=new_id()),), refused=(*told, *found.refused))


def dump(lorebook: Lorebook, version: str) -> dict[str, Any]:
    """A lorebook as a card's data: its first character, with all entries as that one's book.

    Raises:
        InvalidSetting: the lorebook has no character.
    """
    if not lorebook.characters:
        raise InvalidSetting("A card is about a character, and there is none. Export the lore as world info.")
    spec, spec_version = SPECS[version]
    written = _write(lorebook.characters[0])
    data = written["data"]
    book = character_book.dump(lorebook)
    if book != character_book.dump(Lorebook()):
        data["character_book"] = book
    if version == "card-v3":
        data.setdefault("group_only_greetings", [])
    return {**written, "spec": spec, "spec_version": spec_version}


def _read_book(book: Any, new_id: Callable[[], str]) -> Lorebook:
    if not isinstance(book, Mapping):
        return Lorebook(format=NAME)
    try:
        return character_book.read(book, new_id)
    except ImportRefused as error:
        return Lorebook(format=NAME, refused=(str(error),))


def _sheet(raw: Mapping[str, Any]) -> CharacterSheet:
    data = values.mapping(raw, "data")
    found: dict[str, Any] = {ours: values.text(data, name) for ours, name in _TEXTS.items()}
    found |= {ours: values.texts(data, name) for ours, name in _LISTS.items()}
    if not found["name"].strip():
        raise values.Unreadable("it has no name")
    return CharacterSheet(id="", **found)


def _plain(sheet: CharacterSheet) -> dict[str, Any]:
    data: dict[str, Any] = {name: getattr(sheet, ours) for ours, name in _TEXTS.items()}
    data |= {name: list(getattr(sheet, ours)) for ours, name in _LISTS.items()}
    if not sheet.nickname:
        del data["nickname"]
    return {"data": {**data, "extensions": {}}}


def _read(raw: Mapping[str, Any]) -> tuple[CharacterSheet, list[str]]:
    sheet = _sheet(raw)
    for field in fields(sheet):
        check_size(field.name, getattr(sheet, field.name), LONGEST_CONTENT, LONGEST_CONTENT)
    kept = left_over(raw, _plain(sheet))
    inner, too_large = bounded(kept.pop("data", {}))
    outer, also = bounded(kept)
    whole = {**outer, "data": inner} if inner else outer
    return replace(sheet, extensions={NAME: whole} if whole else {}), too_large + also


def _write(sheet: CharacterSheet) -> dict[str, Any]:
    written = _plain(sheet)
    kept = sheet.extensions.get(NAME)
    if not isinstance(kept, Mapping):
        return written
    meaning = _sheet(written)

    def same(trial: Mapping[str, Any]) -> bool:
        try:
            return _sheet(trial) == meaning
        except values.Unreadable:
            return False

    return restored(written, kept, same)
