import asyncio
from dataclasses import replace

import pytest

from storyloom.memory.errors import InvalidText, StoryNotFound
from storyloom.ui.studio import paragraph_view, write_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.write_view import View
from storyloom.ui.studio.writers import Writers
from storyloom.ui.studio.writing import Writing

WAIT = 30.0
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


def place_of(view: View) -> Place:
    assert view.place is not None
    return view.place


def ended(house: House, view: View) -> View:
    """The page after the writing that a handler started has ended."""
    place = place_of(view)
    writing = house.writers.get(place.writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    return write_view.settle(house, place, place.memory, "")


@pytest.fixture
def page(house: House) -> View:
    """A page with a story of one paragraph."""
    return ended(house, write_view.begin(house, PREMISE, "The Lamp", "novel"))


def went_on(house: House, page: View, times: int = 1) -> View:
    for _ in range(times):
        page = ended(house, write_view.go_on(house, place_of(page), 0, ""))
    return page


def test_a_story_is_begun(page: View) -> None:
    assert page.is_open is None, "it is since its beginning"
    assert page.busy is False
    assert page.text is not None
    assert "The Lamp" in page.text
    assert 'data-depth="1"' in page.text
    assert page.plans is not None
    assert len(page.plans) == 3
    assert page.memory is not None
    assert page.memory.startswith("Mara keeps a lighthouse")
    assert place_of(page).depth == 1
    assert page.notice == ""


def test_an_empty_premise_stays_on_the_library(house: House) -> None:
    view = write_view.begin(house, "  ", "", "novel")
    assert "premise is empty" in (view.notice or "")
    assert view.is_open is None
    assert house.studio.stories() == []


def test_an_address_opens_a_story_and_an_unknown_one_the_library(house: House, page: View) -> None:
    place = place_of(page)
    assert write_view.arrive(house, {"story": place.story_id, "strand": place.strand_id}).is_open is True
    lost = write_view.arrive(house, {"story": "nothing-like-it"})
    assert lost.is_open is False
    assert "nothing-like-it" in (lost.notice or "")


def test_only_a_page_that_finds_a_writing_attaches_to_it(
    house: House, page: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = {"story": place_of(page).story_id, "strand": place_of(page).strand_id}
    assert write_view.arrive(house, address).attached == ""
    writing = Writing()
    monkeypatch.setattr(Writers, "of_strand", lambda _self, _strand: writing)
    found = write_view.arrive(house, address)
    assert found.attached == writing.id
    assert found.busy is True


def test_a_plan_is_chosen_or_typed(house: House, page: View) -> None:
    place = place_of(page)
    chosen = ended(house, write_view.go_on(house, place, 2, ""))
    typed = ended(house, write_view.go_on(house, place_of(chosen), 1, "Mara rows out."))
    steps = house.studio.show(place.story_id).steps
    assert page.plans is not None
    assert steps[1].plan == page.plans[1]
    assert steps[2].plan == "Mara rows out."
    assert place_of(typed).depth == 3


def test_a_choice_of_old_plans_is_asked_again(house: House, page: View) -> None:
    stale = place_of(page)
    went_on(house, page)
    view = write_view.go_on(house, stale, 2, "")
    assert "went on elsewhere" in (view.notice or "")
    assert place_of(view).depth == 2
    assert len(house.studio.show(stale.story_id).steps) == 2


def test_a_plan_that_is_too_long_is_refused_and_kept_in_its_box(house: House, page: View) -> None:
    view = ended(house, write_view.go_on(house, place_of(page), 0, "x" * 5000))
    assert "Shorten it" in (view.notice or "")
    assert view.own_plan == "x" * 5000
    assert view.busy is False
    begun = write_view.go_on(house, place_of(page), 0, "x" * 5000)
    writing = house.writers.get(place_of(begun).writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    seen_first = write_view.settle(house, place_of(begun), "", "x" * 5000)  # the box isn't emptied yet
    assert (begun.own_plan, seen_first.own_plan) == ("", "x" * 5000)


def test_an_edited_memory_reaches_the_next_prompt(house: House, page: View) -> None:
    saved = write_view.save_memory(house, place_of(page), "Mara fears the number nine.")
    assert saved.memory == "Mara fears the number nine."
    after = went_on(house, saved)
    shown = paragraph_view.look_into(house, place_of(after), 2)
    assert "Mara fears the number nine." in (shown.provenance or "")


def test_an_unsaved_edit_of_the_memory_outlives_a_paragraph(house: House, page: View) -> None:
    begun = write_view.go_on(house, place_of(page), 0, "")
    writing = house.writers.get(place_of(begun).writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    after = write_view.settle(house, place_of(begun), "half an edit", "")
    assert after.memory is None
    assert "isn't saved" in (after.memory_note or "").replace("&#x27;", "'")


def test_a_memory_of_nothing_is_refused(house: House, page: View) -> None:
    with pytest.raises(InvalidText):
        write_view.save_memory(house, place_of(page), " ")


def test_a_strand_is_opened_and_left(house: House, page: View) -> None:
    two = went_on(house, page)
    strand = house.studio.branch(place_of(two).story_id, 1)
    branched = write_view.switch(house, place_of(two), strand.id)
    assert place_of(branched).depth == 1
    assert branched.strands is not None
    assert len(branched.strands) == 2
    assert [name.rsplit(" · ", 1)[0] for name, _ in branched.strands] == [
        "The story · 2 paragraphs",
        "From paragraph 1 · 1 paragraph",
    ]
    back = write_view.switch(house, place_of(branched), place_of(two).strand_id)
    assert place_of(back).depth == 2


def test_the_open_strand_chosen_again_changes_nothing(house: House, page: View) -> None:
    assert write_view.switch(house, place_of(page), place_of(page).strand_id) == View()


def test_what_a_change_told_stays_when_its_text_is_shown(house: House, page: View) -> None:
    again = write_view.reopened(house, replace(place_of(page), picked=1))
    assert (again.notice, again.status, again.attached) == (None, None, None)
    assert place_of(again).picked == 1
    assert "aria-current" in (again.text or "")


def test_a_writing_that_has_ended_before_it_is_shown_is_followed_all_the_same(
    house: House, page: View
) -> None:
    begun = write_view.go_on(house, place_of(page), 0, "x" * 5000)
    writing = house.writers.get(place_of(begun).writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    shown = write_view.reopened(house, place_of(begun))
    assert shown.attached == place_of(shown).writing_id == writing.id
    assert "Shorten it" in (ended(house, shown).notice or "")


def test_earlier_paragraphs_are_shown_when_asked_for(
    house: House, page: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_view, "WINDOW", 1)
    two = went_on(house, page)
    narrow = write_view.opened(house, replace(place_of(two), window=1))
    assert narrow.has_earlier is True
    assert 'data-depth="1"' not in (narrow.text or "")
    wide = write_view.earlier(house, place_of(narrow))
    assert 'data-depth="1"' in (wide.text or "")
    assert wide.has_earlier is False


def test_following_tells_what_changes_and_ends_with_the_writing(house: House, page: View) -> None:
    async def look() -> list[View]:
        begun = write_view.go_on(house, place_of(page), 0, "")
        return [view async for view in write_view.follow(house, place_of(begun))]

    views = asyncio.run(look())
    assert all(view.place is None for view in views)
    # The paragraph is there before the page is settled.
    assert 'data-depth="2"' in (views[-1].text or "")
    assert views[-1].draft == ""


def test_nothing_to_follow_is_no_view(house: House) -> None:
    async def look() -> list[View]:
        return [view async for view in write_view.follow(house, Place())]

    assert asyncio.run(look()) == []
    assert write_view.settle(house, Place(), "", "") == View(busy=False)
    assert write_view.stop(house, Place()) == View()


def test_what_is_still_being_written_is_not_settled(
    house: House, page: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = write_view.go_on(house, place_of(page), 0, "")
    monkeypatch.setattr(Writing, "done", False)
    assert write_view.settle(house, place_of(begun), "", "") == View()


def test_nothing_cut_off_is_nothing_to_take_or_dismiss(house: House, page: View) -> None:
    assert write_view.take_words(house, place_of(page)) == View(cut_off="")
    assert write_view.dismiss(house, place_of(page)) == View(cut_off="")


def test_another_owner_finds_nothing(house: House, page: View) -> None:
    other = House(house.studio.of_owner("tom"), house.writers)
    assert other.studio.stories() == []
    with pytest.raises(StoryNotFound):
        write_view.opened(other, place_of(page))


def test_another_tabs_change_leaves_an_unsaved_edit_of_the_memory(house: House, page: View) -> None:
    place = place_of(page)
    house.studio.remembering.rewrite(place.story_id, "Mara is afraid of water.", place.strand_id)
    unsaved = write_view.reopened(house, place, "Mara is af")
    assert unsaved.memory is None
    assert "isn&#x27;t saved yet" in (unsaved.memory_note or "")
    assert write_view.reopened(house, place, place.memory).memory == "Mara is afraid of water."
    elsewhere = Place(place.story_id, place.strand_id)
    assert write_view.reopened(house, elsewhere, "Mara is af").memory == "Mara is afraid of water."
