"""Progress: what is known of a committed step without its text, and how fast a text grows by it."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# As many steps tell a speed that follows the machine and doesn't jump with every paragraph.
_LATELY = 8


class StepFigures(NamedTuple):
    """A committed step in figures.

    Attributes:
        depth: its place on the story's main strand, from 1.
        words: of its paragraph.
        tokens: that the model wrote for it, all its calls together.
        seconds: that it took.
    """

    depth: int
    words: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Steps that a model wrote before, in sums.

    Attributes:
        words: of their paragraphs.
        prompt_tokens: that the model was given for them.
        completion_tokens: that it wrote for them, all its calls together.
        seconds: that they took.
    """

    words: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class Pace:
    """How fast a text grew lately: the means of its last steps."""

    def __init__(self) -> None:
        self._last: deque[StepFigures] = deque(maxlen=_LATELY)

    def add(self, steps: Iterable[StepFigures]) -> None:
        """Take in what was committed next."""
        self._last.extend(steps)

    @property
    def tokens_per_second(self) -> float | None:
        """None as long as nothing was measured."""
        seconds = self._seconds
        return sum(step.tokens for step in self._last) / seconds if seconds else None

    @property
    def seconds_per_word(self) -> float | None:
        """None as long as nothing was measured."""
        words = sum(step.words for step in self._last)
        return self._seconds / words if words and self._seconds else None

    @property
    def seconds_per_step(self) -> float | None:
        """None as long as nothing was measured."""
        return self._seconds / len(self._last) if self._last and self._seconds else None

    @property
    def _seconds(self) -> float:
        return sum(step.seconds for step in self._last)
