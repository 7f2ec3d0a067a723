"""Length: the score as its authors define it."""

import pytest

from storyloom.memory.length import length_score


@pytest.mark.parametrize(
    ("asked", "written", "score"),
    [
        (900, 900, 100),
        (1000, 1150, 95),
        (1000, 4000, 0),
        (1000, 9000, 0),
        (1000, 500, 50),
        (1000, 333, 0),
        (1000, 0, 0),
    ],
)
def test_the_score_falls_slower_above_than_below(asked: int, written: int, score: float) -> None:
    assert length_score(asked, written) == pytest.approx(score, abs=0.2)
