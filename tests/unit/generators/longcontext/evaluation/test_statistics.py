import json

import numpy as np
import pytest

from storyloom.generators.longcontext.evaluation.statistics import Interval, interval


def test_a_mean_lies_within_its_interval() -> None:
    found = interval([1.0, 2.0, 3.0, 6.0], seed=0)
    assert found.mean == 3.0
    assert found.low is not None
    assert found.high is not None
    assert 1.0 <= found.low < 3.0 < found.high <= 6.0


def test_equal_values_have_no_width() -> None:
    assert interval([0.0] * 5, seed=3) == Interval(0.0, 0.0, 0.0)


def test_one_value_has_no_interval() -> None:
    assert interval([2.5], seed=0) == Interval(2.5)
    assert interval([2.5], seed=0).point(8) == (8, 2.5)


def test_the_interval_holds_the_truth_nine_times_in_ten() -> None:
    chance = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        found = interval(chance.normal(1.0, 2.0, size=8), seed=0)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1.0 <= found.high
    assert 165 <= held <= 195


def test_seeds_resample() -> None:
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    assert interval(values, seed=1) == interval(values, seed=1)
    assert interval(values, seed=1) != interval(values, seed=2)


def test_what_is_no_number_is_null_in_json() -> None:
    document = interval([1.0, float("nan")], seed=0).as_json()
    assert json.loads(json.dumps(document, allow_nan=False))["mean"] is None


def test_a_point_carries_its_interval() -> None:
    assert Interval(1.0, 0.5, 1.5).point(64) == pytest.approx((64, 1.0, 0.5, 1.5))
