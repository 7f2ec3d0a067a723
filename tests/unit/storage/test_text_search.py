import pytest

from storyloom.memory.story import Passage, Story
from storyloom.storage.database import Database
from storyloom.storage.text_search import text_search


@pytest.fixture
def big(database: Database, story: Story) -> Database:
    """A strand in which "sea" is everywhere, "bells" in a tenth, "gull" once."""
    assert story
    texts = dict.fromkeys(range(1, 101), "the sea")
    texts |= dict.fromkeys(range(10, 101, 10), "the sea and bells") | {5: "a gull on the sea"}
    with database.unit_of_work() as work:
        work.passages.add(
            [Passage(strand_id="main", depth=depth, text=text) for depth, text in texts.items()]
        )
        work.commit()
    return database


def holders(
    database: Database, terms: list[str], first: int = 1, last: int = 100, most: int = 1000
) -> list[list[int]]:
    with database.unit_of_work(write=False) as work:
        found = text_search(work._session).holders(terms, first=first, last=last, most=most)
    return [ids.tolist() for ids in found]


def test_each_term_names_the_passages_that_hold_it_in_any_form(big: Database) -> None:
    assert holders(big, ["gull", "bell", "absent", "SEA"]) == [
        [5],
        list(range(10, 101, 10)),
        [],
        list(range(1, 101)),
    ]


def test_only_a_range_of_ids_is_looked_at_and_only_so_many_are_named(big: Database) -> None:
    assert holders(big, ["bell", "sea"], first=20, last=45) == [[20, 30, 40], list(range(20, 46))]
    assert holders(big, ["sea", "bell"], most=3) == [[1, 2, 3], [10, 20, 30]]


def test_a_strands_name_is_no_word_of_its_passages(big: Database) -> None:
    assert holders(big, ["main"]) == [[]]


def test_nothing_to_look_for(big: Database) -> None:
    assert holders(big, []) == []
