"""Length: the score as its authors define it, and texts that meet what was asked, chapter by chapter."""

from itertools import cycle
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.memory.length import Length, coming, length_score, most_chapters, usual_chapters
from storyloom.memory.story import Progress


def written(length: Length, *, habit: float = 1.0, whims: list[float] | None = None) -> list[tuple[int, int]]:
    """The (chapter, words) of each paragraph by a writer with a ``habit`` and ``whims``."""
    paragraphs: list[tuple[int, int]] = []
    begun = 0
    for whim in cycle(whims or [0.0]):
        done = Progress(
            paragraphs=len(paragraphs), words=sum(words for _, words in paragraphs), chapters=begun
        )
        paragraph = coming(length, done)
        if paragraph is None:
            break
        assert paragraph.opens == (paragraph.chapter > begun)
        begun = max(begun, paragraph.chapter)
        asked = paragraph.words or length.usual
        paragraphs.append((paragraph.chapter, max(1, round(asked * habit * (1 + whim)))))
    return paragraphs


@pytest.mark.parametrize(
    ("asked", "words", "score"),
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
def test_the_score_falls_slower_above_than_below(asked: int, words: int, score: float) -> None:
    assert length_score(asked, words) == pytest.approx(score, abs=0.2)


@settings(max_examples=300, deadline=None)
@given(
    words=st.integers(600, 20_000),
    usual=st.integers(120, 200),
    habit=st.floats(0.8, 1.2),
    whims=st.lists(st.floats(-0.15, 0.15), min_size=1, max_size=9),
    chapters=st.integers(0, 40),
)
def test_a_text_from_600_words_up_scores_95_at_least_and_has_all_its_chapters(
    words: int, usual: int, habit: float, whims: list[float], chapters: int
) -> None:
    length = Length(words=words, paragraphs=None, usual=usual)
    chapters = min(chapters, most_chapters(length))
    length = Length(words=words, paragraphs=None, usual=usual, chapters=chapters)
    paragraphs = written(length, habit=habit, whims=whims)
    assert length_score(words, sum(count for _, count in paragraphs)) >= 95
    assert {chapter for chapter, _ in paragraphs} == (set(range(1, chapters + 1)) if chapters else {0})


@settings(max_examples=200, deadline=None)
@given(paragraphs=st.integers(0, 300), data=st.data())
def test_paragraphs_are_counted_and_shared_evenly_among_chapters(
    paragraphs: int, data: st.DataObject
) -> None:
    length = Length(words=None, paragraphs=paragraphs, usual=120)
    chapters = data.draw(st.integers(0, most_chapters(length)))
    told = written(Length(words=None, paragraphs=paragraphs, usual=120, chapters=chapters))
    assert len(told) == paragraphs
    shares = [sum(1 for chapter, _ in told if chapter == number) for number in range(1, chapters + 1)]
    assert not shares or max(shares) - min(shares) <= 1


def test_chapters_share_the_words_evenly() -> None:
    told = written(Length(words=12_000, paragraphs=None, usual=120, chapters=6), whims=[0.3, -0.2, 0.0, 0.1])
    shares = [sum(words for chapter, words in told if chapter == number) for number in range(1, 7)]
    assert all(abs(share - mean(shares)) < 120 for share in shares)


def test_only_the_last_paragraphs_are_asked_for_another_length() -> None:
    length = Length(words=1200, paragraphs=None, usual=120)
    asked = []
    done = Progress(paragraphs=0, words=0, chapters=0)
    while (paragraph := coming(length, done)) is not None:
        asked.append(paragraph.words)
        done = Progress(paragraphs=done.paragraphs + 1, words=done.words + 135, chapters=0)
    assert asked[:5] == [None] * 5
    assert all(words is not None and 40 < words < 200 for words in asked[-2:])


def test_a_text_that_has_its_words_ends() -> None:
    length = Length(words=900, paragraphs=None, usual=120)
    assert coming(length, Progress(paragraphs=7, words=900, chapters=0)) is None
    assert coming(length, Progress(paragraphs=7, words=2000, chapters=0)) is None


@pytest.mark.parametrize(("paragraphs", "chapters"), [(4, 0), (10, 1), (30, 3), (250, 25)])
def test_a_chapter_has_about_ten_paragraphs(paragraphs: int, chapters: int) -> None:
    assert usual_chapters(Length(words=None, paragraphs=paragraphs, usual=120)) == chapters
    assert usual_chapters(Length(words=paragraphs * 120, paragraphs=None, usual=120)) == chapters
