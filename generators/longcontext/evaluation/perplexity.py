"""The loss by position in long texts, and what of it is the memory's: the honest headline figure.

A text is read in segments. Two ways:

- ``segmented``: attention begins anew with every segment, and only the memory is carried, as stories are
  written and models are trained (``training.carry``).
- ``continuous``: one long text, whose keys, values and positions go on.

And three memories, on the same tokens:

- ``on``: it goes on from segment to segment.
- ``zeroed``: every segment begins with a memory that has read nothing.
- ``shuffled``: every segment begins with what the memory ``on`` of another book held at the same place. A
  memory that helps only by being full, not by what is in it, is as good shuffled.

So ``on`` less ``shuffled`` is what the model remembers of the book: below zero where it helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storyloom.generators.longcontext.evaluation.reading import (
    Reader,
    Tell,
    cache_for,
    replace_memory,
    silent,
    state_of,
)
from storyloom.generators.longcontext.evaluation.statistics import Interval, interval
from storyloom.generators.longcontext.state import State
from storyloom.memory.errors import InvalidSetting

ON, ZEROED, SHUFFLED = "on", "zeroed", "shuffled"
CONTROLS = (ZEROED, SHUFFLED)
WAYS = ("segmented", "continuous")

_FIRST_EDGE = 128
_AT_ONCE = 2048  # tokens of all books together that are read in one call
Losses = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What was measured of the tokens that have from ``start`` to below ``end`` others read before them.

    The token that foretells counts as read; so the first that is foretold has position 0.

    Attributes:
        start: first position.
        end: the one behind the last.
        loss: in nats a token, over books, by memory.
        difference: of the books' losses, ``on`` less each control, by the control's name.
    """

    start: int
    end: int
    loss: dict[str, Interval]
    difference: dict[str, Interval]

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        return {
            "from": self.start,
            "to": self.end,
            "loss": {memory: found.as_json() for memory, found in self.loss.items()},
            "difference": {f"{ON}-{control}": found.as_json() for control, found in self.difference.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity:
    """The loss by position.

    Attributes:
        way: one of ``WAYS``.
        segment: tokens of a segment.
        books: how many were read.
        seed: of the shuffling and of the intervals.
        buckets: the loss by position.
        whole: of all tokens.
        later: of those behind the first segment, the only ones that a memory can help; None where there is
            but one segment.
    """

    way: str
    segment: int
    books: int
    seed: int
    buckets: tuple[Stretch, ...]
    whole: Stretch
    later: Stretch | None

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        return {
            "way": self.way,
            "length": self.whole.end,
            "segment": self.segment,
            "books": self.books,
            "seed": self.seed,
            "unit": "nats a token",
            "whole": self.whole.as_json(),
            "behind_first_segment": None if self.later is None else self.later.as_json(),
            "buckets": [bucket.as_json() for bucket in self.buckets],
        }


def measure_perplexity(
    model: Any,
    books: Sequence[NDArray[Any]],
    *,
    segment: int,
    way: str = "segmented",
    controls: Sequence[str] = CONTROLS,
    edges: Sequence[int] | None = None,
    seed: int = 0,
    tell: Tell = silent,
) -> Perplexity:
    """Measure the loss by position.

    Args:
        model: in evaluation mode.
        books: token ids, equally many of each book: the first is foretold by nothing.
        segment: tokens of a segment.
        way: one of ``WAYS``.
        controls: of ``CONTROLS``; none for a model that has no memory.
        edges: positions at which a bucket ends and the next begins; None for the powers of two from 128 on.
        seed: of who gets whose memory, and of the intervals.
        tell: hears of every segment.

    Raises:
        InvalidSetting: a way that isn't known, a segment without a token, no or too few books, or books of
            different lengths.
    """
    _check(books, segment, way, controls)
    ids = torch.from_numpy(np.stack([np.asarray(book, dtype=np.int64) for book in books]))
    losses = read_books(
        model, ids, segment=segment, way=way, controls=controls, partner=partners(len(books), seed), tell=tell
    )
    length = ids.shape[1] - 1
    inner = powers_of_two(length) if edges is None else [edge for edge in edges if 0 < edge < length]
    places = [0, *sorted(set(inner)), length]
    return Perplexity(
        way=way,
        segment=segment,
        books=len(books),
        seed=seed,
        buckets=tuple(_stretch(losses, start, end, seed) for start, end in pairwise(places)),
        whole=_stretch(losses, 0, length, seed),
        later=_stretch(losses, segment, length, seed) if segment < length else None,
    )


def read_books(
    model: Any,
    ids: Tensor,
    *,
    segment: int,
    way: str,
    controls: Sequence[str],
    partner: Tensor,
    tell: Tell = silent,
) -> Losses:
    """The loss of every token but the first, [books, tokens − 1], by memory.

    Args:
        model: in evaluation mode.
        ids: [books, tokens].
        segment: tokens of a segment; the last one may be shorter.
        way: one of ``WAYS``.
        controls: of ``CONTROLS``; ``on`` is always read.
        partner: [books], whose memory each book is given when shuffled.
        tell: hears of every segment.
    """
    length = ids.shape[1] - 1
    starts = range(0, length, segment)
    # Books lie side by side: many of them are read in smaller pieces, in the same memory.
    at_once = max(1, _AT_ONCE // len(ids))
    readers: dict[str, Reader] = {}
    found: dict[str, list[Tensor]] = {memory: [] for memory in (ON, *controls)}
    remembered: State | None = None
    for place, start in enumerate(starts):
        tell("segments read", place, len(starts))
        begins = {ON: remembered, ZEROED: None, SHUFFLED: _of_others(remembered, partner)}
        part = ids[:, start : start + segment + 1]
        for memory, pieces in found.items():
            if place == 0 or way == "segmented":
                readers[memory] = Reader(model, cache_for(model, begins[memory]), at_once=at_once)
                readers[memory].read(part[:, :1])
            elif memory != ON:
                replace_memory(model, readers[memory].cache, begins[memory])
            pieces.append(readers[memory].surprise(part[:, 1:]).loss)
        remembered = state_of(model, readers[ON].cache)
    tell("segments read", len(starts), len(starts))
    return {memory: torch.cat(pieces, 1).double().numpy() for memory, pieces in found.items()}


def partners(books: int, seed: int) -> Tensor:
    """Whose memory each book is given, [books]: nobody's own, and everybody's once."""
    order = np.random.default_rng(seed).permutation(books)
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)
    return torch.from_numpy(partner)


def powers_of_two(length: int, first: int = _FIRST_EDGE) -> list[int]:
    """The powers of two from ``first`` on that are below ``length``."""
    edges = []
    while first < length:
        edges.append(first)
        first *= 2
    return edges


def _of_others(state: State | None, partner: Tensor) -> State | None:
    if state is None:
        return None
    return {name: held.index_select(0, partner.to(held.device)) for name, held in state.items()}


def _stretch(losses: Losses, start: int, end: int, seed: int) -> Stretch:
    means = {memory: loss[:, start:end].mean(axis=1) for memory, loss in losses.items()}
    return Stretch(
        start=start,
        end=end,
        loss={memory: interval(mean, seed) for memory, mean in means.items()},
        difference={
            memory: interval(means[ON] - mean, seed) for memory, mean in means.items() if memory != ON
        },
    )


def _check(books: Sequence[NDArray[Any]], segment: int, way: str, controls: Sequence[str]) -> None:
    if way not in WAYS:
        raise InvalidSetting(f"A text can't be read {way!r}; choose {' or '.join(WAYS)}.")
    if unknown := set(controls) - set(CONTROLS):
        raise InvalidSetting(f"There is no control {min(unknown)!r}; choose of {', '.join(CONTROLS)}.")
    if segment < 1:
        raise InvalidSetting(f"The segment has {segment} tokens; it must have at least 1.")
    if not books or (SHUFFLED in controls and len(books) < 2):
        raise InvalidSetting(
            f"There are {len(books)} books; to give each the memory of another there must be at least 2."
        )
    if len({len(book) for book in books}) > 1 or len(books[0]) < 2:
        raise InvalidSetting("The books must have equally many tokens, at least 2 each.")
