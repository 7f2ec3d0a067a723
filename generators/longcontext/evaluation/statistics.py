"""Means with confidence intervals, by the percentile bootstrap (Efron, 1979)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 10_000
_ENDS = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and the ends of its 95% confidence interval; None for those where there is but one value."""

    mean: float
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """As a document; JSON has no NaN, which a model says whose memory has overflowed: it is null."""
        numbers = {"mean": self.mean, "low": self.low, "high": self.high}
        return {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in numbers.items()
        }

    def point(self, x: float) -> tuple[float, float] | tuple[float, float, float, float]:
        """As a chart's point."""
        if self.low is None or self.high is None:
            return x, self.mean
        return x, self.mean, self.low, self.high


def interval(values: Sequence[float] | NDArray[Any], seed: int) -> Interval:
    """The mean of values that were drawn independently, such as one a book.

    A bootstrap of few values makes intervals that are somewhat too narrow: of eight books about nine in ten
    hold the truth.

    Args:
        values: at least one.
        seed: of the resampling; equal seeds resample equally many values alike, so that a difference's
            interval goes with those of its parts.
    """
    drawn = np.asarray(values, dtype=np.float64)
    if len(drawn) == 1:
        return Interval(float(drawn[0]))
    again = np.random.default_rng(seed).integers(len(drawn), size=(_RESAMPLES, len(drawn)))
    low, high = np.percentile(drawn[again].mean(axis=1), _ENDS)
    return Interval(float(drawn.mean()), float(low), float(high))
