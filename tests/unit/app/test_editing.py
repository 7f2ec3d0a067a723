"""Edits by hand: what they change, what they make stale and where, and that each can be undone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.given_text import LONGEST_PARAGRAPH
from storyloom.app.indexes import Indexes
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText, StrandNotFound
from storyloom.memory.history import History
from storyloom.memory.story import Origin, StalePart
from storyloom.storage.database import Database

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
NEW = "Elias brought a whale to the attic, and nobody knew where the stairs had gone."


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story with six steps."""
    return studio.import_file(told(6), Listener()).id


def write(studio: Studio, story: str, paragraphs: int = 1, strand: str | None = None) -> None:
    list(studio.write(story, Listener(), paragraphs=paragraphs, strand=strand))


def marks(studio: Studio, story: str, strand: str | None = None) -> list[tuple[int, str]]:
    return [(one.depth, one.part.value) for one in studio.editing.stale(story, strand)]


def exported(studio: Studio, story: str, folder: Path) -> dict[str, list[dict[str, object]]]:
    file: dict[str, list[dict[str, object]]] = json.loads(
        studio.export(story, folder / "story.json").read_text(encoding="utf-8")
    )
    return file


AFTER_3 = [(3, "note"), (4, "page"), (5, "page"), (6, "page")]


def test_an_edit_replaces_the_text_everywhere_it_is_read(
    studio: Studio, story: str, database: Database
) -> None:
    old = studio.show(story).steps[2].paragraph
    edited = studio.editing.paragraph(story, 3, f"  {NEW}\r\n")
    assert (edited.step.paragraph, edited.step.paragraph_origin) == (NEW, Origin.PERSON)
    assert studio.show(story).steps[2] == edited.step
    with database.unit_of_work(write=False) as work:
        segments = work.steps.segments(edited.step.strand_id)
        (missing,) = work.passages.missing_vectors(segments, embedder="words", limit=9)
    assert (missing.depth, missing.text) == (3, NEW)
    assert studio.remembering.search(story, "Elias whale attic")[0].text == NEW
    assert old not in {item.text for item in studio.remembering.search(story, old)}


def test_no_later_paragraph_may_repeat_the_new_text(studio: Studio, story: str, database: Database) -> None:
    indexes, shown = Indexes(database), studio.show(story)
    before = indexes.of(shown.strand.id, depth=6, version=shown.story.version)
    assert before.index.overlap(NEW) == 0
    studio.editing.paragraph(story, 3, NEW)
    version = studio.show(story).story.version
    assert indexes.of(shown.strand.id, depth=6, version=version).index.overlap(NEW) == 1


def test_marks_stand_on_every_strand_that_shares_the_step_and_nowhere_else(
    studio: Studio, story: str
) -> None:
    late = studio.branch(story, at=4)
    early = studio.branch(story, at=2)
    write(studio, story, 2, late.id)
    write(studio, story, 2, early.id)
    of_late = studio.branch(story, at=5, strand=late.id)
    of_early = studio.branch(story, at=3, strand=early.id)
    before_it = studio.branch(story, at=2, strand=late.id)
    for branch in (of_late, of_early, before_it):
        write(studio, story, 1, branch.id)
    edited = studio.editing.paragraph(story, 3, NEW)
    assert marks(studio, story) == AFTER_3
    assert marks(studio, story, late.id) == AFTER_3
    assert marks(studio, story, of_late.id) == AFTER_3
    for branch in (early, of_early, before_it):
        assert marks(studio, story, branch.id) == []
    assert {(one.strand_id, one.depth) for one in edited.stale} == {
        *((studio.show(story).strand.id, depth) for depth in (3, 4, 5, 6)),
        *((late.id, depth) for depth in (5, 6)),
        (of_late.id, 6),
    }


def test_a_shared_step_is_edited_on_its_own_strand(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=4)
    main = studio.show(story).strand.id
    with pytest.raises(InvalidText, match=f"Step 3 is shared with the strand {main}"):
        studio.editing.paragraph(story, 3, NEW, branch.id)
    assert studio.editing.revisions(story) == []
    studio.editing.paragraph(story, 3, NEW, main)
    assert studio.show(story, branch.id).steps[2].paragraph == NEW


@pytest.mark.parametrize("text", ["", " \n", "\x00", "x" * (LONGEST_PARAGRAPH + 1)])
def test_a_text_that_cannot_stand_is_refused(studio: Studio, story: str, text: str) -> None:
    with pytest.raises(InvalidText, match="paragraph"):
        studio.editing.paragraph(story, 3, text)
    assert studio.editing.revisions(story) == []


@pytest.mark.parametrize("depth", [0, 7, -1])
def test_a_step_that_is_not_there_is_told(studio: Studio, story: str, depth: int) -> None:
    with pytest.raises(StrandNotFound, match=f"step {depth}"):
        studio.editing.paragraph(story, depth, NEW)


def test_the_same_text_is_no_edit(studio: Studio, story: str) -> None:
    old = studio.show(story).steps[2].paragraph
    assert studio.editing.paragraph(story, 3, old).stale == ()
    assert (studio.editing.revisions(story), marks(studio, story)) == ([], [])


# Undo


def test_undo_before_a_rebuild_takes_the_marks_away(studio: Studio, story: str) -> None:
    before = studio.show(story).steps
    studio.editing.paragraph(story, 3, NEW)
    undone = studio.editing.undo(story)
    assert (undone.subject, undone.depth, undone.new) == ("paragraph", 3, NEW)
    assert studio.show(story).steps == before
    assert marks(studio, story) == []
    assert studio.remembering.search(story, before[2].paragraph)[0].text == before[2].paragraph


def test_undo_of_undo_is_the_edit_again(studio: Studio, story: str) -> None:
    studio.editing.paragraph(story, 3, NEW)
    edited = studio.show(story).steps
    studio.editing.undo(story)
    studio.editing.undo(story)
    assert studio.show(story).steps == edited
    assert marks(studio, story) == AFTER_3
    studio.editing.undo(story)
    assert marks(studio, story) == []


def test_undo_after_a_rebuild_marks_again(studio: Studio, story: str) -> None:
    before = studio.show(story).steps
    studio.editing.paragraph(story, 3, NEW)
    studio.rebuilding.rebuild(story, Listener())
    assert marks(studio, story) == []
    assert studio.editing.undo(story).subject == "paragraph"
    assert marks(studio, story) == AFTER_3
    studio.rebuilding.rebuild(story, Listener())
    assert [step.memory for step in studio.show(story).steps] == [step.memory for step in before]


def test_undo_of_one_edit_leaves_what_another_made_stale(studio: Studio, story: str) -> None:
    studio.editing.paragraph(story, 2, "Mara sold the lamp to a heron.")
    studio.editing.paragraph(story, 4, NEW)
    first = studio.editing.revisions(story)[1]
    studio.editing.undo(story, first.id)
    assert marks(studio, story) == [(4, "note"), (5, "page"), (6, "page")]


def test_undo_leaves_the_marks_of_another_strands_step_alone(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=2)
    write(studio, story, 2, branch.id)
    studio.editing.paragraph(story, 3, "The branch went its own way.", branch.id)
    studio.editing.paragraph(story, 3, NEW)
    studio.editing.undo(story)
    assert marks(studio, story) == []
    assert marks(studio, story, branch.id) == [(3, "note"), (4, "page")]


def test_of_two_edits_of_a_paragraph_each_can_be_undone(studio: Studio, story: str) -> None:
    original = studio.show(story).steps[2].paragraph
    studio.editing.paragraph(story, 3, "First.")
    studio.editing.paragraph(story, 3, "Second.")
    second, first = studio.editing.revisions(story)
    studio.editing.undo(story, second.id)
    assert studio.show(story).steps[2].paragraph == "First."
    assert marks(studio, story) == AFTER_3
    studio.editing.undo(story, first.id[:6])
    assert studio.show(story).steps[2].paragraph == original
    assert marks(studio, story) == []


def test_history_knows_what_can_be_undone_on_a_strand(studio: Studio, story: str) -> None:
    late, early = studio.branch(story, at=4), studio.branch(story, at=2)
    assert studio.editing.history(story) == History()
    studio.editing.paragraph(story, 3, NEW)
    studio.settings.change(story, {"style": "spare"})
    (edit,) = [one for one in studio.editing.revisions(story) if one.subject == "paragraph"]
    assert studio.editing.history(story).undo == edit
    assert studio.editing.history(story, late.id).undo == edit
    assert studio.editing.history(story, early.id) == History()
    studio.remembering.rewrite(story, "The key is lost.", early.id)
    page = studio.editing.history(story, early.id).undo
    assert page is not None
    assert (page.subject, page.depth) == ("short_memory", 2)
    studio.editing.undo(story, edit.id)
    undone = studio.editing.history(story)
    assert undone.undo is None
    assert undone.redo is not None
    studio.editing.undo(story, undone.redo.id)
    assert studio.show(story).steps[2].paragraph == NEW


def test_revisions_stand_newest_first(studio: Studio, story: str) -> None:
    studio.editing.paragraph(story, 3, "First.")
    studio.settings.change(story, {"style": "spare"})
    studio.remembering.rewrite(story, "The key is lost.")
    found = studio.editing.revisions(story)
    assert [one.subject for one in found] == ["short_memory", "setting:style", "paragraph"]
    assert [one.created_at for one in found] == sorted((one.created_at for one in found), reverse=True)


@pytest.mark.parametrize("which", ["nowhere", "-", "%"])
def test_an_unknown_revision_is_told(studio: Studio, story: str, which: str) -> None:
    studio.editing.paragraph(story, 3, NEW)
    with pytest.raises(InvalidText, match="revision"):
        studio.editing.undo(story, which)


def test_nothing_to_undo_is_told(studio: Studio, story: str) -> None:
    with pytest.raises(InvalidText, match="nothing to undo"):
        studio.editing.undo(story)


# Pages


def test_a_page_is_undone_where_it_stood(studio: Studio, story: str) -> None:
    before = studio.show(story).steps[5]
    studio.remembering.rewrite(story, "The key is lost.")
    write(studio, story, 2)
    head = studio.remembering.page(story)
    studio.editing.undo(story)
    assert studio.show(story).steps[5] == before
    assert studio.remembering.page(story) == head
    assert marks(studio, story) == [(7, "page"), (8, "page")]
    studio.rebuilding.rebuild(story, Listener())
    page = studio.remembering.page(story)
    assert "The key is lost." not in page.text
    assert {note.depth for note in page.notes} >= {7, 8}


def test_a_branchs_own_first_page_is_undone_where_it_stood(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=4)
    studio.remembering.rewrite(story, "On this way the sea is dry.", branch.id)
    write(studio, story, 2, branch.id)
    own = studio.show(story, branch.id).steps[5]
    shared = studio.show(story).steps
    studio.editing.undo(story)
    assert studio.show(story, branch.id).steps[5] == own
    assert studio.show(story).steps == shared
    assert marks(studio, story, branch.id) == [(5, "page"), (6, "page")]
    studio.rebuilding.rebuild(story, Listener(), branch.id)
    page = studio.remembering.page(story, branch.id)
    assert "the sea is dry" not in page.text
    assert page.notes[: len(shared[3].memory.notes)] == shared[3].memory.notes


def test_the_page_before_the_first_step_is_undone_there(studio: Studio) -> None:
    begun = studio.begin(Beginning(premise=PREMISE, seed=3), Listener()).story.id
    studio.remembering.rewrite(begun, "It is winter.")
    write(studio, begun, 2)
    head = studio.show(begun).steps[1].memory
    studio.editing.undo(begun)
    assert studio.show(begun).steps[1].memory == head
    assert marks(studio, begun) == [(1, "page"), (2, "page")]
    studio.rebuilding.rebuild(begun, Listener())
    assert studio.remembering.page(begun).notes[0].text == PREMISE
    assert "It is winter." not in studio.remembering.page(begun).text


# Settle, and the file


def test_only_paragraphs_are_settled(studio: Studio, story: str, database: Database) -> None:
    studio.editing.paragraph(story, 3, NEW)
    note, *_ = studio.editing.stale(story)
    with database.unit_of_work() as work:
        work.stale.add([replace(note, part=StalePart.PARAGRAPH, depth=5)])
        work.commit()
    assert studio.editing.settle(story) == 1
    assert marks(studio, story) == AFTER_3
    assert studio.editing.settle(story) == 0


def test_a_file_takes_all_of_it_along(studio: Studio, story: str, tmp_path: Path) -> None:
    studio.settings.change(story, {"approve_memory": "true", "recall.limit": "5", "note_depth": "2"})
    branch = studio.branch(story, at=3)
    write(studio, story, 2)
    write(studio, story, 2, branch.id)
    studio.remembering.pin(story, "2")
    studio.remembering.decide(story, 7, approve=True)
    studio.editing.paragraph(story, 2, NEW)
    studio.editing.paragraph(story, 4, "Another way.", branch.id)
    studio.editing.undo(story)
    studio.rebuilding.rebuild(story, Listener(), branch.id)
    first = studio.export(story, tmp_path / "first.json").read_bytes()
    file = exported(studio, story, tmp_path)
    assert all(file[part] for part in ("stale", "proposals", "revisions", "passages"))
    studio.delete(story)
    studio.import_file(tmp_path / "first.json", Listener())
    assert studio.export(story, tmp_path / "second.json").read_bytes() == first
    studio.editing.undo(story)
