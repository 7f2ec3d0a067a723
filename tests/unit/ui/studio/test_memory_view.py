from dataclasses import replace
from threading import Event

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Cancelled, Listener
from storyloom.app.rebuilding import Rebuilding
from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import memory_view, reach, search_view, stale_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Ticking, Visible

WAIT = 30.0
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


@pytest.fixture
def place(house: House) -> Place:
    """A page with a story of three paragraphs."""
    begun = house.studio.begin(Beginning(premise=PREMISE, title="The Lamp"), Listener())
    place = Place(begun.story.id, begun.strand.id)
    went_on(house, place, 3)
    return place


def went_on(house: House, place: Place, paragraphs: int) -> None:
    list(house.studio.write(place.story_id, Listener(), paragraphs=paragraphs, strand=place.strand_id))


def texts(house: House, place: Place) -> list[str]:
    return [note.text for note in house.studio.remembering.page(place.story_id, place.strand_id).notes]


def revisions_in(told: str | None) -> str:
    assert told is not None
    return told.split('data-revisions="')[1].split('"')[0]


def test_the_page_names_what_brought_each_sentence(house: House, place: Place) -> None:
    view = memory_view.opened(house, place)
    page = texts(house, place)
    assert view.notes is not None
    assert view.notes.count("<li") == len(page)
    assert 'data-depth="3"' in view.notes
    assert "the premise, by hand" in view.notes
    assert view.text == view.shown == "\n".join(page)
    assert view.asks is False
    assert view.change is not None
    assert page[-1] in view.change


def test_a_sentence_is_pinned_and_set_free(house: House, place: Place) -> None:
    last = texts(house, place)[-1]
    pinned = memory_view.pick(house, place, {"pick": "pin", "text": last, "pinned": "false"}, "", "")
    assert "Pinned: the keeper can&#x27;t drop it. Nothing that is written becomes stale" in (
        pinned.told or ""
    )
    assert house.studio.remembering.page(place.story_id).notes[-1].pinned
    memory_view.pick(house, place, {"pick": "pin", "text": last, "pinned": "true"}, "", "")
    assert not house.studio.remembering.page(place.story_id).notes[-1].pinned


def test_a_removed_sentence_is_told_and_brought_back(house: House, place: Place) -> None:
    before = texts(house, place)
    removed = memory_view.pick(house, place, {"pick": "remove", "text": before[-1]}, "", "")
    assert texts(house, place) == before[:-1]
    assert "taken out by hand" in (removed.gone or "")
    undone = memory_view.undo(house, place, {"pick": "undo", "revisions": revisions_in(removed.told)}, "", "")
    assert texts(house, place) == before
    assert "It is as it was." in (undone.told or "")


def test_an_edit_says_what_it_makes_stale_on_other_strands(house: House, place: Place) -> None:
    branch = house.studio.branch(place.story_id, 3, place.strand_id)
    went_on(house, replace(place, strand_id=branch.id), 2)
    view = memory_view.save(house, place, "Mara is afraid of water.")
    assert "On other strands 2 parts became stale." in (view.told or "")
    assert texts(house, place) == ["Mara is afraid of water."]


def test_an_unsaved_text_outlives_other_edits(house: House, place: Place) -> None:
    opened = memory_view.opened(house, place)
    assert opened.shown is not None
    picked = {"pick": "remove", "text": texts(house, place)[-1]}
    view = memory_view.pick(house, place, picked, "Mara is af", opened.shown)
    assert view.text is None
    assert "isn&#x27;t saved yet" in (view.told or "")
    assert memory_view.opened(house, place, opened.shown, opened.shown).text == "\n".join(texts(house, place))


def test_an_empty_page_is_refused(house: House, place: Place) -> None:
    with pytest.raises(InvalidText, match="empty"):
        memory_view.save(house, place, " ")


def test_what_the_keeper_proposes_is_decided(house: House, place: Place) -> None:
    memory_view.ask(house, place, True)
    before = texts(house, place)
    went_on(house, place, 2)
    opened = memory_view.opened(house, place)
    assert opened.asks is True
    assert (opened.proposals or "").count("<section>") == 2
    memory_view.pick(house, place, {"pick": "turn-down", "depth": "4"}, "", "")
    assert texts(house, place) == before
    approved = memory_view.pick(house, place, {"pick": "approve", "depth": "5"}, "", "")
    assert len(texts(house, place)) == len(before) + 1
    assert approved.proposals == ""
    memory_view.ask(house, place, False)
    assert memory_view.opened(house, place).asks is False


def test_another_mark_changes_nothing(house: House, place: Place) -> None:
    assert memory_view.pick(house, place, {"pick": "paragraph", "depth": "1"}, "", "") == memory_view.View()
    assert reach.to_paragraph(house, place, {"pick": "pin"}) == reach.View()


def test_a_paragraph_is_reached_in_the_text(house: House, place: Place) -> None:
    near = reach.to_paragraph(house, place, {"pick": "paragraph", "depth": "1"})
    assert (near.tab, near.older, near.place) == ("write", None, None)
    assert (near.goal or "").startswith("1:")
    far = reach.to_paragraph(house, replace(place, window=2), {"pick": "paragraph", "depth": "1"})
    assert far.place is not None
    assert far.place.window == 3
    assert far.older == far.goal


def test_what_is_stale_is_made_again_beside_the_page(house: House, place: Place) -> None:
    assert stale_view.opened(house, place).again == Visible(False)
    house.studio.editing.paragraph(place.story_id, 1, "Mara sells the lighthouse.", place.strand_id)
    opened = stale_view.opened(house, place)
    assert "What was noted of paragraph 1 is stale" in (opened.stale or "")
    assert "The memory after paragraphs 2 to 3 is stale" in (opened.stale or "")
    assert (opened.again, opened.settle, opened.stop) == (Visible(True), Visible(False), Visible(False))
    begun = stale_view.again(house, place)
    assert begun.clock == Ticking(True)
    assert begun.rebuild
    rebuild = house.writers.get(begun.rebuild)
    assert rebuild is not None
    assert rebuild.ended_within(WAIT)
    ended = stale_view.look(house, place, begun.rebuild)
    assert "Made again: 1 note" in (ended.progress or "")
    assert "Nothing is stale" in (ended.stale or "")
    assert ended.clock == Ticking(False)
    assert ended.ended == begun.rebuild
    assert house.writers.of_strand(place.strand_id) is None


def test_a_making_is_watched_and_stopped(house: House, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    told, go_on = Event(), Event()

    def rebuild(_self: Rebuilding, _story: str, listener: Listener, _strand: str) -> None:
        listener.on_progress("pages of memory", 1, 3)
        told.set()
        assert go_on.wait(WAIT)
        assert listener.cancelled()
        raise Cancelled("Stopped.")

    monkeypatch.setattr(Rebuilding, "rebuild", rebuild)
    begun = stale_view.again(house, place)
    assert begun.rebuild
    assert told.wait(WAIT)
    assert "1 of 3 pages of memory" in (stale_view.look(house, place, begun.rebuild).progress or "")
    assert stale_view.again(house, place).rebuild == begun.rebuild
    assert stale_view.opened(house, place).stop == Visible(True)
    assert "Stopping" in (stale_view.stop(house, place).progress or "")
    go_on.set()
    at_work = house.writers.get(begun.rebuild)
    assert at_work is not None
    assert at_work.ended_within(WAIT)
    assert "Stopped. What was made again stands" in (
        stale_view.look(house, place, begun.rebuild).progress or ""
    )
    assert stale_view.stop(house, place).stop == Visible(False)


def test_the_past_is_asked(house: House, place: Place) -> None:
    went_on(house, place, 3)
    first = house.studio.show(place.story_id).steps[0].paragraph
    found = search_view.search(house, place, first.split(".")[0])
    assert 'data-depth="1"' in (found.hits or "")
    assert "its own words" in (found.hits or "")
    refused = search_view.search(house, place, " ")
    assert refused.hits == ""
    assert "query is empty" in (refused.notice or "")
