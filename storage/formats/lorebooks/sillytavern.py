"""SillyTavern's world info: a JSON object whose ``entries`` are keyed by a number, or a list of them.

Fields and defaults are those of its documentation ("World Info", docs.sillytavern.app) and of the files it
writes. Characters and the texts of a story have no place in it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import Logic, LoreEntry, Position
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import book_settings, decorators, values
from storyloom.storage.formats.lorebooks.entries import EntryForm, read_entries, write_entry

NAME = "sillytavern"
Option = TypeVar("Option")

LOGICS = (Logic.AND_ANY, Logic.NOT_ALL, Logic.NOT_ANY, Logic.AND_ALL)
POSITIONS = (
    Position.BEFORE_CHARACTERS,
    Position.AFTER_CHARACTERS,
    Position.BEFORE_NOTE,
    Position.AFTER_NOTE,
    Position.AT_DEPTH,
    Position.BEFORE_EXAMPLES,
    Position.AFTER_EXAMPLES,
    Position.OUTLET,
)
ROLES = ("system", "user", "assistant")
SCANS = {
    "matchPersonaDescription": "persona",
    "matchCharacterDescription": "characters",
    "matchCharacterPersonality": "personality",
    "matchScenario": "scenario",
    "matchCreatorNotes": "notes",
}


def read_entry(raw: Mapping[str, Any]) -> LoreEntry:
    """An entry of world info as a value.

    Raises:
        Unreadable: a field's meaning isn't plain.
    """
    raw = decorators.split(raw)
    who = values.mapping(raw, "characterFilter")
    entry = LoreEntry(
        id="",
        name=values.text(raw, "comment"),
        content=values.text(raw, "content"),
        keys=values.keys(raw, "key"),
        secondary_keys=values.keys(raw, "keysecondary") if values.flag(raw, "selective", True) else (),
        logic=chosen(raw, "selectiveLogic", LOGICS),
        enabled=not values.flag(raw, "disable", False),
        constant=values.flag(raw, "constant", False),
        semantic=values.flag(raw, "vectorized", False),
        case_sensitive=values.maybe_flag(raw, "caseSensitive"),
        whole_words=values.maybe_flag(raw, "matchWholeWords"),
        position=position(raw),
        depth=values.whole(raw, "depth", 4),
        role=chosen(raw, "role", ROLES),
        outlet=values.text(raw, "outletName"),
        order=values.whole(raw, "order", 100, -values.GREATEST),
        probability=probability(raw),
        groups=groups(raw),
        group_weight=values.whole(raw, "groupWeight", 100),
        group_override=values.flag(raw, "groupOverride", False),
        group_scoring=values.maybe_flag(raw, "useGroupScoring"),
        scan_depth=values.maybe_whole(raw, "scanDepth"),
        ignore_budget=values.flag(raw, "ignoreBudget", False),
        exclude_recursion=values.flag(raw, "excludeRecursion", False),
        prevent_recursion=values.flag(raw, "preventRecursion", False),
        delay_until_recursion=values.whole(raw, "delayUntilRecursion", 0),
        sticky=values.whole(raw, "sticky", 0),
        cooldown=values.whole(raw, "cooldown", 0),
        delay=values.whole(raw, "delay", 0),
        scans=tuple(scan for name, scan in SCANS.items() if values.flag(raw, name, False)),
        characters=values.texts(who, "names"),
        without_characters=values.flag(who, "isExclude", False),
        triggers=values.texts(raw, "triggers"),
    )
    return decorators.applied(entry, values.mapping(raw, decorators.FIELD))


def plain_entry(entry: LoreEntry) -> dict[str, Any]:
    """A value as an entry of world info; all fields are there."""
    return {
        "key": list(entry.keys),
        "keysecondary": list(entry.secondary_keys),
        "comment": entry.name,
        "content": entry.content,
        "constant": entry.constant,
        "vectorized": entry.semantic,
        "selective": True,
        "selectiveLogic": LOGICS.index(entry.logic),
        "addMemo": bool(entry.name),
        "order": entry.order,
        "position": POSITIONS.index(entry.position),
        "disable": not entry.enabled,
        "ignoreBudget": entry.ignore_budget,
        "excludeRecursion": entry.exclude_recursion,
        "preventRecursion": entry.prevent_recursion,
        **{name: scan in entry.scans for name, scan in SCANS.items()},
        "matchCharacterDepthPrompt": False,
        "delayUntilRecursion": entry.delay_until_recursion,
        "probability": values.plain(entry.probability),
        "useProbability": True,
        "depth": entry.depth,
        "outletName": entry.outlet,
        "group": ",".join(entry.groups),
        "groupOverride": entry.group_override,
        "groupWeight": entry.group_weight,
        "scanDepth": entry.scan_depth,
        "caseSensitive": entry.case_sensitive,
        "matchWholeWords": entry.whole_words,
        "useGroupScoring": entry.group_scoring,
        "automationId": "",
        "role": ROLES.index(entry.role),
        "sticky": entry.sticky or None,
        "cooldown": entry.cooldown or None,
        "delay": entry.delay or None,
        "triggers": list(entry.triggers),
        "characterFilter": {
            "isExclude": entry.without_characters,
            "names": list(entry.characters),
            "tags": [],
        },
        decorators.FIELD: {},
    }


FORM = EntryForm(NAME, read_entry, plain_entry)


def read(data: Mapping[str, Any], new_id: Callable[[], str]) -> Lorebook:
    """A world info file's data as a lorebook.

    Raises:
        ImportRefused: its ``entries`` are neither an object nor a list.
    """
    raws = data.get("entries")
    if isinstance(raws, Mapping):
        raws = list(raws.values())
    elif not isinstance(raws, list):
        raise ImportRefused("The file is no world info: its “entries” are neither an object nor a list.")
    entries, refused = read_entries(FORM, map(decorators.split, raws), new_id)
    return book_settings.with_book(
        Lorebook(format=NAME, entries=entries, refused=refused),
        data,
        NAME,
        without=("entries", "originalData"),
    )


def dump(lorebook: Lorebook) -> dict[str, Any]:
    """A lorebook as a world info file's data."""
    written = [write_entry(FORM, entry) for entry in lorebook.entries]
    numbered = zip(numbers(written, "uid"), written, strict=True)
    return {
        "entries": {
            str(uid): decorators.joined({"displayIndex": place, **raw, "uid": uid})
            for place, (uid, raw) in enumerate(numbered)
        },
        **book_settings.book_fields(lorebook, NAME),
    }


def numbers(written: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    """A number for each entry: its own where it has one that no other took, else the smallest free one."""
    own = {_number(raw.get(name)) for raw in written}
    free = (number for number in range(len(written) + len(own)) if number not in own)
    given: dict[int, None] = {}  # in order
    for raw in written:
        number = _number(raw.get(name))
        given[next(free) if number is None or number in given else number] = None
    return list(given)


def chosen(raw: Mapping[str, Any], name: str, options: Sequence[Option]) -> Option:
    """The option that a number names, the first by default.

    Raises:
        Unreadable: there is no option of that number.
    """
    place = values.whole(raw, name, 0, -1)
    if not 0 <= place < len(options):
        raise values.Unreadable(f"{name} must be a number from 0 to {len(options) - 1}")
    return options[place]


def position(raw: Mapping[str, Any]) -> Position:
    """Where the text stands: by its number, or by a card's word for it.

    Raises:
        Unreadable: there is no such place.
    """
    if raw.get("position") == "before_char":
        return Position.BEFORE_CHARACTERS
    if raw.get("position") == "after_char":
        return Position.AFTER_CHARACTERS
    return chosen(raw, "position", POSITIONS)


def probability(raw: Mapping[str, Any]) -> float:
    """The chance in percent; 100 where it isn't used."""
    used = values.flag(raw, "useProbability", True)
    found = values.number(raw, "probability", 100.0, 0.0, 100.0)
    return found if used else 100.0


def groups(raw: Mapping[str, Any], name: str = "group") -> tuple[str, ...]:
    """The names of the groups, with commas between them in the file."""
    parts = values.text(raw, name).split(",")
    return tuple(part.strip() for part in parts if part.strip())


def _number(value: Any) -> int | None:
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= values.GREATEST
    return value if known else None
