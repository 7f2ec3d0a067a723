import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.app.events import Cancelled, Listener
from storyloom.app.rebuilding import Rebuilding
from storyloom.memory.errors import InvalidText, ModelFailed, StrandNotFound
from storyloom.memory.generation import Piece, Request
from storyloom.ui.studio import edits_view, paragraph_view, rebuild_view, write_view
from storyloom.ui.studio.paragraph_view import Form, View
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Choices, Enabled, Ticking, Unfolded, Visible
from storyloom.ui.studio.writing import Writing
from tests.stand_ins import InstantModel

WAIT = 30.0
HOSTILE = "<script>window.pwned = 1</script> Mara read it. She laughed."
PARAGRAPHS = (
    "Mara lit the lamp. The gulls flew up.",
    "A boat came in. It was empty.",
    "She knocked. Nobody came.",
)
NEW = "Elias brought a whale to the attic."


@pytest.fixture
def place(house: House, tmp_path: Path) -> Place:
    """A page on a story of three paragraphs."""
    book = tmp_path / "book.txt"
    book.write_text("\n\n".join(PARAGRAPHS), encoding="utf-8")
    story = house.studio.import_file(book, Listener())
    return place_of(write_view.opened(house, Place(story.id)))


def place_of(view: View | write_view.View) -> Place:
    assert view.place is not None
    return view.place


def texts(house: House, place: Place) -> list[str]:
    return [step.paragraph for step in house.studio.show(place.story_id, place.strand_id).steps]


def form_of(view: View) -> Form:
    assert view.form is not None
    return view.form


def saved(house: House, place: Place, view: View, words: str = "", cut: int | None = None) -> Place:
    """Where the page is after a form was filled in and saved."""
    done = paragraph_view.save(house, place, form_of(view), words, cut)
    assert done.form == Form()
    assert done.form_box == Visible(False)
    return done.place or place


def made_again(house: House, place: Place) -> rebuild_view.View:
    """What is told once memory is made again, or has failed to be."""
    begun = rebuild_view.rebuild(house, place)
    assert "Making the memory again" in (begun.status or "")
    assert begun.making
    return ended(house, place, begun.making)


def ended(house: House, place: Place, making: str) -> rebuild_view.View:
    found = house.writers.get(making)
    assert found is not None
    assert found.ended_within(WAIT)
    told = rebuild_view.look(house, place, making)
    assert told.ended == making
    return told


def test_the_panel_is_about_the_last_paragraph_until_one_is_picked(house: House, place: Place) -> None:
    assert paragraph_view.opened(house, place).depth == 3
    picked = paragraph_view.pick(house, place, {"depth": "2"})
    assert (picked.depth, picked.panel) == (2, Unfolded(True))
    assert "What went into paragraph 2" in (picked.provenance or "")
    assert paragraph_view.opened(house, place_of(picked)).depth == 2


def test_a_typed_number_picks_and_one_that_is_not_there_offers_nothing(house: House, place: Place) -> None:
    assert place_of(paragraph_view.number(house, place, 2)).picked == 2
    for wrong in (None, 0, 4, -1):
        view = paragraph_view.number(house, place, wrong)
        assert place_of(view).picked == 0
        assert (view.version, view.earlier_version, view.later_version) == (
            "",
            Enabled(False),
            Enabled(False),
        )
        assert view.depth is None
        with pytest.raises(StrandNotFound):
            paragraph_view.write_again(house, place, wrong)


def test_a_paragraph_is_written_again_and_both_versions_are_opened(house: House, place: Place) -> None:
    begun = paragraph_view.write_again(house, place, 2)
    writing = house.writers.get(place_of(begun).writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    after = write_view.settle(house, place_of(begun), "", "")
    there = place_of(after)
    assert after.paragraph is not None
    assert "Version 2 of 2" in (after.paragraph.version or "")
    assert (after.paragraph.depth, after.paragraph.earlier_version) == (2, Enabled(True))
    assert texts(house, there)[0] == PARAGRAPHS[0]
    assert texts(house, there)[1] != PARAGRAPHS[1]
    back = paragraph_view.earlier_version(house, there, 2)
    assert place_of(back).strand_id == place.strand_id
    assert texts(house, place_of(back)) == list(PARAGRAPHS)
    forth = paragraph_view.later_version(house, place_of(back), 2)
    assert place_of(forth).strand_id == there.strand_id
    assert paragraph_view.later_version(house, there, 2) == View()


@pytest.mark.parametrize("is_stopped", [False, True], ids=["failed", "stopped"])
def test_another_version_that_did_not_come_leaves_the_one_before_open(
    house: House, place: Place, monkeypatch: pytest.MonkeyPatch, is_stopped: bool
) -> None:
    came, go = threading.Event(), threading.Event()

    def stream(_self: InstantModel, _request: Request) -> Iterator[Piece]:
        yield Piece("Tobias came in and")
        came.set()
        assert go.wait(WAIT)
        if is_stopped:
            yield Piece(" sat down")
        raise ModelFailed("The model gave up.")

    monkeypatch.setattr(InstantModel, "stream", stream)
    begun = place_of(paragraph_view.write_again(house, place, 2))
    writing = house.writers.get(begun.writing_id)
    assert writing is not None
    assert came.wait(WAIT)
    if is_stopped:
        writing.stop()
    go.set()
    assert writing.ended_within(WAIT)
    after = write_view.settle(house, begun, "", "")
    assert place_of(after).strand_id == place.strand_id
    assert place_of(after).depth == 3
    assert after.own_plan is None
    assert "the one before is open again" in (after.status or "")
    assert ("The model gave up." in (after.notice or "")) is not is_stopped
    assert texts(house, place_of(after)) == list(PARAGRAPHS)
    short = write_view.opened(house, begun)
    assert ("Tobias came in" in (short.cut_off or "")) == ("are kept on the strand" in (after.status or ""))


def test_no_other_version_is_opened_while_one_is_written(
    house: House, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = Writing()
    monkeypatch.setattr(type(house.writers), "get", lambda _self, _id: writing)
    with pytest.raises(InvalidText, match="being written"):
        paragraph_view.later_version(house, replace(place, writing_id=writing.id), 2)
    with pytest.raises(InvalidText, match="being written"):
        edits_view.undo(house, replace(place, writing_id=writing.id))


def test_a_paragraph_is_edited_and_memory_made_again(house: House, place: Place) -> None:
    form = paragraph_view.edit(house, place, 2, Form(), "")
    assert form.words is not None
    assert form.words.value == PARAGRAPHS[1]
    assert form.form_note == ""
    saved(house, place, form, NEW)
    assert texts(house, place)[1] == NEW
    panel = paragraph_view.opened(house, place)
    assert "noted of paragraph 2 and the memory after paragraph 3" in (panel.stale or "")
    assert panel.rebuild == Visible(True)
    told = made_again(house, place)
    assert "Made again: 2 pages of memory" in (told.status or "")
    assert (told.stale, told.rebuild, told.clock) == ("", Visible(False), Ticking(False))
    assert paragraph_view.opened(house, place).stale == ""


def test_a_failure_to_make_memory_again_is_told_and_can_be_tried_again(
    house: House, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(house, place, paragraph_view.edit(house, place, 2, Form(), ""), NEW)

    def fail(*_: object) -> None:
        raise ModelFailed("The model gave up.")

    monkeypatch.setattr(Rebuilding, "rebuild", fail)
    told = made_again(house, place)
    assert "The model gave up." in (told.notice or "")
    assert told.ended
    assert paragraph_view.opened(house, place).rebuild == Visible(True)


def test_memory_is_made_again_beside_the_page_and_can_be_stopped(
    house: House, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(house, place, paragraph_view.edit(house, place, 2, Form(), ""), NEW)
    heard = threading.Event()

    def slow(_self: Rebuilding, _story: str, listener: Listener, _strand: str) -> None:
        listener.on_progress("pages of memory", 1, 3)
        heard.set()
        while not listener.cancelled():
            time.sleep(0.01)
        raise Cancelled("Stopped.")

    monkeypatch.setattr(Rebuilding, "rebuild", slow)
    begun = rebuild_view.rebuild(house, place)
    assert heard.wait(WAIT)
    assert (begun.rebuild, begun.stop_rebuild, begun.clock) == (Visible(False), Visible(True), Ticking(True))
    assert begun.making
    assert "1 of 3 pages" in (rebuild_view.look(house, place, begun.making).status or "")
    opened = paragraph_view.opened(house, place)
    assert (opened.rebuild, opened.stop_rebuild, opened.making) == (
        Visible(False),
        Visible(True),
        begun.making,
    )
    assert rebuild_view.rebuild(house, place).making == begun.making
    assert "Stopping" in (rebuild_view.stop(house, place).status or "")
    told = ended(house, place, begun.making)
    assert "can be made later" in (told.status or "")
    assert rebuild_view.stop(house, place).rebuild == Visible(True)
    assert rebuild_view.look(house, place, "unknown").clock == Ticking(False)


def test_a_shared_paragraph_is_edited_for_all_that_share_it(house: House, place: Place) -> None:
    other = place_of(paragraph_view.branch(house, place, 2))
    form = paragraph_view.edit(house, other, 1, Form(), "")
    assert "2 strands share paragraph 1" in (form.form_note or "")
    saved(house, other, form, NEW)
    assert texts(house, place)[0] == texts(house, other)[0] == NEW


def test_words_that_cannot_stand_stay_in_the_form(house: House, place: Place) -> None:
    form = form_of(paragraph_view.edit(house, place, 2, Form(), ""))
    with pytest.raises(InvalidText, match="empty"):
        paragraph_view.save(house, place, form, " ", None)
    assert texts(house, place) == list(PARAGRAPHS)


def test_no_form_takes_the_place_of_unsaved_words(house: House, place: Place) -> None:
    form = form_of(paragraph_view.edit(house, place, 2, Form(), ""))
    for other in (paragraph_view.edit, paragraph_view.insert, paragraph_view.split):
        with pytest.raises(InvalidText, match="aren't saved"):
            other(house, place, 1, form, NEW)
        assert other(house, place, 1, form, PARAGRAPHS[1]).form is not None
    opened = paragraph_view.opened(house, place)
    assert (opened.form, opened.words, opened.form_box) == (None, None, None)
    closed = paragraph_view.cancel(house, place)
    assert (closed.form, closed.form_box) == (Form(), Visible(False))


def test_a_paragraph_is_inserted(house: House, place: Place) -> None:
    form = paragraph_view.insert(house, place, 2, Form(), "")
    there = saved(house, place, form, NEW)
    assert there.picked == 2
    assert texts(house, there) == [PARAGRAPHS[0], NEW, *PARAGRAPHS[1:]]
    assert texts(house, place) == list(PARAGRAPHS)


def test_a_paragraph_is_split_at_a_sentence(house: House, place: Place) -> None:
    form = paragraph_view.split(house, place, 2, Form(), "")
    assert form.cut == Choices([("It was empty.", 16)], 16)
    there = saved(house, place, form, cut=16)
    assert texts(house, there) == [PARAGRAPHS[0], "A boat came in.", "It was empty.", PARAGRAPHS[2]]


def test_a_single_sentence_is_not_split(house: House, place: Place) -> None:
    house.studio.editing.paragraph(place.story_id, 2, NEW)
    with pytest.raises(InvalidText, match="single sentence"):
        paragraph_view.split(house, place, 2, Form(), "")


def test_a_paragraph_is_deleted_on_a_new_strand(house: House, place: Place) -> None:
    view = paragraph_view.remove(house, place, 2)
    assert texts(house, place_of(view)) == [PARAGRAPHS[0], PARAGRAPHS[2]]
    assert texts(house, place) == list(PARAGRAPHS)
    assert "without paragraph 2" in (view.status or "")


def test_the_only_paragraph_is_deleted(house: House, place: Place) -> None:
    one = place_of(paragraph_view.branch(house, place, 1))
    none = paragraph_view.remove(house, replace(one, depth=1), 1)
    after = write_view.reopened(house, place_of(none))
    assert place_of(after).depth == 0
    assert after.paragraph is not None
    assert (after.paragraph.depth, after.paragraph.version) == (1, "")


def test_nothing_to_save_is_nothing_done(house: House, place: Place) -> None:
    assert paragraph_view.save(house, place, Form(), NEW, None) == View()


def test_a_branch_keeps_what_came_before(house: House, place: Place) -> None:
    assert texts(house, place_of(paragraph_view.branch(house, place, 2))) == list(PARAGRAPHS[:2])
    with pytest.raises(StrandNotFound):
        paragraph_view.branch(house, place, 9)


def test_edits_are_undone_and_redone(house: House, place: Place) -> None:
    assert edits_view.opened(house, place) == edits_view.nothing()
    saved(house, place, paragraph_view.edit(house, place, 2, Form(), ""), NEW)
    write_view.save_memory(house, place, "Mara fears the number nine.")
    assert edits_view.opened(house, place) == edits_view.View(undo=Visible(True), redo=Visible(False))
    assert "Undone: the edit of the memory after paragraph 3" in (edits_view.undo(house, place).status or "")
    assert "Undone: the edit of paragraph 2" in (edits_view.undo(house, place).status or "")
    assert texts(house, place) == list(PARAGRAPHS)
    assert edits_view.opened(house, place) == edits_view.View(undo=Visible(False), redo=Visible(True))
    assert "Nothing was edited" in (edits_view.undo(house, place).status or "")
    assert "Redone: the edit of paragraph 2" in (edits_view.redo(house, place).status or "")
    assert texts(house, place)[1] == NEW
    assert "Redone: the edit of the memory" in (edits_view.redo(house, place).status or "")
    assert house.studio.remembering.page(place.story_id).text == "Mara fears the number nine."


def test_hostile_words_are_never_markup(house: House, place: Place) -> None:
    saved(house, place, paragraph_view.edit(house, place, 2, Form(), ""), HOSTILE)
    form = paragraph_view.split(house, place, 2, Form(), "")
    panel = paragraph_view.pick(house, place, {"depth": "2"})
    for html in (panel.version, panel.stale, panel.provenance, form.form_note):
        assert "<script" not in (html or "")
