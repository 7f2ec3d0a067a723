from collections.abc import Callable
from dataclasses import replace

import pytest

from storyloom.memory.story import Document, Passage, PassageKind, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.formats import json_format


@pytest.fixture
def documents(database: Database, story: Story) -> list[Document]:
    """Two documents of the story, kept."""
    made = [
        Document(
            story_id=story.id, id="tides", text="High at six.", about={"page": 1, "tags": ["sea", None]}
        ),
        Document(story_id=story.id, id="鐘", text="A bell\nof \x01 bronze."),
    ]
    with database.unit_of_work() as work:
        work.documents.put(made)
        work.commit()
    return made


def test_documents_come_back_in_the_order_they_are_asked_for(
    database: Database, story: Story, documents: list[Document]
) -> None:
    with database.unit_of_work(write=False) as work:
        assert work.documents.get(story.id, ["鐘", "gone", "tides"]) == documents[::-1]
        assert work.documents.get("another", ["tides"]) == []
        assert work.documents.of_story(story.id) == documents


@pytest.mark.parametrize("about", [{}, {"page": True}, {"page": 1.5}, {"new": {"deep": [1]}}])
def test_a_document_of_the_same_id_takes_its_place(
    database: Database, story: Story, documents: list[Document], about: dict[str, object]
) -> None:
    changed = replace(documents[0], text="High at seven.", about=about)
    with database.unit_of_work() as work:
        work.documents.put([changed])
        work.commit()
    with database.unit_of_work(write=False) as work:
        (found,) = work.documents.get(story.id, ["tides"])
        assert len(work.documents.of_story(story.id)) == 2
    assert found == changed
    assert repr(found.about) == repr(about), "1 and True are not the same"


def test_two_stories_may_use_the_same_id(
    database: Database, documents: list[Document], new_story: Callable[..., Story]
) -> None:
    other = new_story(id="other0000001")
    with database.unit_of_work() as work:
        work.stories.add(other)
        work.strands.add(Strand(id="theirs", story_id=other.id, created_at=other.created_at))
        work.documents.put([replace(documents[0], story_id=other.id, text="Theirs.")])
        work.documents.remove(other.id, ["tides", "gone"])
        assert work.documents.of_story(other.id) == []
        assert work.documents.of_story(documents[0].story_id) == documents


def test_documents_go_with_their_story(database: Database, story: Story, documents: list[Document]) -> None:
    assert documents
    with database.unit_of_work() as work:
        work.stories.delete(story.id)
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.documents.of_story(story.id) == []


def test_an_exported_story_has_its_documents(
    database: Database, story: Story, documents: list[Document]
) -> None:
    passage = Passage(strand_id="main", depth=0, text="High", kind=PassageKind.DOCUMENT, source="tides")
    with database.unit_of_work() as work:
        work.passages.add([passage])
        text = json_format.dump_story(work, story.id)
        work.stories.delete(story.id)
        json_format.import_story(work, text, owner="local")
        assert work.documents.of_story(story.id) == documents
        assert list(work.passages.of_strand("main")) == [passage]
        assert json_format.dump_story(work, story.id) == text
