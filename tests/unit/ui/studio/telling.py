"""Stories for the tests of the tabs, written by handlers."""

from storyloom.ui.studio import paragraph_view, write_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.write_view import View

WAIT = 30.0
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


def _ended(house: House, view: View) -> Place:
    assert view.place is not None
    writing = house.writers.get(view.place.writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    after = write_view.settle(house, view.place, view.place.memory, "").place
    assert after is not None
    return after


def began(house: House, paragraphs: int = 1, title: str = "The Lamp") -> Place:
    """Where a page is that has a story of so many paragraphs."""
    place = _ended(house, write_view.begin(house, PREMISE, title, "novel"))
    return went_on(house, place, paragraphs - 1)


def went_on(house: House, place: Place, paragraphs: int = 1, plan: str = "") -> Place:
    """The same page, so many paragraphs later."""
    for _ in range(paragraphs):
        place = _ended(house, write_view.go_on(house, place, 0, plan))
    return place


def branched(house: House, place: Place, depth: int) -> Place:
    """Where a page is that opened a new strand."""
    after = paragraph_view.branch(house, place, depth).place
    assert after is not None
    return after
