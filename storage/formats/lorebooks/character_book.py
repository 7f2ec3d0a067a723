"""The lorebook inside a character card, and the same alone in a file (Character Card V2 and V3).

SillyTavern keeps the fields that the specification lacks in each entry's ``extensions``, by names of its own;
they are read and written there, so that nothing is lost on the way through a card.
"""

from collections.abc import Callable, Mapping
from typing import Any

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import LoreEntry, Position
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import book_settings, decorators, sillytavern, values
from storyloom.storage.formats.lorebooks.entries import EntryForm, read_entries, write_entry

NAME = "card"

# In an entry's extensions, and in SillyTavern's world info.
_EXTRAS = {
    "position": "position",
    "depth": "depth",
    "role": "role",
    "selectiveLogic": "selectiveLogic",
    "probability": "probability",
    "useProbability": "useProbability",
    "vectorized": "vectorized",
    "outlet_name": "outletName",
    "group": "group",
    "group_override": "groupOverride",
    "group_weight": "groupWeight",
    "use_group_scoring": "useGroupScoring",
    "scan_depth": "scanDepth",
    "case_sensitive": "caseSensitive",
    "match_whole_words": "matchWholeWords",
    "ignore_budget": "ignoreBudget",
    "exclude_recursion": "excludeRecursion",
    "prevent_recursion": "preventRecursion",
    "delay_until_recursion": "delayUntilRecursion",
    "sticky": "sticky",
    "cooldown": "cooldown",
    "delay": "delay",
    "match_persona_description": "matchPersonaDescription",
    "match_character_description": "matchCharacterDescription",
    "match_character_personality": "matchCharacterPersonality",
    "match_character_depth_prompt": "matchCharacterDepthPrompt",
    "match_scenario": "matchScenario",
    "match_creator_notes": "matchCreatorNotes",
    "automation_id": "automationId",
    "triggers": "triggers",
    "character_filter": "characterFilter",
}
_PATTERN = values.PATTERN


def read_entry(raw: Mapping[str, Any]) -> LoreEntry:
    """An entry of a card's book as a value.

    Raises:
        Unreadable: a field's meaning isn't plain.
    """
    extras = values.mapping(raw, "extensions")
    return sillytavern.read_entry(
        {
            "key": _keys(raw, extras),
            "keysecondary": raw.get("secondary_keys"),
            "selective": values.flag(raw, "selective", False),
            "comment": raw.get("comment") or raw.get("name"),
            "content": raw.get("content"),
            "constant": raw.get("constant"),
            "order": raw.get("insertion_order"),
            "disable": not values.flag(raw, "enabled", True),
            "position": "after_char" if raw.get("position") in (None, "") else raw["position"],
            "caseSensitive": raw.get("case_sensitive"),
            decorators.FIELD: raw.get(decorators.FIELD),
        }
        | {ours: extras[name] for name, ours in _EXTRAS.items() if extras.get(name) is not None}
    )


def plain_entry(entry: LoreEntry) -> dict[str, Any]:
    """A value as an entry of a card's book."""
    world = sillytavern.plain_entry(entry)
    extras = {name: world[ours] for name, ours in _EXTRAS.items()}
    if not entry.characters and not entry.without_characters:
        del extras["character_filter"]  # SillyTavern has none in a card
    written = {
        "keys": world["key"],
        "secondary_keys": world["keysecondary"],
        "selective": bool(entry.secondary_keys),
        "name": entry.name,
        "comment": entry.name,
        "content": entry.content,
        "constant": entry.constant,
        "insertion_order": entry.order,
        "enabled": entry.enabled,
        "position": "before_char" if entry.position is Position.BEFORE_CHARACTERS else "after_char",
        "use_regex": bool(entry.keys) and all(_PATTERN.fullmatch(key) for key in entry.keys),
        "extensions": extras,
        decorators.FIELD: {},
    }
    if entry.case_sensitive is not None:
        written["case_sensitive"] = entry.case_sensitive
    return written


FORM = EntryForm(NAME, read_entry, plain_entry)


def read(book: Mapping[str, Any], new_id: Callable[[], str]) -> Lorebook:
    """A book's data as a lorebook.

    Raises:
        ImportRefused: its ``entries`` are neither a list nor an object.
    """
    raws = book.get("entries", [])
    if isinstance(raws, Mapping):
        raws = list(raws.values())
    if not isinstance(raws, list):
        raise ImportRefused("The card's book can't be read: its “entries” are no list.")
    entries, refused = read_entries(FORM, map(decorators.split, raws), new_id)
    found = Lorebook(format=NAME, entries=entries, refused=refused)
    return book_settings.with_book(found, book, NAME, without=("entries",))


def dump(lorebook: Lorebook) -> dict[str, Any]:
    """A lorebook as the data of a card's book."""
    written = [write_entry(FORM, entry) for entry in lorebook.entries]
    ids = sillytavern.numbers(written, "id")
    return {
        "extensions": {},
        **book_settings.book_fields(lorebook, NAME),
        "entries": [decorators.joined({**raw, "id": id}) for raw, id in zip(written, ids, strict=True)],
    }


def _keys(raw: Mapping[str, Any], extras: Mapping[str, Any]) -> list[str]:
    """The keys, as patterns between slashes where the card says that they are patterns.

    SillyTavern says so of every entry, and means that a key may be one: its entries are known by its fields.
    """
    found = values.keys(raw, "keys")
    if not values.flag(raw, "use_regex", False) or "selectiveLogic" in extras:
        return list(found)
    flags = "" if values.flag(raw, "case_sensitive", False) else "i"
    return [key if _PATTERN.fullmatch(key) else f"/{_escaped(key)}/{flags}" for key in found]


def _escaped(pattern: str) -> str:
    """A pattern whose slashes don't end it."""
    return values.SLASH.sub(r"\\/", pattern)
