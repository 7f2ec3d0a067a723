"""The loss of every step, a line each, and a picture of it."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from storyloom.generators.longcontext.charts import line_chart
from storyloom.memory.errors import ModelUnavailable

logger = logging.getLogger(__name__)

_NAME, _PICTURE = "loss.jsonl", "loss.svg"
_SMOOTH = 20  # steps that the drawn mean reaches over


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One step.

    Attributes:
        step: its number, from 1.
        tokens: read since the beginning, this step's included.
        length: tokens of its segment.
        loss: in nats a token.
        rate: what the learning rates were multiplied by.
        seconds: what it took.
        needles: whether it read texts with hidden keys, so that its loss is of a key alone.
    """

    step: int
    tokens: int
    length: int
    loss: float
    rate: float
    seconds: float
    needles: bool = False


class Log:
    """Lines in a file, which end where the checkpoint is when a training goes on.

    Args:
        folder: that they are in.
        steps: how many are known; later ones, of a slice that broke off, are dropped.
    """

    def __init__(self, folder: Path, steps: int):
        self.path, self.picture = folder / _NAME, folder / _PICTURE
        self.lines = [line for line in self._read() if line.step <= steps]
        self._write(self.path, "".join(map(_line, self.lines)))

    def add(self, logged: Logged) -> None:
        """Write a line."""
        self.lines.append(logged)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(logged))

    def draw(self) -> None:
        """Draw the loss against the tokens read; where the package for it is missing, say so."""
        books = [line for line in self.lines if not line.needles]
        lines = {"step": _points(books), f"mean of {_SMOOTH} steps": _means(books)}
        needles = [line for line in self.lines if line.needles]
        if needles:
            lines["hidden keys, mean"] = _means(needles)
        try:
            self._write(self.picture, line_chart("Loss", "tokens", "nats a token", lines))
        except ModelUnavailable as error:
            logger.warning("No plot of the loss was drawn. %s", error)

    def mean(self) -> float | None:
        """The mean loss of the last steps that read books; None before the first."""
        last = [line.loss for line in self.lines if not line.needles][-_SMOOTH:]
        return sum(last) / len(last) if last else None

    def _read(self) -> list[Logged]:
        if not self.path.is_file():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(Logged(**json.loads(line)))
            except (ValueError, TypeError):  # a line that a kill cut short
                break
        return found

    @staticmethod
    def _write(path: Path, text: str) -> None:
        partial = path.with_name(f".{path.name}")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


def _line(logged: Logged) -> str:
    return json.dumps(asdict(logged)) + "\n"


def _points(lines: list[Logged]) -> list[tuple[float, float]]:
    return [(float(line.tokens), line.loss) for line in lines]


def _means(lines: list[Logged]) -> list[tuple[float, float]]:
    """Of each step and those before it."""
    found = []
    for place, line in enumerate(lines):
        last = [before.loss for before in lines[max(0, place + 1 - _SMOOTH) : place + 1]]
        found.append((float(line.tokens), sum(last) / len(last)))
    return found
