from collections.abc import Callable
from pathlib import Path

import pytest

from storyloom.app.events import Cancelled, Listener
from storyloom.app.given_text import LONGEST_PARAGRAPH, LONGEST_PLAN
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText, StepConflict, StrandNotFound
from storyloom.memory.story import Origin
from tests.stand_ins import InstantModel

# Marks of writing and white space that no cleaning of the whole would leave as they are.
ODD = "  Mara\tlit  the lamp.\n\nThe sea lay flat; a\u0301 gull cried.  Nobody came.\n"
FLAT = "The sea lay flat;"


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story of three steps."""
    return studio.import_file(told(3), Listener()).id


def paragraph(studio: Studio, story: str, depth: int = 2, strand: str | None = None) -> str:
    return studio.show(story, strand).steps[depth - 1].paragraph


def with_odd(studio: Studio, story: str) -> None:
    """Let the second paragraph be one that came from elsewhere."""
    line = studio.show(story).strand
    with studio.shelf.database.unit_of_work() as work:
        work.steps.set_paragraph(line.id, 2, ODD, origin=Origin.PERSON)
        work.commit()


def test_only_what_is_marked_changes_and_the_edit_is_undone_and_done_again(
    studio: Studio, story: str
) -> None:
    with_odd(studio, story)
    marked = studio.rewriting.mark(story, 2, "make it rain", words=FLAT)
    proposed = studio.rewriting.propose(marked, Listener())
    assert proposed.text not in {"", FLAT}
    assert proposed.calls[-1].agent == "rewriter"
    assert paragraph(studio, story) == ODD
    edited = studio.rewriting.keep(marked, proposed.text)
    before, after = ODD.split(FLAT)
    assert paragraph(studio, story) == f"{before}{proposed.text}{after}"
    assert edited.step.paragraph_origin is Origin.PERSON
    assert [(mark.depth, mark.part.value) for mark in edited.stale] == [(2, "note"), (3, "page")]
    history = studio.editing.history(story)
    assert history.undo is not None
    studio.editing.undo(story, history.undo.id)
    assert paragraph(studio, story) == ODD
    redo = studio.editing.history(story).redo
    assert redo is not None
    studio.editing.undo(story, redo.id)
    assert paragraph(studio, story) == f"{before}{proposed.text}{after}"


def test_the_model_reads_what_stands_beside_the_words(
    studio: Studio, story: str, model: InstantModel
) -> None:
    first, last = paragraph(studio, story, 1), paragraph(studio, story, 3)
    marked = studio.rewriting.mark(story, 2, "shorter")
    assert marked.passage == paragraph(studio, story)
    studio.rewriting.propose(marked, Listener())
    asked = model.requests[-1].prompt[-1]
    assert not isinstance(asked, str)
    assert first.rsplit(". ", 1)[-1] in asked.content
    assert last.split(". ", 1)[0] in asked.content


def test_each_attempt_brings_other_words_and_the_same_one_the_same(studio: Studio, story: str) -> None:
    marked = studio.rewriting.mark(story, 2, "make it rain")
    texts = [studio.rewriting.propose(marked, Listener(), attempt=at).text for at in (0, 1, 0)]
    assert texts[0] == texts[2] != texts[1]
    assert studio.rewriting.propose(marked, Listener(), seed=99).text != texts[0]


def test_a_person_s_own_unsaved_words_are_kept_with_the_new_ones(studio: Studio, story: str) -> None:
    kept = paragraph(studio, story)
    mine = "Mara slept. The sea lay flat. Nobody came."
    marked = studio.rewriting.mark(story, 2, "make it rain", seen=(kept, mine), span=(12, 29))
    assert marked.passage == "The sea lay flat."
    studio.rewriting.keep(marked, " It rained. ")
    assert paragraph(studio, story) == "Mara slept. It rained. Nobody came."


@pytest.mark.parametrize("span", [(0, 0), (5, 5), (11, 12), (-9, 999)])
def test_nothing_marked_is_the_whole_paragraph(studio: Studio, story: str, span: tuple[int, int]) -> None:
    kept = paragraph(studio, story)
    mine = "Mara slept. The sea lay flat. "
    marked = studio.rewriting.mark(story, 2, "make it rain", seen=(kept, mine), span=span)
    assert (marked.start, marked.end) == (0, len(mine) - 1)


def test_a_paragraph_that_changed_meanwhile_is_left_alone(studio: Studio, story: str) -> None:
    kept = paragraph(studio, story)
    marked = studio.rewriting.mark(story, 2, "make it rain")
    studio.editing.paragraph(story, 2, "Somebody else wrote this.")
    revisions = studio.editing.revisions(story)
    with pytest.raises(StepConflict, match="Paragraph 2 was changed meanwhile"):
        studio.rewriting.keep(marked, "It rained.")
    with pytest.raises(StepConflict):
        studio.rewriting.mark(story, 2, "make it rain", seen=(kept, kept))
    assert paragraph(studio, story) == "Somebody else wrote this."
    assert studio.editing.revisions(story) == revisions


def test_what_can_not_be_kept_changes_nothing(studio: Studio, story: str) -> None:
    before = paragraph(studio, story)
    marked = studio.rewriting.mark(story, 2, "make it rain")
    for words in ("", " \x00", "x" * (LONGEST_PARAGRAPH + 1)):
        with pytest.raises(InvalidText):
            studio.rewriting.keep(marked, words)
    assert studio.rewriting.keep(marked, marked.passage).stale == ()
    assert paragraph(studio, story) == before
    assert studio.editing.revisions(story) == []


def test_a_shared_paragraph_is_kept_on_its_own_strand(studio: Studio, story: str) -> None:
    branch = studio.branch(story, at=2)
    marked = studio.rewriting.mark(story, 2, "make it rain", branch.id)
    with pytest.raises(InvalidText, match="is shared with the strand"):
        studio.rewriting.keep(marked, "It rained.")


@pytest.mark.parametrize("instruction", ["", " ", "x" * (LONGEST_PLAN + 1)])
def test_an_instruction_that_says_nothing_is_refused(studio: Studio, story: str, instruction: str) -> None:
    with pytest.raises(InvalidText, match="instruction"):
        studio.rewriting.mark(story, 2, instruction)


def test_words_must_stand_there_once(studio: Studio, story: str) -> None:
    studio.editing.paragraph(story, 2, "It rained. It rained. It snowed.")
    with pytest.raises(InvalidText, match="don't stand in paragraph 2"):
        studio.rewriting.mark(story, 2, "drier", words="It hailed.")
    with pytest.raises(InvalidText, match="2 times"):
        studio.rewriting.mark(story, 2, "drier", words="It rained.")
    assert studio.rewriting.mark(story, 2, "drier", words=" It snowed.").passage == "It snowed."
    with pytest.raises(StrandNotFound):
        studio.rewriting.mark(story, 9, "drier")


def test_a_stop_changes_nothing_and_no_transaction_is_open_meanwhile(studio: Studio, story: str) -> None:
    class Stopping(Listener):
        def cancelled(self) -> bool:
            studio.editing.paragraph(story, 3, "Another writes while the model does.")
            return True

    marked = studio.rewriting.mark(story, 2, "make it rain")
    with pytest.raises(Cancelled):
        studio.rewriting.propose(marked, Stopping())
    assert paragraph(studio, story) == marked.kept
    assert paragraph(studio, story, 3) == "Another writes while the model does."
