from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from storyloom.app.documents import Library
from storyloom.app.shelf import Shelf
from storyloom.memory.errors import InvalidText, StoryNotFound
from storyloom.memory.story import Document, PassageKind, Strand
from storyloom.storage.database import Database
from tests.stand_ins import WordEmbedder


class Counting(WordEmbedder):
    """Remembers what it was asked to embed; vectors of another name are another's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        return super().embed(texts)


@pytest.fixture
def shelf(database: Database, strand: Strand) -> Shelf:
    assert strand
    return Shelf(database, "local")


@pytest.fixture
def library(shelf: Shelf) -> Library:
    return Library(shelf, WordEmbedder(), "The Lamp")


def likest(library: Library, query: str, limit: int = 4, **about: object) -> list[str]:
    def wanted(document: Document) -> bool:
        return about.items() <= document.about.items()

    return [one.document.id for one in library.nearest(WordEmbedder().embed([query])[0], limit, wanted)]


def test_the_likest_document_comes_first(library: Library) -> None:
    library.put([("tides", "high tide at six", {}), ("bell", "the bell of bronze", {})])
    assert likest(library, "a bell of bronze") == ["bell", "tides"]
    assert likest(library, "high tide") == ["tides", "bell"]
    assert likest(library, "high tide", 1) == ["tides"]
    assert likest(library, "high tide", 0) == []


def test_a_document_that_is_put_again_takes_its_place_and_what_was_found_by_the_old_text_is_gone(
    library: Library, database: Database, strand: Strand
) -> None:
    library.put([("tides", "high tide at six " * 200, {"page": 1}), ("bell", "the bell", {})])
    library.put([("tides", "never counts", {}), ("tides", "the sea is low", {"page": 2})])
    assert [(one.text, one.about) for one in library.get(["tides", "gone"])] == [
        ("the sea is low", {"page": 2})
    ]
    with database.unit_of_work(write=False) as work:
        texts = {passage.text for passage in work.passages.of_strand(strand.id)}
    assert texts == {"the sea is low", "the bell"}


def test_a_long_document_is_found_by_any_of_its_pieces_and_only_once(
    library: Library, database: Database, strand: Strand
) -> None:
    filler = "The keeper writes the weather down every night before going to bed. " * 30
    library.put(
        [("log", f"{filler}A whale sang beneath the pier. {filler}", {}), ("bell", "rope and bell", {})]
    )
    assert likest(library, "whale sang beneath pier")[0] == "log"
    assert likest(library, "the keeper writes", 2) == ["log", "bell"], "its many pieces leave room"
    with database.unit_of_work(write=False) as work:
        passages = list(work.passages.of_strand(strand.id))
    assert len(passages) > 3
    assert {(one.kind, one.depth) for one in passages} == {(PassageKind.DOCUMENT, 0)}


def test_only_what_is_wanted_is_found_however_far_down_it_stands(library: Library) -> None:
    library.put(
        [(f"d{number}", f"the bell number {number}", {"odd": number % 2 == 1}) for number in range(40)]
    )
    library.put([("far", "nothing of it", {"page": 7})])
    assert likest(library, "the bell number", 1, page=7) == ["far"]
    assert len(likest(library, "the bell number", 30, odd=True)) == 20


def test_what_is_removed_is_found_no_more(library: Library, database: Database, strand: Strand) -> None:
    library.put([(name, f"the bell {name}", {}) for name in ("a", "b", "c")])
    library.remove(["a", "gone"])
    assert sorted(likest(library, "the bell")) == ["b", "c"]
    library.remove(None)
    assert likest(library, "the bell") == []
    assert library.get(["b"]) == []
    with database.unit_of_work(write=False) as work:
        assert list(work.passages.of_strand(strand.id)) == []


def test_another_embedder_makes_the_vectors_that_it_misses_once(shelf: Shelf) -> None:
    first, second = Counting("first"), Counting("second")
    Library(shelf, first, "The Lamp").put([(f"d{number}", f"the bell {number}", {}) for number in range(70)])
    other = Library(shelf, second, "The Lamp")
    assert likest(other, "the bell 7")[0] == "d7"
    assert len(second.asked) == 70
    assert likest(other, "the bell 9")[0] == "d9"
    assert len(second.asked) == 70


def test_texts_are_kept_without_control_characters(library: Library) -> None:
    library.put([("a", "one\r\ntwo\0\ud800", {"crlf": "\r\n"})])
    (kept,) = library.get(["a"])
    assert (kept.text, kept.about) == ("one\ntwo", {"crlf": "\r\n"})


@pytest.mark.parametrize(
    ("id_", "about"),
    [
        ("", {}),
        ("x" * 501, {}),
        ("a\nb", {}),
        ("\ud800", {}),
        ("a", {"when": datetime(2024, 1, 1)}),  # noqa: DTZ001
        ("a", {"pair": (1, 2)}),
        ("a", {1: "one"}),
        ("a", {"much": float("nan")}),
        ("a", {"much": 2**63}),
        ("a", {"half": "\ud800"}),
    ],
)
def test_what_no_file_could_hold_is_refused_and_nothing_is_kept(
    library: Library, id_: str, about: dict[Any, Any]
) -> None:
    with pytest.raises(InvalidText):
        library.put([("good", "text", {}), (id_, "text", about)])
    assert library.get(["good"]) == []


def test_about_that_holds_itself_is_refused(library: Library) -> None:
    about: dict[str, Any] = {}
    about["self"] = about
    with pytest.raises(InvalidText):
        library.put([("a", "text", about)])


def test_a_story_that_is_not_there_is_told(shelf: Shelf, library: Library) -> None:
    with pytest.raises(StoryNotFound):
        Library(shelf, WordEmbedder(), "nowhere")
    with pytest.raises(StoryNotFound):
        Library(shelf.of_owner("stranger"), WordEmbedder(), "The Lamp")
    with shelf.database.unit_of_work() as work:
        work.stories.delete(library.story_id)
        work.commit()
    with pytest.raises(StoryNotFound):
        library.put([("a", "text", {})])
