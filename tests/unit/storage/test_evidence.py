"""What speaks for a passage: shares of the query, neighbours, chapters, standard scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.storage.evidence import Term, beside, group_shares, shares, standard_scores


def rows(*places: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(places, dtype=np.int64)


EVEN = rows(100, 100, 100, 100)


def test_a_passage_of_ordinary_length_with_all_words_has_about_half() -> None:
    found = shares([Term(1.0, rows(2)), Term(1.0, rows(2, 3))], EVEN)
    assert found[2] == pytest.approx(1 / 1.9)
    assert found[2] > found[3] > 0 == found[0] == found[1]


def test_rare_words_count_more_and_so_do_heavy_ones() -> None:
    rare, common = Term(1.0, rows(0)), Term(1.0, rows(1, 2, 3))
    found = shares([rare, common], EVEN)
    assert found[0] > found[1]
    assert shares([rare, common._replace(weight=20.0)], EVEN)[1] > found[1]


def test_in_a_short_passage_a_word_counts_more() -> None:
    found = shares([Term(1.0, rows(0, 1))], rows(10, 1000))
    assert found[0] > found[1] > 0


def test_a_word_that_is_nowhere_lowers_every_share() -> None:
    known = [Term(1.0, rows(0))]
    assert shares([*known, Term(1.0, rows())], EVEN)[0] < shares(known, EVEN)[0]


def test_without_words_nothing_has_a_share() -> None:
    assert shares([], EVEN).tolist() == [0.0] * 4
    assert group_shares([], [], EVEN, rows(0, 0, 1, 1), 2).tolist() == [0.0] * 4


def test_all_passages_of_a_chapter_have_its_share_and_its_title_counts() -> None:
    groups = rows(0, 0, 1, 1)
    found = group_shares([Term(1.0, rows(0))], [rows()], EVEN, groups, 2)
    assert found[0] == found[1] > 0 == found[2] == found[3]
    titled = group_shares([Term(1.0, rows())], [rows(1)], EVEN, groups, 2)
    assert titled[2] == titled[3] > 0 == titled[0]


def test_a_chapter_that_holds_nothing_searched_doesnt_count() -> None:
    here = group_shares([Term(1.0, rows(0))], [rows()], EVEN, rows(0, 0, 1, 1), 2)
    gaps = group_shares([Term(1.0, rows(0))], [rows(1, 5)], EVEN, rows(0, 0, 3, 3), 9)
    assert gaps == pytest.approx(here)


def test_neighbours_are_those_read_before_and_after_in_the_same_chapter() -> None:
    scores = np.array([0.0, 1.0, 0.5, 0.25])
    assert beside(scores, rows(0, 0, 0, 1), rows(0, 1, 2, 3)).tolist() == [1.0, 0.25, 1.0, 0.25]
    assert beside(scores, rows(0, 0, 0, 0), rows(3, 2, 1, 0)).tolist() == [1.0, 0.25, 0.625, 0.5]


def test_standard_scores_pass_over_what_is_missing() -> None:
    assert standard_scores(np.array([1.0, np.nan, 3.0])).tolist() == [-1.0, 0.0, 1.0]
    assert standard_scores(np.array([2.0, 2.0])).tolist() == [0.0, 0.0]
    assert standard_scores(np.array([np.nan])).tolist() == [0.0]
    assert standard_scores(np.array([])).tolist() == []


@given(
    lengths=st.lists(st.integers(0, 10_000), min_size=1, max_size=20),
    held=st.lists(st.sets(st.integers(0, 19)), max_size=6),
    groups=st.lists(st.integers(0, 4), min_size=20, max_size=20),
)
def test_shares_lie_between_nothing_and_everything(
    lengths: list[int], held: list[set[int]], groups: list[int]
) -> None:
    sizes = rows(*lengths)
    terms = [Term(1.0, rows(*sorted(place for place in one if place < len(lengths)))) for one in held]
    own = shares(terms, sizes)
    whole = group_shares(terms, [rows()] * len(terms), sizes, rows(*groups[: len(lengths)]), 5)
    for found in (own, whole):
        assert ((found >= 0) & (found <= 1)).all()
    for term in terms:
        assert (own[term.rows] > 0).all()
        assert (whole[term.rows] > 0).all()
