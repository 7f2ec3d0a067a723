import pytest

from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import plans_view, write_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.write_view import View

WAIT = 30.0
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


def ended(house: House, view: View) -> Place:
    """Where the page is after the paragraph that a handler began."""
    assert view.place is not None
    writing = house.writers.get(view.place.writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    settled = write_view.settle(house, view.place, view.place.memory, "").place
    assert settled is not None
    return settled


@pytest.fixture
def place(house: House) -> Place:
    """A page with a story of one paragraph."""
    return ended(house, write_view.begin(house, PREMISE, "The Lamp", "novel"))


def plans(house: House, place: Place) -> tuple[str, ...]:
    """What is offered there."""
    return tuple(plan.text for plan in house.studio.show(place.story_id).steps[-1].plans)


def last_plan(house: House, place: Place) -> tuple[str, str]:
    step = house.studio.show(place.story_id).steps[-1]
    return step.plan, step.plan_origin.value


def test_a_card_is_written_as_it_was_offered(house: House, place: Place) -> None:
    second = plans(house, place)[1]
    ended(house, plans_view.write_this(2, house, place, second + " "))
    plan, origin = last_plan(house, place)
    assert plan == second
    assert origin != "person"


def test_a_card_is_written_as_it_was_changed(house: House, place: Place) -> None:
    ended(house, plans_view.write_this(2, house, place, "Mara rows out."))
    assert last_plan(house, place) == ("Mara rows out.", "person")


def test_an_old_card_is_asked_again_and_one_s_own_words_are_not(house: House, place: Place) -> None:
    first = plans(house, place)[0]
    ended(house, write_view.go_on(house, place, 0, ""))
    view = plans_view.write_this(1, house, place, first)
    assert "went on elsewhere" in (view.notice or "")
    ended(house, plans_view.write_this(1, house, place, "Mara rows out."))
    assert last_plan(house, place)[0] == "Mara rows out."


def test_an_empty_card_is_told(house: House, place: Place) -> None:
    with pytest.raises(InvalidText, match="empty"):
        plans_view.write_this(1, house, place, " ")


def test_write_on_takes_the_one_plan_that_was_written_or_changed(house: House, place: Place) -> None:
    one, two, three = plans(house, place)
    place = ended(house, plans_view.write_on(house, place, "", one, "Mara rows out.", three))
    assert last_plan(house, place) == ("Mara rows out.", "person")
    one, two, three = plans(house, place)
    place = ended(house, plans_view.write_on(house, place, "A gull speaks.", one, two, ""))
    assert last_plan(house, place) == ("A gull speaks.", "person")
    place = ended(house, plans_view.write_on(house, place, "", *plans(house, place)))
    assert last_plan(house, place)[1] != "person"


def test_two_plans_of_one_s_own_are_asked_about(house: House, place: Place) -> None:
    one, _, three = plans(house, place)
    with pytest.raises(InvalidText, match="More than one plan"):
        plans_view.write_on(house, place, "A gull speaks.", one, "Mara rows out.", three)


def test_before_the_first_paragraph_there_is_nothing_to_choose() -> None:
    assert plans_view.filled(()) == ("", "", "")
