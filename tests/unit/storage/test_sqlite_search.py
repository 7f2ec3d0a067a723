from collections.abc import Callable

import pytest

from storyloom.memory.story import Passage, Segment, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.sqlite_search import _MOST_ROWS, SqliteTextSearch
from storyloom.storage.unit_of_work import UnitOfWork


def fill(work: UnitOfWork, strand_id: str, texts: dict[int, str]) -> None:
    work.passages.add([Passage(strand_id=strand_id, depth=depth, text=text) for depth, text in texts.items()])


@pytest.fixture
def big(database: Database, story: Story) -> Database:
    """A strand in which "sea" is everywhere, "bell" in a tenth, "gull" once."""
    assert story
    texts = dict.fromkeys(range(1, 1001), "the sea")
    texts |= dict.fromkeys(range(10, 1001, 10), "the sea and a bell")
    with database.unit_of_work() as work:
        fill(work, "main", texts | {5: "a gull on the sea"})
        work.commit()
    return database


def ranked(
    database: Database, terms: list[str], segments: tuple[Segment, ...], before: int = 10**6
) -> list[int]:
    with database.unit_of_work(write=False) as work:
        found = work.passages.search(
            terms=terms, vector=(), embedder="", segments=segments, before=before, limit=_MOST_ROWS
        )
    return [candidate.depth for candidate in found]


def expression(database: Database, terms: list[str], segments: tuple[Segment, ...]) -> str:
    with database.unit_of_work(write=False) as work:
        return SqliteTextSearch(work._session).expression(terms, segments)


def test_a_word_that_is_everywhere_is_left_out_when_rarer_ones_are_there(big: Database) -> None:
    chosen = expression(big, ["sea", "bell", "gull", "absent"], (Segment("main", 1000),))
    assert chosen == '({text}: ("gull" OR "bell"))'
    found = ranked(big, ["sea", "bell", "gull"], (Segment("main", 1000),))
    assert found == sorted({5, *range(10, 1001, 10)})


def test_a_word_that_is_everywhere_alone_finds_the_newest(big: Database) -> None:
    assert ranked(big, ["sea"], (Segment("main", 1000),), before=900) == list(range(900 - _MOST_ROWS, 900))
    assert ranked(big, ["sea"], (Segment("main", 30),)) == list(range(1, 31))


def test_other_stories_dont_use_up_the_rows(big: Database, new_story: Callable[..., Story]) -> None:
    small = new_story()
    with big.unit_of_work() as work:
        work.stories.add(small)
        work.strands.add(Strand(id="little-one", story_id=small.id, created_at=small.created_at))
        fill(work, "little-one", {1: "the sea", 2: "a bell", 3: "the sea again"})
        work.commit()
    segments = (Segment("little-one", 3),)
    assert expression(big, ["sea", "bell"], segments) == (
        '({strand_id}: ("little-one")) AND ({text}: ("bell" OR "sea"))'
    )
    assert ranked(big, ["sea", "bell"], segments) == [1, 2, 3]


def test_hundreds_of_forks_can_be_searched(database: Database, story: Story) -> None:
    strands = [f"strand{number:03}" for number in range(600)]
    with database.unit_of_work() as work:
        fill(work, "main", dict.fromkeys(range(1, 1301), "sea"))
        for strand in strands:
            work.strands.add(
                Strand(id=strand, story_id=story.id, parent_id="main", created_at=story.created_at)
            )
            fill(work, strand, {1: "bell"})
        work.commit()
    segments = tuple(Segment(strand, 1) for strand in strands)
    with database.unit_of_work(write=False) as work:
        found = work.passages.search(
            terms=["bell", "sea"], vector=(1.0,), embedder="e", segments=segments, before=9, limit=1000
        )
    assert {candidate.strand_id for candidate in found} <= set(strands)
    assert len(found) == _MOST_ROWS


def test_terms_are_counted_once_and_not_without_end(big: Database) -> None:
    many = [f"word{number}" for number in range(5000)]
    assert expression(big, ["bell", *["bell"] * 100, *many], (Segment("main", 1000),)) == '({text}: ("bell"))'
