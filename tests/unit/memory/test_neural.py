import math

import pytest

from storyloom.memory.neural import NOTHING, chain, chained, stays

SMALL, LARGE = 10**6, 10**9


def kept(last: int, size: int = SMALL) -> list[int]:
    return [depth for depth in range(1, last + 1) if stays(depth, last, size)]


def test_a_digest_names_every_paragraph_before_it_and_their_order() -> None:
    digests = list(chain(["One.", "Two.", "Three."]))
    assert digests[0] == chained(NOTHING, "One.")
    assert digests == list(chain(["One.", "Two.", "Three.", "Four."]))[:3]
    assert len({*digests, *chain(["Two.", "One.", "Three."]), *chain(["One.Two.", "Three."])}) == 8
    assert list(chain(["One.", "2", "Three."]))[2] != digests[2]


@pytest.mark.parametrize("last", [1, 2, 7, 100, 1023, 1024, 5000])
def test_few_stay_the_newest_among_them(last: int) -> None:
    found = kept(last)
    assert set(range(max(1, last - 1), last + 1)) <= set(found)
    assert len(found) <= math.log2(last) + 3


def test_going_back_reads_less_than_twice_as_many_again() -> None:
    found = [0, *kept(1000)]
    for depth in range(1, 1000):
        assert depth - max(one for one in found if one <= depth) < 2 * (1000 - depth)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_what_has_gone_never_stays_later(size: int) -> None:
    for last in range(1, 200):
        assert set(kept(last + 1, size)) <= {*kept(last, size), last + 1}


def test_of_large_ones_the_last_two_stay() -> None:
    assert kept(100, LARGE) == [99, 100]
