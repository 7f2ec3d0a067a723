"""What a strand's steps cost and remembered, as plain numbers. Knows no database."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepMeasure:
    """One step's own numbers.

    Attributes:
        depth: the step.
        memory_words: words of the short-term memory after it.
        seconds: what it took.
        completion_tokens: what all agents wrote for it.
    """

    depth: int
    memory_words: int
    seconds: float
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class SlotTokens:
    """An item that entered a step's prompt, without its text."""

    depth: int
    slot: str
    source: str
    tokens: int


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """How many tokens a step's prompt had, and how many it might have had."""

    depth: int
    tokens: int
    budget: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A step among the others.

    Attributes:
        depth: the step.
        slots: tokens of each slot, in the prompt's order.
        template_tokens: the rest of its prompt, where that is known.
        budget: most tokens that the prompt might have; 0 where it isn't known.
        recalled: the depths that what was recalled comes from.
        memory_words: words of the short-term memory after it.
        seconds: what it took.
        completion_tokens: what all agents wrote for it.
    """

    depth: int
    slots: dict[str, int]
    template_tokens: int
    budget: int
    recalled: tuple[int, ...]
    memory_words: int
    seconds: float
    completion_tokens: int

    @property
    def reach(self) -> int:
        """How many steps back the oldest of what was recalled lies; 0 where nothing was."""
        return self.depth - min(self.recalled, default=self.depth)

    @property
    def tokens_a_second(self) -> float:
        """How fast it was written, everything beside the writing counted in; 0 where nothing was timed."""
        return self.completion_tokens / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where an item of a prompt comes from.

    Attributes:
        kind: ``story``, ``plan``, ``note``, ``step``, ``summary``, ``lore``, ``character``, ``document``, ….
        name: which of them, where the kind alone doesn't tell.
        depth: the step that it belongs to, if it belongs to one.
    """

    kind: str
    name: str = ""
    depth: int | None = None


def source_of(text: str) -> Source:
    """What a slot record's ``source`` says."""
    kind, _, rest = text.partition(":")
    if kind in {"step", "summary", "note"} and (depth := rest.rpartition(":")[2]).isdecimal():
        return Source(kind, depth=int(depth))
    return Source(kind, rest)


def moments(
    steps: Iterable[StepMeasure], slots: Iterable[SlotTokens], prompts: Iterable[PromptTokens]
) -> tuple[Moment, ...]:
    """The steps in their order, with what is known of their prompts."""
    own: dict[int, dict[str, int]] = {}
    recalled: dict[int, list[int]] = {}
    for item in slots:
        tokens = own.setdefault(item.depth, {})
        tokens[item.slot] = tokens.get(item.slot, 0) + item.tokens
        if item.slot == "recall" and (depth := source_of(item.source).depth) is not None:
            recalled.setdefault(item.depth, []).append(depth)
    whole = {prompt.depth: prompt for prompt in prompts}
    return tuple(
        _moment(step, own.get(step.depth, {}), recalled.get(step.depth, []), whole.get(step.depth))
        for step in steps
    )


def _moment(
    step: StepMeasure, slots: dict[str, int], recalled: list[int], prompt: PromptTokens | None
) -> Moment:
    rest = prompt.tokens - sum(slots.values()) if prompt else 0
    return Moment(
        depth=step.depth,
        slots=slots,
        template_tokens=max(0, rest),
        budget=prompt.budget if prompt else 0,
        recalled=tuple(recalled),
        memory_words=step.memory_words,
        seconds=step.seconds,
        completion_tokens=step.completion_tokens,
    )
