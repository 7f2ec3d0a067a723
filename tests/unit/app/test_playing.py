import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.playing import retry, undo
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Mode

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


@pytest.fixture
def story(studio: Studio) -> str:
    """A game of two turns."""
    begun = studio.begin(Beginning(premise=PREMISE, mode=Mode.FICTION, seed=7), Listener())
    list(studio.write(begun.story.id, Listener()))
    list(studio.write(begun.story.id, Listener(), wish=Wish(plan="You open the door.")))
    return begun.story.id


def test_a_turn_is_told_another_way_and_the_old_one_stays(studio: Studio, story: str) -> None:
    old = studio.show(story).steps
    strand, wish = retry(studio, story)
    list(studio.write(story, Listener(), wish=wish, strand=strand.id))
    new = studio.show(story, strand.id).steps
    assert new[0] == old[0]
    assert new[1].plan == old[1].plan == "You open the door."
    assert new[1].paragraph != old[1].paragraph
    assert studio.show(story).steps == old


def test_a_turn_that_was_offered_is_chosen_again(studio: Studio, story: str) -> None:
    list(studio.write(story, Listener(), wish=Wish(choice=2)))
    last = studio.show(story).steps[-1]
    strand, wish = retry(studio, story)
    assert wish == Wish(choice=2)
    (again,) = studio.write(story, Listener(), wish=wish, strand=strand.id)
    assert (again.plan, again.plan_origin) == (last.plan, last.plan_origin)


def test_a_turn_is_taken_back_again_and_again(studio: Studio, story: str) -> None:
    list(studio.write(story, Listener()))
    once = undo(studio, story)
    twice = undo(studio, story, once.id)
    assert [len(studio.show(story, strand).steps) for strand in (None, once.id, twice.id)] == [3, 2, 1]


def test_the_first_paragraph_stands(studio: Studio, story: str) -> None:
    first = studio.branch(story, 1)
    for turn_back in (retry, undo):
        with pytest.raises(InvalidText, match="nothing before it"):
            turn_back(studio, story, first.id)
    assert len(studio.branches(story)) == 2
