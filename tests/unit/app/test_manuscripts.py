"""A manuscript becomes a story that is searched, remembered and continued like any other."""

import textwrap
from pathlib import Path

import pytest

from storyloom.app.events import Cancelled, Listener
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import ImportRefused, InvalidText
from storyloom.memory.story import Origin, Story
from storyloom.memory.text import count_words
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel

TOLD = [
    f"{name} {did} the {thing} before the {when} tide. Nobody {saw} it, and the {thing} stayed where it was."
    for name, when in zip(("Mara", "Elias", "Tom", "Anna"), ("first", "second", "third", "last"), strict=True)
    for did, thing, saw in (
        ("buried", "compass", "noticed"),
        ("painted", "boat", "minded"),
        ("stole", "lantern", "believed"),
        ("mended", "net", "praised"),
        ("sold", "anchor", "wanted"),
    )
]


class Stopping(Listener):
    """Asks to stop before the first vector."""

    def __init__(self) -> None:
        self.story: Story | None = None

    def on_story(self, story: Story) -> None:
        self.story = story

    def cancelled(self) -> bool:
        return True


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book of two chapters and twenty paragraphs."""
    file = tmp_path / "The Tide.md"
    parts = ["# The Tide", "## Ebb", *TOLD[:10], "## Flood", *(textwrap.fill(one, 60) for one in TOLD[10:])]
    file.write_text("\n\n".join(parts), encoding="utf-8")
    return file


def test_every_paragraph_is_a_step_without_a_model(studio: Studio, model: InstantModel, book: Path) -> None:
    story = studio.import_file(book, Listener())
    shown = studio.show(story.id)
    assert (story.title, shown.story.premise) == ("The Tide", "")
    assert [step.paragraph for step in shown.steps] == TOLD
    assert {step.paragraph_origin for step in shown.steps} == {Origin.PERSON}
    assert {(step.plan, step.plans, step.model) for step in shown.steps} == {("", (), "")}
    assert model.requests == []


def test_it_is_searched(studio: Studio, book: Path) -> None:
    story = studio.import_file(book, Listener()).id
    assert (
        studio.remembering.search(story, "Who stole the lantern before the third tide?")[0].text == TOLD[12]
    )


def test_its_memory_is_quoted_from_its_end(studio: Studio, book: Path) -> None:
    story = studio.import_file(book, Listener()).id
    page = studio.remembering.page(story)
    assert count_words(page.text) <= 120
    assert len(page.notes) > 3
    for note in page.notes:
        assert note.text in TOLD[note.depth - 1]
        assert note.origin is Origin.QUOTED
    steps = studio.show(story).steps
    assert all(step.memory_origin in {Origin.QUOTED, Origin.CARRIED} for step in steps)
    studio.editing.paragraph(story, 18, "The whale ate the harbour wall.")
    studio.editing.undo(story)
    assert studio.remembering.blame(story).notes == page.notes


def test_it_is_continued_without_a_premise(studio: Studio, book: Path) -> None:
    story = studio.import_file(book, Listener()).id
    with pytest.raises(InvalidText, match="0 plans"):
        list(studio.write(story, Listener(), wish=Wish(choice=1)))
    first, second = studio.write(story, Listener(), paragraphs=2)
    assert (first.depth, second.depth) == (21, 22)
    assert first.paragraph
    assert len(first.plans) == 3
    prompt = "\n".join(slot.text for slot in studio.provenance(story, 21).slots)
    assert TOLD[-1] in prompt
    assert studio.remembering.blame(story).notes[0].text in prompt
    list(studio.write(story, Listener(), wish=Wish(plan=TOLD[0])))
    recalled = [slot.text for slot in studio.provenance(story, 23).slots if slot.slot == "recall"]
    assert recalled
    assert set(recalled) <= set(TOLD)


@pytest.mark.parametrize("suffix", [".md", ".txt"])
def test_it_goes_out_as_it_came_in(studio: Studio, book: Path, tmp_path: Path, suffix: str) -> None:
    story = studio.import_file(book, Listener()).id
    first = studio.export(story, tmp_path / f"first{suffix}")
    again = studio.import_file(first, Listener())
    assert again.title == "The Tide"
    assert [step.paragraph for step in studio.show(again.id).steps] == TOLD
    assert studio.export(again.id, tmp_path / f"second{suffix}").read_bytes() == first.read_bytes()


def test_a_branch_has_the_chapters_that_it_shares(studio: Studio, book: Path, tmp_path: Path) -> None:
    story = studio.import_file(book, Listener()).id
    early, late = studio.branch(story, at=10), studio.branch(story, at=11)
    told = [studio.export(story, tmp_path / "b.md", strand.id).read_text("utf-8") for strand in (early, late)]
    assert ["## Flood" in one for one in told] == [False, True]
    assert all("## Ebb" in one for one in told)


def test_as_json_it_comes_back_equal(studio: Studio, book: Path, tmp_path: Path) -> None:
    story = studio.import_file(book, Listener()).id
    studio.editing.paragraph(story, 12, "The whale ate the harbour wall.")
    first = studio.export(story, tmp_path / "first.json")
    studio.delete(story)
    studio.import_file(first, Listener())
    assert studio.export(story, tmp_path / "second.json").read_bytes() == first.read_bytes()


def test_a_stop_keeps_the_story_and_its_vectors_come_later(
    studio: Studio, book: Path, database: Database
) -> None:
    stopping = Stopping()
    with pytest.raises(Cancelled, match="0 of 20"):
        studio.import_file(book, stopping)
    (kept,) = studio.stories()
    assert stopping.story is not None
    assert (kept.id, kept.steps) == (stopping.story.id, 20)
    assert studio.remembering.search(kept.id, "stole lantern third tide")[0].text == TOLD[12]
    del database


def test_what_cannot_be_read_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ImportRefused):
        studio.import_file(file, Listener())
    assert studio.stories() == []


def test_an_edit_far_back_brings_no_note_to_the_end(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text(
        "\n\n".join(f"{one} It was day {day}." for day in range(4) for one in TOLD), encoding="utf-8"
    )
    story = studio.import_file(file, Listener()).id
    page = studio.remembering.page(story)
    studio.editing.paragraph(story, 3, "The whale ate the harbour wall.")
    made = studio.rebuilding.rebuild(story, Listener())
    assert (made.notes, made.vectors) == (0, 1)
    assert studio.remembering.page(story) == page
    assert studio.editing.stale(story) == []
