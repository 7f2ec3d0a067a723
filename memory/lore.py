"""Lore: what SillyTavern calls world info and NovelAI a lorebook, and the sheets of characters. Plain values.

The fields and their meaning are SillyTavern's (docs.sillytavern.app, "World Info"), by names of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Logic(StrEnum):
    """What the secondary keys must do, once a primary key was found, for an entry to fire."""

    AND_ANY = "and_any"
    AND_ALL = "and_all"
    NOT_ANY = "not_any"
    NOT_ALL = "not_all"


class Position(StrEnum):
    """Where in the prompt an entry's text stands."""

    BEFORE_CHARACTERS = "before_characters"
    AFTER_CHARACTERS = "after_characters"
    BEFORE_EXAMPLES = "before_examples"
    AFTER_EXAMPLES = "after_examples"
    BEFORE_NOTE = "before_note"  # the author's note
    AFTER_NOTE = "after_note"
    AT_DEPTH = "at_depth"  # so many paragraphs before the end of the story so far
    OUTLET = "outlet"  # only where a template names it


@dataclass(frozen=True, slots=True, kw_only=True)
class LoreEntry:
    """Something to know about the story's world, and when the writer is told.

    Attributes:
        id: unique in the database.
        name: what a person calls it; never part of the prompt.
        content: the text that enters the prompt.
        keys: any of them in the scanned text fires the entry; ``/pattern/flags`` is a regular expression.
        secondary_keys: further keys, which count as ``logic`` says.
        logic: how they count.
        enabled: whether it can fire at all.
        constant: it fires at every step, without a key.
        semantic: it fires too when the scanned text is like it in meaning.
        case_sensitive: whether letter case counts; None takes the book's setting.
        whole_words: whether a key must be a whole word; None takes the book's setting.
        position: where its text stands.
        depth: for ``AT_DEPTH``, how many paragraphs stand after it; 0 is nearest to the new one.
        role: who says it at a depth: ``system``, ``user`` or ``assistant``.
        outlet: for ``OUTLET``, the name that a template asks for.
        order: where several stand at one place, the highest stands last, nearest to the text.
        probability: chance of firing in percent, drawn from the step's seed.
        groups: of the entries of one group that would fire, one does.
        group_weight: its share of the draw in a group.
        group_override: in a group it wins by its order, without a draw.
        group_scoring: the entry with most keys found wins the group; None takes the book's setting.
        scan_depth: how many of the last paragraphs are scanned; None takes the book's setting.
        ignore_budget: it enters even when the lore's budget is used up.
        exclude_recursion: other entries' texts can't fire it.
        prevent_recursion: its text can't fire others.
        delay_until_recursion: 0, or the level of recursion from which on it can fire.
        sticky: for how many further steps it stays once it fired.
        cooldown: for how many steps it can't fire again afterwards.
        delay: before how many steps there are it can't fire.
        scans: what else is scanned for its keys, beside the text: ``premise``, ``characters``, ``scenario``,
            ``personality``, ``persona``, ``notes``.
        characters: names of the characters whose presence it needs; empty: any.
        without_characters: with those names it needs their absence instead.
        triggers: kinds of generation for which it may fire (SillyTavern's names); empty: all.
        extensions: fields of the file that it came from which mean nothing here, kept for its export.
    """

    id: str
    name: str = ""
    content: str = ""
    keys: tuple[str, ...] = ()
    secondary_keys: tuple[str, ...] = ()
    logic: Logic = Logic.AND_ANY
    enabled: bool = True
    constant: bool = False
    semantic: bool = False
    case_sensitive: bool | None = None
    whole_words: bool | None = None
    position: Position = Position.BEFORE_CHARACTERS
    depth: int = 4
    role: str = "system"
    outlet: str = ""
    order: int = 100
    probability: float = 100.0
    groups: tuple[str, ...] = ()
    group_weight: int = 100
    group_override: bool = False
    group_scoring: bool | None = None
    scan_depth: int | None = None
    ignore_budget: bool = False
    exclude_recursion: bool = False
    prevent_recursion: bool = False
    delay_until_recursion: int = 0
    sticky: int = 0
    cooldown: int = 0
    delay: int = 0
    scans: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()
    without_characters: bool = False
    triggers: tuple[str, ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)


def label(entry: LoreEntry) -> str:
    """What a list calls an entry: its name, or else its first key or its id."""
    return entry.name or next(iter(entry.keys), entry.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoreSettings:
    """A story's settings of its lore; what an entry leaves open is taken from here.

    Attributes:
        scan_depth: how many of the last paragraphs are scanned; the plan always is.
        budget: most tokens of all lore together, as a share of the prompt, 0 to 1.
        budget_cap: most tokens in any case; 0: no such bound.
        recursive: whether a fired entry's text may fire others.
        max_recursion: most rounds of that; 0: until nothing new fires.
        min_activations: look further back, up to ``max_scan_depth``, until so many entries fired.
        max_scan_depth: how far that goes; 0: to the beginning.
        case_sensitive: whether letter case counts.
        whole_words: whether a key must be a whole word.
        group_scoring: whether the keys found decide in a group.
        likeness: from which likeness on (cosine, 0 to 1) a semantic entry fires.
        user: what the macro ``{{user}}`` stands for; ``{{char}}`` is the first character's name.
    """

    scan_depth: int = 2
    budget: float = 0.25
    budget_cap: int = 0
    recursive: bool = True
    max_recursion: int = 0
    min_activations: int = 0
    max_scan_depth: int = 0
    case_sensitive: bool = False
    whole_words: bool = True
    group_scoring: bool = False
    likeness: float = 0.5
    user: str = "you"


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacterSheet:
    """Who somebody is. The fields are a character card's (V2 and V3), by names of their own.

    Attributes:
        id: unique in the database.
        name: the character's name, as the story uses it.
        description: looks, history, whatever a writer must know; the part that enters the prompt first.
        personality: manner and temper.
        scenario: the situation in which a story with this character begins.
        greeting: a first paragraph that the card suggests.
        greetings: other first paragraphs.
        examples: how the character talks.
        notes: the card's author to its user; never part of the prompt.
        system_prompt: the card's own instruction to the writer.
        last_instruction: the card's instruction right before the text.
        nickname: what the character is called instead of ``name``.
        tags: for sorting.
        author: who made the card.
        card_version: the card's own version.
        enabled: whether it enters prompts.
        extensions: the card's other fields, kept for its export.
    """

    id: str
    name: str
    description: str = ""
    personality: str = ""
    scenario: str = ""
    greeting: str = ""
    greetings: tuple[str, ...] = ()
    examples: str = ""
    notes: str = ""
    system_prompt: str = ""
    last_instruction: str = ""
    nickname: str = ""
    tags: tuple[str, ...] = ()
    author: str = ""
    card_version: str = ""
    enabled: bool = True
    extensions: Mapping[str, Any] = field(default_factory=dict)
