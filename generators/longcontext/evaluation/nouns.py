"""Verbatim recall of a list of nouns (Armeni, Honey and Linzen, arXiv 2210.13569).

A text tells a list of nouns, then of other things, and then the list again. A model that holds the list
verbatim is hardly surprised by the second one. It is less surprised there by any nouns, having seen that
a list of them comes; so a control ends with a list of other nouns, after the same text.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from storyloom.generators.longcontext.evaluation.reading import Reader, Tell, silent
from storyloom.generators.longcontext.evaluation.statistics import Interval, interval
from storyloom.generators.longcontext.needles import Filler, Ids, encode
from storyloom.generators.longcontext.nouns import NOUNS

SIZES = (3, 5, 7, 10)

_BEFORE = "Before she left the house, Mara wrote down a list of words:"
_AGAIN = "\nIn the evening Mara took the list from her pocket and read it aloud:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """How a list of some size is recalled after so much other text.

    Attributes:
        size: nouns of a list.
        gap: tokens between the lists.
        trials: how many texts.
        first: surprisal of the first list, in nats a noun.
        same: of the same list when it comes again.
        other: of a list of other nouns in its place.
        drop: ``first`` less ``same``.
        control: ``first`` less ``other``.
        verbatim: ``drop`` less ``control``: what is due to which nouns they were.
    """

    size: int
    gap: int
    trials: int
    first: Interval
    same: Interval
    other: Interval
    drop: Interval
    control: Interval
    verbatim: Interval

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        named = ("first", "same", "other", "drop", "control", "verbatim")
        return {
            "size": self.size,
            "gap": self.gap,
            "trials": self.trials,
            **{name: getattr(self, name).as_json() for name in named},
        }


@dataclass(frozen=True, slots=True)
class NounRecall:
    """The recall of each size and gap, in nats a noun."""

    found: tuple[Recall, ...]

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        return {"unit": "nats a noun", "lists": [one.as_json() for one in self.found]}


@dataclass(frozen=True, slots=True)
class Lists:
    """A text's parts; the nouns of its lists, and what stands between them, in tokens."""

    before: Ids
    first: list[Ids]
    between: Ids
    other: list[Ids]
    comma: Ids

    def spell(self, nouns: Sequence[Ids]) -> tuple[Ids, list[slice]]:
        """A list with its commas, and where its nouns are."""
        ids: Ids = []
        places = []
        for noun in nouns:
            places.append(slice(len(ids), len(ids) + len(noun)))
            ids += [*noun, *self.comma]
        return ids, places


def measure_nouns(
    model: Any,
    tokenizer: Any,
    filler: Filler,
    *,
    gaps: Sequence[int],
    sizes: Sequence[int] = SIZES,
    trials: int = 10,
    seed: int = 0,
    tell: Tell = silent,
) -> NounRecall:
    """Measure the recall of lists.

    Args:
        model: in evaluation mode.
        tokenizer: the model's.
        filler: gives the text between.
        gaps: how many tokens of it.
        sizes: nouns of a list, at most half of ``NOUNS``.
        trials: texts of each size and gap.
        seed: of the nouns and of the intervals.
        tell: hears of every text.
    """
    chance = random.Random(seed)
    found = []
    total, done = len(gaps) * len(sizes) * trials, 0
    for gap in gaps:
        for size in sizes:
            surprisals = []
            for _ in range(trials):
                tell("lists of nouns", done, total)
                surprisals.append(recall(model, make_lists(tokenizer, filler, gap, size, chance)))
                done += 1
            found.append(_recall(size, gap, surprisals, seed))
    tell("lists of nouns", total, total)
    return NounRecall(tuple(found))


def make_lists(tokenizer: Any, filler: Filler, gap: int, size: int, chance: random.Random) -> Lists:
    """Draw a text with a list of ``size`` nouns, and as many others."""
    drawn = [encode(tokenizer, f" {noun}") for noun in chance.sample(NOUNS, 2 * size)]
    return Lists(
        before=encode(tokenizer, _BEFORE),
        first=drawn[:size],
        between=[*filler(gap), *encode(tokenizer, _AGAIN)],
        other=drawn[size:],
        comma=encode(tokenizer, ","),
    )


def recall(model: Any, lists: Lists) -> tuple[float, float, float]:
    """The surprisal of the first list, of it again, and of the other list there, in nats a noun."""
    reader = Reader(model)
    reader.read(torch.tensor([lists.before]))
    first = _surprisal(reader, lists, lists.first)
    reader.read(torch.tensor([lists.between]))
    same = _surprisal(reader.branch(), lists, lists.first)
    return first, same, _surprisal(reader, lists, lists.other)


def _surprisal(reader: Reader, lists: Lists, nouns: Sequence[Ids]) -> float:
    ids, places = lists.spell(nouns)
    loss = reader.surprise(torch.tensor([ids])).loss[0]
    return sum(float(loss[place].sum()) for place in places) / len(places)


def _recall(size: int, gap: int, surprisals: Sequence[tuple[float, float, float]], seed: int) -> Recall:
    def over(values: Sequence[float]) -> Interval:
        return interval(values, seed)

    first, same, other = zip(*surprisals, strict=True)
    return Recall(
        size=size,
        gap=gap,
        trials=len(surprisals),
        first=over(first),
        same=over(same),
        other=over(other),
        drop=over([a - b for a, b, _ in surprisals]),
        control=over([a - c for a, _, c in surprisals]),
        verbatim=over([c - b for _, b, c in surprisals]),
    )
