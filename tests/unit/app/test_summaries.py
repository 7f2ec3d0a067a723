"""Summaries of twenty steps: made of their notes, found by recall, made again with them."""

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.studio import Studio
from storyloom.memory.story import UNNAMED_CHAPTER, Passage, PassageKind, Strand
from storyloom.storage.database import Database

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


@pytest.fixture
def strand(studio: Studio) -> Strand:
    """A strand that is one step longer than a chapter without a name."""
    begun = studio.begin(Beginning(premise=PREMISE, seed=7), Listener())
    list(studio.write(begun.story.id, Listener(), paragraphs=UNNAMED_CHAPTER + 1))
    return begun.strand


def pieces(database: Database, strand: Strand) -> list[Passage]:
    """A summary as it is searched: a long one in pieces."""
    with database.unit_of_work(write=False) as work:
        return [one for one in work.passages.of_strand(strand.id) if one.kind is PassageKind.SUMMARY]


def text(found: list[Passage]) -> str:
    return "".join(one.text for one in found)


def test_twenty_steps_leave_one_summary_of_all_their_notes(
    studio: Studio, database: Database, strand: Strand
) -> None:
    found = pieces(database, strand)
    with database.unit_of_work(write=False) as work:
        steps = work.steps.path(strand.id, last=UNNAMED_CHAPTER)
    notes = [note.text for step in steps for note in step.added]
    assert len(notes) > 1
    assert {one.depth for one in found} == {UNNAMED_CHAPTER}
    assert text(found) == " ".join(notes)
    assert all(one.vector for one in found)
    hits = studio.remembering.search(strand.story_id, " ".join(notes[:2]))
    assert any(hit.source == f"summary:{strand.id}:{UNNAMED_CHAPTER}" for hit in hits)


def test_a_note_made_again_changes_its_summary(studio: Studio, database: Database, strand: Strand) -> None:
    before = pieces(database, strand)
    studio.editing.paragraph(strand.story_id, 2, "Mara sold the brass lantern to a sailor from Genoa.")
    studio.rebuilding.rebuild(strand.story_id, Listener())
    after = pieces(database, strand)
    with database.unit_of_work(write=False) as work:
        (note,) = work.steps.at(strand.id, 2).added
    assert note.text in text(after)
    assert note.text not in text(before)
    assert all(one.vector for one in after)
