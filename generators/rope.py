"""Which rotary position embedding (RoPE) a model reads longer texts with. Knows no engine.

A model learned its positions up to the length that it was trained with. Each way changes the frequencies
that queries and keys are turned by, without training:

- ``linear`` (positional interpolation, arXiv 2306.15595): all are divided by the factor, so that a longer
  text lies between the positions that were trained.
- ``dynamic``: the base is raised as far as a text's own length asks for, so that what is as short as the
  model was trained with is read as before.
- ``yarn`` (arXiv 2309.00071): fast frequencies stay, slow ones are divided, and attention is sharpened.
- ``abf`` (adjusted base frequency, arXiv 2309.16039): the base is raised once.
- ``truncated`` (Giraffe, arXiv 2308.10882): only frequencies that turned once in training stay; slower ones
  become one small one, and the slowest none.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from storyloom.memory.errors import InvalidSetting

Name = Literal["linear", "dynamic", "yarn", "abf", "truncated"]


@dataclass(frozen=True, slots=True)
class Rope:
    """A way to longer contexts.

    Attributes:
        name: one of the ways.
        factor: how many times the trained length is to be read; more than 1.
    """

    name: Name
    factor: float

    def __str__(self) -> str:
        """As it is set."""
        return f"{self.name}:{self.factor:.12g}"

    def longer(self, trained: int) -> int:
        """How many tokens a model may read that was trained with so many."""
        return int(trained * self.factor)


def parse_rope(text: str) -> Rope:
    """Read ``NAME:FACTOR``, such as ``yarn:4``.

    Raises:
        InvalidSetting: no such way, or a factor that makes nothing longer.
    """
    name, _, number = text.strip().partition(":")
    try:
        factor = float(number)
    except ValueError:
        factor = math.nan
    for known in get_args(Name):
        if name == known and 1 < factor < math.inf:
            return Rope(known, factor)
    raise InvalidSetting(
        f"{text!r} names no way to a longer context. Write NAME:FACTOR, with a factor above 1 and one of "
        f"{', '.join(get_args(Name))}, such as yarn:4."
    )


def raised_base(base: float, factor: float, width: int) -> float:
    """The base with which the slowest frequency turns by as much less as the text is longer.

    The slowest of ``width`` channels has the frequency base^(-(width - 2) / width): raised by
    factor^(width / (width - 2)), it is divided by exactly the factor, and so no text that is as much longer
    turns it further than training did. Faster ones change less, the fastest not at all.

    Args:
        base: RoPE's base.
        factor: how many times longer.
        width: channels that are turned, at least 4.
    """
    return float(base * factor ** (width / (width - 2)))
