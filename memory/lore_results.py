"""What a scan of the lore finds: entries that fired and why, others that did not enter and why not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from storyloom.memory.lore import LoreEntry


class Cause(StrEnum):
    """What made an entry fire."""

    CONSTANT = "constant"
    KEY = "key"
    SEMANTIC = "semantic"
    STICKY = "sticky"  # it fired at an earlier step and stays


class Obstacle(StrEnum):
    """What kept an entry out that had a cause to fire."""

    CHARACTER = "character"  # its character filter
    TRIGGER = "trigger"  # it is for other kinds of generation
    DELAY = "delay"  # the story is too short yet
    COOLDOWN = "cooldown"
    RECURSION = "recursion"  # only other entries' texts name it, or its level of recursion wasn't reached
    PROBABILITY = "probability"
    GROUP = "group"  # another entry of its group fired
    BUDGET = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why an entry fired.

    Attributes:
        cause: what kind of reason it is.
        key: the key that was found, as it stands in the entry.
        secondary: the secondary keys that were found.
        where: where the key was found: ``plan``, ``step:DEPTH``, ``lore:ID`` when another entry's text
            named it, or what else was scanned, such as ``premise``.
        likeness: cosine of its text with the scanned text, where that was its reason.
        since: depth of the step at which a sticky entry fired.
    """

    cause: Cause
    key: str = ""
    secondary: tuple[str, ...] = ()
    where: str = ""
    likeness: float | None = None
    since: int | None = None

    def __str__(self) -> str:
        """The reason in words, as a person reads it in a list."""
        if self.cause is Cause.KEY:
            also = f" with {', '.join(map(repr, self.secondary))}" if self.secondary else ""
            return f"key {self.key!r}{also} in {self.where}"
        if self.cause is Cause.SEMANTIC:
            return f"like the text in meaning ({self.likeness:.2f})"
        if self.cause is Cause.STICKY:
            return f"stays since step {self.since}"
        return "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class FiredLore:
    """An entry that enters the prompt.

    Attributes:
        entry: it, as the book has it.
        text: its content with the names put in; what the prompt gets.
        why: what made it fire.
        tokens: tokens of ``text``.
    """

    entry: LoreEntry
    text: str
    why: Why
    tokens: int

    @property
    def source(self) -> str:
        """The row that the text comes from, as provenance names it."""
        return f"lore:{self.entry.id}"

    @property
    def score(self) -> float | None:
        """The likeness by which it won, where likeness was its reason."""
        return self.why.likeness


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLore:
    """An entry that had a cause to fire and did not enter."""

    entry: LoreEntry
    why: Why
    obstacle: Obstacle


@dataclass(frozen=True, slots=True, kw_only=True)
class LoreProblem:
    """Something wrong with an entry, for a person to mend: such as an expression that takes too long."""

    entry: LoreEntry
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """When an entry with a timed effect fired, and which wording of it: an edited one's effects end."""

    depth: int
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoreState:
    """The firings whose sticky or cooldown isn't over yet, by entry id. It belongs to a step."""

    firings: Mapping[str, Firing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoreScan:
    """What the lore says to one step.

    Attributes:
        fired: what enters, in the order of the prompt: by position, the nearest to the text last.
        held: what had a cause and did not enter, in the book's order.
        problems: what a person should mend.
        state: where the timed effects stand after this step.
    """

    fired: tuple[FiredLore, ...] = ()
    held: tuple[HeldLore, ...] = ()
    problems: tuple[LoreProblem, ...] = ()
    state: LoreState = field(default_factory=LoreState)
