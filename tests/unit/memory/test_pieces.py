"""Long texts are cut for search, between sentences, and nothing of them is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.memory.pieces import passages, pieces
from storyloom.memory.story import Passage, PassageKind
from storyloom.memory.text import count_words

SENTENCE = "The keeper counted the boats twice, and one of them was always missing at dusk. "


def test_a_text_that_is_little_longer_than_a_piece_stays_whole() -> None:
    text = SENTENCE * 10
    assert count_words(text) == 150
    assert pieces(text) == [text]
    assert pieces("") == [""]


def test_a_long_text_is_cut_between_sentences() -> None:
    made = pieces(SENTENCE * 30)
    assert len(made) == 4
    assert all(piece.startswith("The keeper") and piece.endswith("dusk. ") for piece in made)
    assert all(count_words(piece) <= 120 for piece in made)


@pytest.mark.parametrize("text", ["word " * 2000, "鐘" * 5000, "x" * 9000, "\n" * 5000, "No. " * 3000])
def test_a_text_without_sentences_is_cut_too(text: str) -> None:
    made = pieces(text)
    assert "".join(made) == text
    assert max(len(piece) for piece in made) <= 2400


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([SENTENCE, "Why? ", "\n\n", "“No,” she said. ", "Mr. X ", "鐘。"]), max_size=60)
)
def test_joined_again_pieces_are_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    assert "".join(pieces(text)) == text


def test_passages_are_numbered_pieces_of_the_same_place() -> None:
    whole = Passage(strand_id="s", depth=0, text=SENTENCE * 30, kind=PassageKind.DOCUMENT, source="d")
    made = passages(whole)
    assert [passage.part for passage in made] == [0, 1, 2, 3]
    assert {(one.strand_id, one.depth, one.kind, one.source) for one in made} == {
        ("s", 0, PassageKind.DOCUMENT, "d")
    }
    assert "".join(passage.text for passage in made) == whole.text
