"""Recall's ranking: fusion, threshold, limit and no passage twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.memory.recall import RecallRule, choose, fuse, source
from storyloom.memory.story import Candidate, PassageKind

RULE = RecallRule(bm25=1.0, beside=0.5, chapter=0.25, dense=0.1, threshold=0.0, limit=10)


def candidate(depth: int, text: str = "", **parts: float) -> Candidate:
    return Candidate(strand_id="s", depth=depth, text=text or f"passage number {depth} alone", **parts)  # type: ignore[arg-type]


def test_a_score_is_the_sum_of_its_weighted_parts() -> None:
    (hit,) = fuse([candidate(4, bm25=0.4, beside=0.2, chapter=0.8, dense=2.0)], RULE)
    assert (hit.bm25, hit.beside, hit.chapter, hit.dense) == pytest.approx((0.4, 0.1, 0.2, 0.2))
    assert hit.score == pytest.approx(0.9)
    assert RULE.score(bm25=0.4, beside=0.2, chapter=0.8, dense=2.0) == pytest.approx(0.9)


def test_a_passage_that_much_speaks_for_comes_first() -> None:
    found = [candidate(1, bm25=0.5), candidate(2, bm25=0.4, dense=3.0), candidate(3, dense=3.5)]
    assert [hit.candidate.depth for hit in fuse(found, RULE)] == [2, 1, 3]


def test_weights_decide_between_words_and_likeness() -> None:
    found = [candidate(1, bm25=0.5), candidate(2, dense=4.0)]
    assert fuse(found, RULE)[0].candidate.depth == 1
    assert fuse(found, RecallRule(bm25=0.1, dense=1.0))[0].candidate.depth == 2


def test_threshold_and_limit_bound_what_is_recalled() -> None:
    found = [candidate(depth, bm25=depth / 10) for depth in range(1, 9)]
    hits = choose(found, RecallRule(bm25=1.0, threshold=0.65, limit=5))
    assert [hit.candidate.depth for hit in hits] == [8, 7]
    assert [hit.candidate.depth for hit in choose(found, RecallRule(threshold=0.0, limit=2))] == [8, 7]
    assert choose(found, RecallRule(threshold=99.0)) == []


def test_nothing_found_is_nothing_recalled() -> None:
    assert choose([], RULE) == []


def test_of_near_duplicates_only_the_best_is_recalled() -> None:
    text = "The ferryman rang the old bell at dawn and nobody came"
    found = [
        candidate(1, text, bm25=0.5),
        candidate(2, text + "!", bm25=0.9),
        candidate(3, "The ferryman rang nothing.", bm25=0.1),
        candidate(4, "...", bm25=0.1),
        candidate(5, "...", bm25=0.1),
    ]
    assert [hit.candidate.depth for hit in choose(found, RULE)] == [2, 3, 4, 5]
    assert len(choose(found, RecallRule(alike=1.0, threshold=0.0, limit=10))) == 5


def test_a_text_is_recalled_once_by_its_best_piece() -> None:
    pieces = [
        Candidate(
            strand_id="s",
            depth=0,
            text=f"piece {part}",
            kind=PassageKind.DOCUMENT,
            source=name,
            part=part,
            bm25=share,
        )
        for name, part, share in (("a", 0, 0.3), ("a", 1, 0.7), ("b", 0, 0.5))
    ]
    hits = choose(pieces, RULE)
    assert [(hit.candidate.source, hit.candidate.part) for hit in hits] == [("a", 1), ("b", 0)]


def test_a_hit_tells_its_source_and_the_parts_of_its_score() -> None:
    (hit,) = fuse([candidate(4, bm25=0.5, dense=1.0)], RULE)
    item = hit.item()
    assert (item.text, item.source) == ("passage number 4 alone", "step:s:4")
    assert set(item.parts) == {"bm25", "beside", "chapter", "dense"}
    assert item.score == pytest.approx(sum(item.parts.values()))
    assert hit.item("The whole paragraph.").text == "The whole paragraph."


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PassageKind.PARAGRAPH, "step:s:7"),
        (PassageKind.SUMMARY, "summary:s:7"),
        (PassageKind.LORE, "lore:x"),
        (PassageKind.DOCUMENT, "document:x"),
    ],
)
def test_every_kind_of_passage_names_its_row(kind: PassageKind, name: str) -> None:
    assert source(Candidate(strand_id="s", depth=7, text="t", kind=kind, source="x")) == name


share = st.floats(0, 1)


@given(st.lists(st.tuples(share, share, share, st.floats(-5, 9)), max_size=30))
def test_fusion_keeps_every_candidate_and_orders_by_score(
    parts: list[tuple[float, float, float, float]],
) -> None:
    found = [
        candidate(depth, bm25=bm25, beside=beside, chapter=chapter, dense=dense)
        for depth, (bm25, beside, chapter, dense) in enumerate(parts, 1)
    ]
    hits = fuse(found, RULE)
    assert sorted(hit.candidate.depth for hit in hits) == [one.depth for one in found]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
