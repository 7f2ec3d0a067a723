"""The slots of a scene: what could enter a writer's prompt, and what gives way first. Knows no template."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from storyloom.app.agents.scene import Scene
from storyloom.app.profiles import Profile
from storyloom.app.weaving import DEPTH, EDITED, OUTLET
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.lore import CharacterSheet, LoreEntry, Position
from storyloom.memory.lore_macros import with_names
from storyloom.memory.lore_results import FiredLore
from storyloom.memory.weaver import Item, Slot
from storyloom.memory.weaver_strategies import Strategy

NOTE_DEPTH: Final = "note_depth"  # a story's setting
_TOKENS_A_WORD = 1.5
# What is recalled goes first, then the lore that fired, the last paragraphs, memory, and what a person
# gave for every step.
_RECALL, _LORE, _LAST, _MEMORY, _GIVEN = range(5)
_LEAST_SHARE = 0.5  # of what the last paragraphs and memory may hold, while others have more than they need
_MOST_EDITED = 60  # words; a page may be written anew as a whole
_MOST_MEMORY = 0.5  # of the budget; a page pasted by hand may be longer than any context


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How a scene's slots share the prompt.

    Attributes:
        profile: how much of each text the model is given.
        strategy: the story's.
        budget: most tokens of the whole prompt.
    """

    profile: Profile
    strategy: Strategy
    budget: int


def slots_of(scene: Scene, room: Room) -> tuple[Slot, ...]:
    """Every slot of a scene in the order of the default strategy.

    Raises:
        InvalidSetting: the story's ``note_depth`` is no depth.
    """
    story, profile = scene.story, room.profile
    lore = _lore(scene)
    return (
        _fixed("style", story.style),
        _fixed("premise", story.premise),
        _fixed("outline", story.outline if profile.reads_outline else ""),
        _lore_slot("lore_before", lore, _GIVEN),
        _characters(scene),
        _lore_slot("lore_after", lore, _GIVEN),
        _lore_slot("before_note", lore, _LORE),
        _fixed("authors_note", story.authors_note),
        _lore_slot("after_note", lore, _LORE),
        _fixed("chapter", scene.chapter if profile.reads_outline else ""),
        _memory(scene, room),
        _lore_slot("lore", lore, _LORE),
        Slot(
            name="recall",
            items=scene.recalled[: room.strategy.most_recalled],
            priority=_RECALL,
            gives_way="end",
            max_tokens=tokens_of(profile.recalled_words),
        ),
        *(_lore_slot(name, lore, _LORE) for name in sorted(lore, key=_depth) if name.startswith(DEPTH)),
        _last(scene, room),
        _edited(scene),
        Slot(name="plan", items=(Item(text=scene.plan, source="plan"),), gives_way="never"),
        *(_lore_slot(name, lore, _LORE) for name in lore if name.startswith(OUTLET)),
    )


def note_depth(settings: Mapping[str, Any]) -> int | None:
    """How many of the last paragraphs stand after the author's note; None for its place among what stays.

    Raises:
        InvalidSetting: it is no whole number of paragraphs.
    """
    depth = settings.get(NOTE_DEPTH)
    if depth is not None and (type(depth) is not int or depth < 0):
        raise InvalidSetting(
            f"The author's note can't stand at depth {str(depth)[:40]!r}. Set the story's setting "
            f"`{NOTE_DEPTH}` to a number of paragraphs from 0 on, or leave it out."
        )
    return depth


def tokens_of(words: int) -> int:
    """About how many tokens so many words have."""
    return round(words * _TOKENS_A_WORD)


def _fixed(name: str, text: str) -> Slot:
    items = (Item(text=text, source=f"story:{name}"),) if text else ()
    return Slot(name=name, items=items, gives_way="never")


def _memory(scene: Scene, room: Room) -> Slot:
    notes = tuple(
        Item(text=note.text, source=f"note:{note.depth}", pinned=note.pinned)
        for note in scene.memory.notes
        if note.text not in scene.story.premise  # the premise has a slot of its own
    )
    page = tokens_of(room.profile.memory_words)
    return Slot(
        name="memory",
        items=notes,
        priority=_MEMORY,
        gives_way="start",
        min_tokens=round(page * _LEAST_SHARE),
        max_tokens=max(page, round(room.budget * _MOST_MEMORY)),
    )


def _edited(scene: Scene) -> Slot:
    """What a person has just changed of the memory, once more: a small model heeds it before the plan."""
    notes = (note for note in scene.edited if note.text not in scene.story.premise)
    items = tuple(Item(text=note.text, source=f"note:{note.depth}") for note in notes)
    return Slot(
        name=EDITED, items=items, priority=_LORE, gives_way="early_items", max_tokens=tokens_of(_MOST_EDITED)
    )


def _last(scene: Scene, room: Room) -> Slot:
    """The last paragraphs, oldest first: one where a profile shows less than a whole one."""
    profile = room.profile
    most = room.strategy.most_paragraphs or ceil(profile.last_words / profile.paragraph_words)
    paragraphs = [text for text in (*scene.earlier, scene.last) if text][-most:]
    first = scene.depth - len(paragraphs)
    most_tokens = tokens_of(profile.last_words)
    return Slot(
        name="last",
        items=tuple(
            Item(text=text, source=f"step:{depth}") for depth, text in enumerate(paragraphs, start=first)
        ),
        priority=_LAST,
        gives_way="start",
        min_tokens=round(most_tokens * _LEAST_SHARE),
        max_tokens=most_tokens,
    )


def _characters(scene: Scene) -> Slot:
    items = tuple(
        Item(text=text, source=f"character:{sheet.id}", pinned=True)
        for sheet in scene.characters
        if sheet.enabled and (text := _sheet(sheet))
    )
    return Slot(name="characters", items=items, priority=_GIVEN)


def _sheet(sheet: CharacterSheet) -> str:
    name = sheet.nickname or sheet.name
    told = " ".join(part for part in (sheet.description, sheet.personality) if part)
    return f"{name}: {with_names(told, {'char': name})}" if told else ""


def _lore(scene: Scene) -> dict[str, list[FiredLore]]:
    """What fired, by the slot where it stands."""
    placed: dict[str, list[FiredLore]] = {}
    is_note_deep = note_depth(scene.story.settings) is not None
    for fired in scene.lore.fired:
        placed.setdefault(_place(fired.entry, is_note_deep=is_note_deep), []).append(fired)
    return placed


def _place(entry: LoreEntry, *, is_note_deep: bool) -> str:
    """The slot of an entry.

    At a place among what stays from step to step stands only what is constant: an entry that comes and
    goes would change the prompt's beginning, which a model would then read again. It stands in ``lore``.
    """
    if entry.position is Position.AT_DEPTH:
        return f"{DEPTH}{entry.depth}"
    if entry.position is Position.OUTLET:
        return f"{OUTLET}{entry.outlet}"
    if entry.position in {Position.BEFORE_NOTE, Position.AFTER_NOTE}:
        return entry.position.value if entry.constant or is_note_deep else "lore"
    if not entry.constant:
        return "lore"
    return "lore_before" if entry.position is Position.BEFORE_CHARACTERS else "lore_after"


def _lore_slot(name: str, lore: Mapping[str, list[FiredLore]], priority: int) -> Slot:
    items = tuple(
        Item(
            text=fired.text,
            source=fired.source,
            score=fired.score,
            parts={} if fired.score is None else {"likeness": fired.score},
            pinned=fired.entry.constant,
        )
        for fired in lore.get(name, ())
    )
    return Slot(name=name, items=items, priority=priority, gives_way="early_items")


def _depth(name: str) -> int:
    """Deeper slots stand earlier."""
    return -int(name.removeprefix(DEPTH)) if name.startswith(DEPTH) else 0
