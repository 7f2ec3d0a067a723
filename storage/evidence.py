"""What speaks for each passage, computed for all at once with NumPy. Knows no SQL.

BM25 is Robertson and Zaragoza's with Lucene's never negative weight of a term; k1 and b are those that
Anserini uses for passages. Only whether a passage holds a term counts, not how often: in short passages
that tells as much and costs less.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

_K1 = 0.9
_B = 0.4


class Term(NamedTuple):
    """A word of the query: how much it counts, and the rows that hold it, ascending."""

    weight: float
    rows: Integers


def shares(terms: Sequence[Term], lengths: Integers) -> Doubles:
    """The share of the query that each row holds, from 0 to 1, shape (n,)."""
    total = np.zeros(len(lengths))
    everything = 0.0
    norms = _norms(lengths, np.ones(len(lengths), dtype=bool))
    for term in terms:
        rarity = term.weight * _rarity(len(term.rows), len(lengths))
        everything += rarity
        total[term.rows] += rarity / (1 + norms[term.rows])
    return total / everything if everything > 0 else total


def group_shares(
    terms: Sequence[Term], titled: Sequence[Integers], lengths: Integers, groups: Integers, size: int
) -> Doubles:
    """The share of the query that each row's group holds, from 0 to 1, shape (n,).

    Args:
        terms: the query's.
        titled: for each term the groups whose title holds it.
        lengths: of the rows.
        groups: the group of each row, below ``size``.
        size: number of groups, empty ones included.
    """
    counts = np.bincount(groups, minlength=size)
    standing = counts > 0
    norms = _norms(np.bincount(groups, lengths, size), standing)
    total = np.zeros(size)
    everything = 0.0
    for term, titles in zip(terms, titled, strict=True):
        held = np.bincount(groups[term.rows], minlength=size).astype(np.float64)
        held[titles] += 1
        held[~standing] = 0
        rarity = term.weight * _rarity(int(np.count_nonzero(held)), int(np.count_nonzero(standing)))
        everything += rarity
        total += rarity * held / (held + norms)
    return total[groups] / everything if everything > 0 else total[groups]


def beside(scores: Doubles, groups: Integers, order: Integers) -> Doubles:
    """The mean score of each row's neighbours in ``order`` within its group; its own without any."""
    sorted_scores, sorted_groups = scores[order], groups[order]
    together = sorted_groups[1:] == sorted_groups[:-1]
    total, count = np.zeros(len(scores)), np.zeros(len(scores))
    total[1:] += np.where(together, sorted_scores[:-1], 0)
    total[:-1] += np.where(together, sorted_scores[1:], 0)
    count[1:] += together
    count[:-1] += together
    found = np.empty(len(scores))
    found[order] = np.where(count > 0, total / np.maximum(count, 1), sorted_scores)
    return found


def standard_scores(scores: Doubles) -> Doubles:
    """By how many standard deviations each score lies above the mean; 0 for NaN, and where all are equal."""
    known = np.isfinite(scores)
    found = np.zeros(len(scores))
    if known.any() and (deviation := scores[known].std()) > 0:
        found[known] = (scores[known] - scores[known].mean()) / deviation
    return found


def _rarity(holders: int, size: int) -> float:
    """A term's weight by how few of the rows hold it (inverse document frequency)."""
    return float(np.log1p((size - holders + 0.5) / (holders + 0.5)))


def _norms(lengths: Integers | Doubles, counted: NDArray[np.bool_]) -> Doubles:
    """What a row's length adds to BM25's denominator, by its length over the mean of those counted."""
    mean = float(np.mean(lengths[counted])) if counted.any() else 0.0
    return _K1 * (1 - _B + _B * (lengths / mean if mean > 0 else np.ones(len(lengths))))
