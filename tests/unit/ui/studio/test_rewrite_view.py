import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storyloom.app.events import Listener
from storyloom.memory.errors import InvalidText, ModelFailed, StepConflict
from storyloom.memory.generation import Piece, Request
from storyloom.ui.studio import edits_view, paragraph_view, rewrite_html, rewrite_view, write_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.rewrite_view import Asked, View
from storyloom.ui.studio.showing import Labelled, Ticking, Visible
from tests.stand_ins import InstantModel

WAIT = 30.0
PARAGRAPHS = ("Mara lit the lamp. The gulls flew up.", "A boat came in. It was empty. Nobody came.")
EMPTY = "16 29"  # It was empty.


@pytest.fixture
def place(house: House, tmp_path: Path) -> Place:
    """A page on a story of two paragraphs."""
    book = tmp_path / "book.txt"
    book.write_text("\n\n".join(PARAGRAPHS), encoding="utf-8")
    story = house.studio.import_file(book, Listener())
    opened = write_view.opened(house, Place(story.id)).place
    assert opened is not None
    return opened


@pytest.fixture
def asked(house: House, place: Place) -> Asked:
    """The form, open on the second paragraph."""
    opened = rewrite_view.open_(house, place, 2, Asked(), None, None)
    assert (opened.box, opened.asking, opened.deciding) == (Visible(True), Visible(True), Visible(False))
    assert opened.words == Labelled(PARAGRAPHS[1], "Paragraph 2: mark the words that shall change")
    assert opened.asked is not None
    return opened.asked


def texts(house: House, place: Place) -> list[str]:
    return [step.paragraph for step in house.studio.show(place.story_id).steps]


def ended(house: House, place: Place, view: View) -> View:
    """What is shown once the words have come."""
    assert view.asked is not None
    assert (view.clock, view.asking, view.coming) == (Ticking(True), Visible(False), Visible(True))
    rewrite = house.writers.get(view.asked.rewrite_id)
    assert rewrite is not None
    assert rewrite.ended_within(WAIT)
    return rewrite_view.look(house, place, view.asked)


def proposed(house: House, place: Place, asked: Asked, words: str = PARAGRAPHS[1]) -> tuple[Asked, str]:
    """The form with a proposal, and its words."""
    view = ended(house, place, rewrite_view.propose(house, place, asked, words, "make it rain", EMPTY))
    assert view.asked is not None
    assert (view.deciding, view.clock) == (Visible(True), Ticking(False))
    assert view.proposal is not None
    assert view.proposal.value == view.asked.proposed
    return view.asked, view.asked.proposed


def test_marked_words_are_proposed_kept_and_undone(house: House, place: Place, asked: Asked) -> None:
    now, words = proposed(house, place, asked)
    assert words not in {"", "It was empty."}
    assert texts(house, place) == list(PARAGRAPHS)
    kept = rewrite_view.keep(house, place, now, PARAGRAPHS[1], words)
    assert (kept.asked, kept.box) == (Asked(), Visible(False))
    assert "paragraph 2 are saved" in (kept.status or "")
    assert texts(house, place)[1] == f"A boat came in. {words} Nobody came."
    assert "noted of paragraph 2" in (paragraph_view.opened(house, place).stale or "")
    edits_view.undo(house, place)
    assert texts(house, place) == list(PARAGRAPHS)


def test_a_proposal_is_kept_as_the_person_has_changed_it(house: House, place: Place, asked: Asked) -> None:
    now, _ = proposed(house, place, asked)
    rewrite_view.keep(house, place, now, PARAGRAPHS[1], "It was full of rain.")
    assert texts(house, place)[1] == "A boat came in. It was full of rain. Nobody came."


def test_it_is_asked_again_for_the_same_words_and_thrown_away(
    house: House, place: Place, asked: Asked
) -> None:
    now, words = proposed(house, place, asked)
    with pytest.raises(InvalidText, match="You changed the proposal"):
        rewrite_view.again(house, place, now, PARAGRAPHS[1], "make it rain", f"{words} Mine.")
    other = ended(
        house, place, rewrite_view.again(house, place, now, PARAGRAPHS[1], "make it rain", words)
    ).asked
    assert other is not None
    assert other.proposed not in {"", words}
    gone = rewrite_view.throw_away(house, place, other)
    assert (gone.deciding, gone.asking, gone.shown) == (Visible(False), Visible(True), "")
    assert gone.asked == asked
    assert texts(house, place) == list(PARAGRAPHS)


def test_words_come_as_they_are_written_and_can_be_stopped(
    house: House, place: Place, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    came, go = threading.Event(), threading.Event()

    def stream(_self: InstantModel, _request: Request) -> Iterator[Piece]:
        yield Piece("Rain <b>fell</b>")
        came.set()
        assert go.wait(WAIT)
        yield Piece(" and fell")

    monkeypatch.setattr(InstantModel, "stream", stream)
    begun = rewrite_view.propose(house, place, asked, PARAGRAPHS[1], "make it rain", "")
    assert begun.asked is not None
    assert came.wait(WAIT)
    look = rewrite_view.look(house, place, begun.asked)
    assert "Rain &lt;b&gt;fell" in (look.shown or "")
    assert look.deciding is None
    assert write_view.opened(house, place).busy is False
    stopping = rewrite_view.stop(house, place, begun.asked)
    assert stopping.deciding is None
    go.set()
    told = ended(house, place, begun)
    assert "Stopped. The paragraph is as it was." in (told.shown or "")
    assert (told.asking, told.coming, told.clock) == (Visible(True), Visible(False), Ticking(False))


def test_a_failure_is_told_in_the_form(
    house: House, place: Place, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[Piece]:
        raise ModelFailed("The model <b>gave</b> up.")

    monkeypatch.setattr(InstantModel, "stream", fail)
    begun = rewrite_view.propose(house, place, asked, PARAGRAPHS[1], "make it rain", EMPTY)
    told = ended(house, place, begun)
    assert "The model &lt;b&gt;gave&lt;/b&gt; up." in (told.shown or "")
    assert told.asking == Visible(True)


def test_mistakes_are_refused_before_anything_runs(house: House, place: Place, asked: Asked) -> None:
    with pytest.raises(InvalidText, match="instruction is empty"):
        rewrite_view.propose(house, place, asked, PARAGRAPHS[1], "", EMPTY)
    house.studio.editing.paragraph(place.story_id, 2, "Another.")
    with pytest.raises(StepConflict, match="changed meanwhile"):
        rewrite_view.propose(house, place, asked, PARAGRAPHS[1], "make it rain", EMPTY)


def test_a_text_that_changed_meanwhile_stands_and_the_proposal_too(
    house: House, place: Place, asked: Asked
) -> None:
    now, words = proposed(house, place, asked)
    house.studio.editing.paragraph(place.story_id, 2, "Another.")
    with pytest.raises(StepConflict):
        rewrite_view.keep(house, place, now, PARAGRAPHS[1], words)
    assert texts(house, place)[1] == "Another."
    assert "The proposal" in (rewrite_view.look(house, place, now).shown or "")


def test_own_words_are_kept_with_the_proposal_and_never_lost_to_it(
    house: House, place: Place, asked: Asked
) -> None:
    mine = f"{PARAGRAPHS[1]} I saw it."
    now, words = proposed(house, place, asked, mine)
    with pytest.raises(InvalidText, match="after the proposal was made"):
        rewrite_view.keep(house, place, now, f"{mine} Twice.", words)
    for box, proposal in ((mine, None), (PARAGRAPHS[1], "Mine.")):
        with pytest.raises(InvalidText, match="aren't kept"):
            rewrite_view.open_(house, place, 1, asked, box, proposal)
    rewrite_view.keep(house, place, now, mine, words)
    assert texts(house, place)[1] == f"A boat came in. {words} Nobody came. I saw it."


def test_a_closed_form_forgets_its_proposal(house: House, place: Place, asked: Asked) -> None:
    now, words = proposed(house, place, asked)
    closed = rewrite_view.cancel(house, place, now)
    assert (closed.asked, closed.box) == (Asked(), Visible(False))
    with pytest.raises(InvalidText, match="no longer known"):
        rewrite_view.keep(house, place, Asked(depth=2, rewrite_id="gone"), PARAGRAPHS[1], words)
    assert rewrite_view.look(house, place, Asked()).box == Visible(False)


def test_a_shared_paragraph_says_so(house: House, place: Place) -> None:
    other = paragraph_view.branch(house, place, 2).place
    assert other is not None
    opened = rewrite_view.open_(house, other, 1, Asked(), None, None)
    assert "2 strands share paragraph 1" in (opened.note or "")
    assert opened.asked is not None
    assert opened.asked.strand_id == place.strand_id


def test_the_difference_is_marked_and_nothing_in_it_is_markup() -> None:
    shown = rewrite_html.difference("The sea lay <i>grey</i> and flat.", "The sea lay <i>black</i> and flat.")
    assert "<mark>&lt;i&gt;grey&lt;/i&gt;</mark>" in shown
    assert "<mark>&lt;i&gt;black&lt;/i&gt;</mark>" in shown
    unlike = rewrite_html.difference("Rain.", "<b>Snow lay deep</b> on all the roofs.")
    assert "<mark>" not in unlike
    assert "<b>" not in unlike
