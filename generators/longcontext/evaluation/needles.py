"""Whether a model finds what was hidden in a long text, at lengths and depths.

A model too weak to write the key may yet hold it for likelier than other keys, so that is measured too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from storyloom.generators.longcontext.evaluation.reading import Reader, Tell, silent
from storyloom.generators.longcontext.evaluation.statistics import Interval, interval
from storyloom.generators.longcontext.needles import Needle

# Makes a text of a length with its key at a depth, another one at each call.
Make = Callable[[int, float], Needle]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says at the end of a text.

    Attributes:
        exact: whether it writes the whole key, greedily.
        chosen: whether it holds the key for likelier than every other.
        margin: by how many nats it does, over the likeliest other; below zero where it doesn't.
    """

    exact: bool
    chosen: bool
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """The answers at a length and a depth.

    Attributes:
        kind: what was hidden.
        length: tokens of each text.
        depth: where the key was, from 0 to 1; None over all depths.
        tries: how many texts.
        exact: share whose key was written.
        chosen: share whose key was the likeliest; chance alone makes ``by_chance``.
        margin: in nats.
        by_chance: one of so many keys.
    """

    kind: str
    length: int
    depth: float | None
    tries: int
    exact: Interval
    chosen: Interval
    margin: Interval
    by_chance: float

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        return {
            "kind": self.kind,
            "length": self.length,
            "depth": self.depth,
            "tries": self.tries,
            "exact": self.exact.as_json(),
            "chosen": self.chosen.as_json(),
            "chosen_by_chance": self.by_chance,
            "margin_nats": self.margin.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Needles:
    """What was found.

    Attributes:
        spots: of each length and depth.
        lengths: of each length, over all depths.
    """

    spots: tuple[Spot, ...]
    lengths: tuple[Spot, ...]

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        return {
            "lengths": [spot.as_json() for spot in self.lengths],
            "spots": [spot.as_json() for spot in self.spots],
        }


def measure_needles(
    model: Any,
    makers: dict[str, Make],
    *,
    lengths: Sequence[int],
    depths: Sequence[float],
    tries: int,
    seed: int = 0,
    tell: Tell = silent,
) -> Needles:
    """Hide keys and ask for them; each text is read from its beginning, piece by piece.

    Args:
        model: in evaluation mode.
        makers: by the name of what they hide.
        lengths: tokens of a text with its answer.
        depths: from 0 to 1.
        tries: texts at each length and depth.
        seed: of the intervals.
        tell: hears of every text.
    """
    spots, over_depths = [], []
    total, done = len(makers) * len(lengths) * len(depths) * tries, 0
    for kind, make in makers.items():
        for length in lengths:
            here: list[tuple[Needle, Answer]] = []
            for depth in depths:
                for _ in range(tries):
                    tell("texts with needles", done, total)
                    needle = make(length, depth)
                    here.append((needle, answer(model, needle)))
                    done += 1
                spots.append(_spot(kind, length, depth, here[-tries:], seed))
            over_depths.append(_spot(kind, length, None, here, seed))
    tell("texts with needles", total, total)
    return Needles(tuple(spots), tuple(over_depths))


def answer(model: Any, needle: Needle) -> Answer:
    """Let a model read a text and ask it for its key."""
    reader = Reader(model)
    reader.read(torch.tensor([needle.ids]))
    # A copy each: a memory can't unread. Greedy writing is the key's tokens if each is the likeliest after
    # those before it.
    said = [reader.branch().surprise(torch.tensor([key])) for key in (needle.answer, *needle.others)]
    log_probabilities = [-float(one.loss.sum()) for one in said]
    margin = log_probabilities[0] - max(log_probabilities[1:])
    return Answer(bool(said[0].hit.all()), margin > 0, margin)


def _spot(
    kind: str, length: int, depth: float | None, found: Sequence[tuple[Needle, Answer]], seed: int
) -> Spot:
    answers = [one for _, one in found]
    return Spot(
        kind=kind,
        length=length,
        depth=depth,
        tries=len(answers),
        exact=interval([one.exact for one in answers], seed),
        chosen=interval([one.chosen for one in answers], seed),
        margin=interval([one.margin for one in answers], seed),
        by_chance=1 / (1 + len(found[0][0].others)),
    )
