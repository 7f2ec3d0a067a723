import asyncio

import pytest

from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import drafts_view, plans_html, write_view
from storyloom.ui.studio.drafts_view import View
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Visible
from storyloom.ui.studio.writing import Drafting, Writing

WAIT = 30.0
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
PLANS = ("Mara opens the door.", "Mara <b>rows</b> out.", "A gull speaks.")


@pytest.fixture
def place(house: House) -> Place:
    """A page with a story of one paragraph."""
    begun = write_view.begin(house, PREMISE, "The Lamp", "novel").place
    assert begun is not None
    writing = house.writers.get(begun.writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    settled = write_view.settle(house, begun, "", "").place
    assert settled is not None
    return settled


def drafted(house: House, place: Place, *plans: str) -> Drafting:
    """The drafts, once all have ended."""
    begun = drafts_view.draft_all(house, place, *plans)
    drafting = house.writers.drafting(begun.drafting or "")
    assert drafting is not None
    assert all(writing.ended_within(WAIT) for writing in drafting.writings)
    return drafting


def test_each_plan_has_a_column_and_a_strand(house: House, place: Place) -> None:
    drafting = drafted(house, place, *PLANS)
    shown = plans_html.drafts(drafting)
    assert shown.count("<section") == shown.count('data-pick="keep"') == 3
    strands = [writing.progress.strand_id for writing in drafting.writings]
    assert [house.studio.show(place.story_id, strand).steps[-1].plan for strand in strands] == list(PLANS)
    assert len(house.studio.show(place.story_id).steps) == 1
    assert "<b>" not in shown
    assert "&lt;b&gt;rows&lt;/b&gt;" in shown


def test_drafts_stay_on_the_page_until_the_strand_goes_on(house: House, place: Place) -> None:
    drafted(house, place, *PLANS)
    found = write_view.opened(house, place).drafts
    assert found is not None
    assert "Keep this one" in (found.drafts or "")
    assert found.draft_all == Visible(False)
    list(house.studio.write(place.story_id, Writing(), strand=place.strand_id))
    after = write_view.opened(house, place).drafts
    assert after == View(draft_all=Visible(True), drafts="", drafting="")


def test_a_draft_is_kept_by_opening_its_strand(house: House, place: Place) -> None:
    strand = drafted(house, place, *PLANS).writings[1].progress.strand_id
    kept = drafts_view.pick(house, place, {"pick": "keep", "strand": strand}).place
    assert kept is not None
    assert "Mara &lt;b&gt;rows" not in (write_view.opened(house, kept).text or "")
    opened = write_view.opened(house, kept).place
    assert opened is not None
    assert opened.depth == 2


def test_closed_drafts_leave_their_strands(house: House, place: Place) -> None:
    drafted(house, place, *PLANS)
    assert drafts_view.pick(house, place, {"pick": "close"}).drafts == ""
    assert house.writers.drafting_of(place.strand_id, place.depth) is None
    assert len(house.studio.branches(place.story_id)) == 4
    assert drafts_view.pick(house, place, {"pick": "stop"}) == View(drafts="")


def test_a_draft_that_fails_is_told_and_the_others_are_written(house: House, place: Place) -> None:
    drafting = drafted(house, place, "x" * 5000, PLANS[0])
    shown = plans_html.drafts(drafting)
    assert "Shorten it" in shown
    assert shown.count('data-pick="keep"') == 1


def test_stopped_drafts_say_so(house: House, place: Place) -> None:
    drafting = drafted(house, place, PLANS[0])
    stopped = Drafting("d", "local", place.strand_id, 1, (Writing(),))
    assert "Waits for its turn" in plans_html.drafts(stopped)
    assert "Stop drafting" in plans_html.drafts(stopped)
    assert "Close the drafts" in plans_html.drafts(drafting)
    assert plans_html.drafts(None) == ""


def test_nothing_to_draft_by_is_told(house: House, place: Place) -> None:
    with pytest.raises(InvalidText, match="no plan"):
        drafts_view.draft_all(house, place, "", " ", "")
    with pytest.raises(InvalidText, match="went on elsewhere"):
        drafts_view.draft_all(house, Place(place.story_id, place.strand_id, depth=7), *PLANS)


def test_following_ends_with_the_last_draft(house: House, place: Place) -> None:
    async def look() -> list[View]:
        begun = drafts_view.draft_all(house, place, *PLANS)
        return [view async for view in drafts_view.follow(house, place, begun.drafting or "")]

    assert (asyncio.run(look())[-1].drafts or "").count("Keep this one") == 3
