"""Recall's ranking: fusion, threshold, limit, and what a query searches for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.memory.recall import RecallRule, choose, fuse, query_terms
from storyloom.memory.story import Candidate


def candidate(depth: int, bm25: float | None, dense: float | None) -> Candidate:
    return Candidate(strand_id="s", depth=depth, text=f"passage {depth}", bm25=bm25, dense=dense)


def test_a_passage_strong_in_both_searches_comes_first() -> None:
    found = [candidate(1, 9.0, 0.1), candidate(2, 8.0, 0.8), candidate(3, 1.0, 0.9)]
    assert fuse(found, RecallRule())[0].candidate.depth == 2


def test_weights_decide_between_the_searches() -> None:
    found = [candidate(1, 9.0, 0.1), candidate(2, 1.0, 0.9)]
    by_text = fuse(found, RecallRule(bm25=2.0, dense=1.0))
    by_likeness = fuse(found, RecallRule(bm25=1.0, dense=2.0))
    assert (by_text[0].candidate.depth, by_likeness[0].candidate.depth) == (1, 2)


def test_a_score_that_is_missing_counts_as_the_lowest() -> None:
    found = [candidate(1, None, 0.5), candidate(2, 3.0, 0.5), candidate(3, 7.0, 0.5)]
    hits = fuse(found, RecallRule())
    assert hits[0].candidate.depth == 3
    assert {hit.candidate.depth for hit in hits[1:]} == {1, 2}
    by_depth = {hit.candidate.depth: hit.bm25 for hit in hits}
    assert by_depth[1] == by_depth[2] < by_depth[3]


def test_threshold_and_limit_bound_what_is_recalled() -> None:
    found = [candidate(depth, float(depth), depth / 10) for depth in range(1, 9)]
    hits = choose(found, RecallRule(threshold=0.5, limit=2))
    assert [hit.candidate.depth for hit in hits] == [8, 7]
    assert choose(found, RecallRule(threshold=99.0)) == []


def test_nothing_found_is_nothing_recalled() -> None:
    assert choose([], RecallRule()) == []


def test_a_hit_tells_its_source_and_the_parts_of_its_score() -> None:
    (hit,) = fuse([candidate(4, 2.0, 0.5)], RecallRule())
    item = hit.item()
    assert item.source == "step:s:4"
    assert set(item.parts) == {"bm25", "dense"}


def test_query_terms_are_distinct_and_skip_short_ascii_words_only() -> None:
    assert query_terms("The sea, the SEA of Ys — 海の 門") == ["the", "sea", "海", "の", "門"]


scores = st.one_of(st.none(), st.floats(-1e6, 1e6))


@given(st.lists(st.tuples(scores, scores), max_size=30))
def test_fusion_keeps_every_candidate_and_orders_by_score(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    found = [candidate(depth, bm25, dense) for depth, (bm25, dense) in enumerate(pairs, 1)]
    hits = fuse(found, RecallRule())
    assert sorted(hit.candidate.depth for hit in hits) == [found_one.depth for found_one in found]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("text", ["", "   ", "a b c"])
def test_a_query_without_terms(text: str) -> None:
    assert query_terms(text) == []
