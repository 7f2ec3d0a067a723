"""Where things stand in a batch's file, so that every problem is told with its line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from storyloom.memory.errors import InvalidSpec

# The names and places that lead from the file's top to a value: ("stories", 2, "paragraphs").
Where = tuple[str | int, ...]

_MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that can't be taken as it is: where it stands, and what is wrong with it."""

    where: Where
    text: str


@dataclass(frozen=True, slots=True)
class Places:
    """The lines of a file's values.

    Attributes:
        file: the file's name; empty for what came from no file.
        lines: the line of each value, from 1.
    """

    file: str = ""
    lines: Mapping[Where, int] = field(default_factory=dict)

    def refusal(self, problems: Iterable[Problem]) -> InvalidSpec:
        """All problems as one error, a line each, in the file's order; of many the first ones.

        A value that the file doesn't have is told by what it should stand in.
        """
        told = sorted(dict.fromkeys(self._told(problem) for problem in problems))
        lines = [text for _, text in told[:_MOST_TOLD]]
        if len(told) > _MOST_TOLD:
            lines.append(f"and {len(told) - _MOST_TOLD} more.")
        return InvalidSpec("\n".join(lines))

    def _told(self, problem: Problem) -> tuple[int, str]:
        where = problem.where
        while where and self.lines and where not in self.lines:
            where = where[:-1]
        line = self.lines.get(where, 0)
        parts = [f"{self.file}:{line}" if line else self.file, _path(where), problem.text]
        return line, ": ".join(part for part in parts if part)


def _path(where: Where) -> str:
    """The way to a value as people write it: ``stories[2].paragraphs``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
