import pytest

from storyloom.memory.progress import Pace, StepFigures


def test_a_pace_without_steps_knows_nothing() -> None:
    pace = Pace()
    pace.add([])
    assert (pace.tokens_per_second, pace.seconds_per_word, pace.seconds_per_step) == (None, None, None)


def test_a_pace_is_that_of_the_last_steps() -> None:
    pace = Pace()
    pace.add(StepFigures(depth, words=10, tokens=10, seconds=100.0) for depth in range(1, 4))
    pace.add(StepFigures(depth, words=120, tokens=180, seconds=6.0) for depth in range(4, 12))
    assert pace.tokens_per_second == pytest.approx(30.0)
    assert pace.seconds_per_word == pytest.approx(0.05)
    assert pace.seconds_per_step == pytest.approx(6.0)


def test_steps_that_took_no_time_tell_no_speed() -> None:
    pace = Pace()
    pace.add([StepFigures(1, words=10, tokens=10, seconds=0.0)])
    assert (pace.tokens_per_second, pace.seconds_per_word, pace.seconds_per_step) == (None, None, None)
