"""Both databases find the same passages with the same scores."""

import random
from collections.abc import Iterator

import numpy as np
import pytest

from storyloom.memory.story import Candidate, Mode, Passage, Segment, Story, Strand
from storyloom.storage.database import Database, utc_now
from storyloom.storage.text_search import text_search

# Endings that a stemmer takes off, accents, other alphabets, marks between words.
STEMS = (
    "bell",
    "keep",
    "rain",
    "hope",
    "light",
    "wander",
    "argue",
    "relation",
    "marry",
    "señor",
    "маяк",
    "鐘",
)
ENDINGS = ("", "s", "ing", "ed", "er", "ly", "ful", "ness", "al", "ation", "y")
MARKS = (" ", ", ", "—", "’", "' ", ". “", "-", "/", "…", " 3.14 ", " 1st ", "\n")


@pytest.fixture
def both(postgresql_url: str, database_file: object) -> Iterator[tuple[Database, Database]]:
    """The same story in SQLite and in PostgreSQL."""
    chance = random.Random(7)
    texts = ["".join(_word(chance) + chance.choice(MARKS) for _ in range(40)) for _ in range(150)]
    vectors = np.random.default_rng(7).normal(size=(len(texts), 24)).astype(np.float32)
    story = Story(
        id="story0000001",
        owner="local",
        title="",
        premise="",
        mode=Mode.NOVEL,
        language="en",
        style="",
        outline="",
        authors_note="",
        settings={},
        created_at=utc_now(),
        updated_at=utc_now(),
    )
    opened = Database(f"sqlite:///{database_file}"), Database(postgresql_url)
    for database in opened:
        with database.unit_of_work() as work:
            work.stories.add(story)
            work.strands.add(Strand(id="main", story_id=story.id, created_at=story.created_at))
            work.passages.add(
                [
                    Passage(
                        strand_id="main",
                        depth=depth,
                        text=told,
                        vector=tuple(vector.tolist()) if depth % 5 else None,
                        embedder="e" if depth % 5 else "",
                    )
                    for depth, (told, vector) in enumerate(zip(texts, vectors, strict=True), start=1)
                ]
            )
            work.commit()
    yield opened
    for database in opened:
        database.close()


def _word(chance: random.Random) -> str:
    word = chance.choice(STEMS) + chance.choice(ENDINGS)
    return chance.choice((word, word.upper(), word.capitalize()))


def test_every_word_is_held_by_the_same_passages(both: tuple[Database, Database]) -> None:
    terms = [stem + ending for stem in STEMS for ending in ENDINGS]
    terms += [
        "SENOR",
        "Señores",
        "don't",
        "bell keeping",
        "keep's",
        "3",
        "14",
        "1st",
        "hope-light",
        "",
        "?!",
        "'",
    ]
    found = []
    for database in both:
        with database.unit_of_work(write=False) as work:
            holders = text_search(work._session).holders(terms, first=20, last=140, most=50)
        found.append({term: ids.tolist() for term, ids in zip(terms, holders, strict=True)})
    assert found[0] == found[1]
    assert sum(bool(ids) for ids in found[0].values()) > len(STEMS)


@pytest.mark.parametrize("seed", range(8))
def test_a_search_gives_the_same_candidates_and_scores(both: tuple[Database, Database], seed: int) -> None:
    chance = random.Random(seed)
    terms = {_word(chance): chance.random() for _ in range(seed * 2)}
    vector = np.random.default_rng(seed).normal(size=24).tolist() if seed % 3 else ()
    found: list[list[Candidate]] = []
    for database in both:
        with database.unit_of_work(write=False) as work:
            found.append(
                work.passages.search(
                    terms=terms,
                    vector=vector,
                    embedder="e",
                    segments=(Segment("main", 120),),
                    before=115,
                    limit=25,
                )
            )
    assert [(hit.depth, hit.text) for hit in found[0]] == [(hit.depth, hit.text) for hit in found[1]]
    for of_sqlite, of_postgresql in zip(*found, strict=True):
        for name in ("bm25", "beside", "chapter", "dense", "likeness"):
            assert getattr(of_postgresql, name) == pytest.approx(getattr(of_sqlite, name), abs=1e-6)
    assert bool(found[0]) == bool(seed)
