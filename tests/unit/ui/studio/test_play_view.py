import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import play_html, play_view, write_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.play_view import View
from storyloom.ui.studio.showing import Asking, Visible
from storyloom.ui.studio.writers import Writers
from storyloom.ui.studio.writing import Writing

WAIT = 30.0
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


def place_of(view: View | write_view.View) -> Place:
    assert view.place is not None
    return view.place


def ended(house: House, view: View, text: str = "", manner: str = "do") -> View:
    """The tab after the turn that a handler began has ended; ``text`` stands in the reader's box by then."""
    writing = house.writers.get(view.watched or "")
    assert writing is not None
    assert writing.ended_within(WAIT)
    return play_view.settle(house, place_of(view), writing.id, manner, text)


@pytest.fixture
def game(house: House) -> View:
    """A game that has begun."""
    begun = write_view.begin(house, PREMISE, "The Lamp", "fiction")
    writing = house.writers.get(place_of(begun).writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    return play_view.opened(house, place_of(write_view.settle(house, place_of(begun), "", "")))


def acted(house: House, game: View, text: str, manner: str = "do") -> View:
    return ended(house, play_view.act(house, place_of(game), manner, text))


def plans(house: House, view: View) -> list[str]:
    place = place_of(view)
    return [step.plan for step in house.studio.show(place.story_id, place.strand_id).steps]


def picked(**data: str) -> Mapping[str, str]:
    return data


def test_a_game_opens_with_what_the_reader_could_do(house: House, game: View) -> None:
    assert game.send == Visible(True)
    assert game.retry == game.undo == game.stop == Visible(False)
    assert (game.offers or "").count("data-pick") == 3
    assert 'class="action"' not in (game.text or "")
    assert write_view.arrive(house, {"story": place_of(game).story_id}).tab == "play"


def test_a_novel_opens_to_be_written(house: House) -> None:
    begun = write_view.begin(house, PREMISE, "The Lamp", "novel")
    assert begun.tab == "write"


def test_a_story_without_a_name_is_waited_for(house: House) -> None:
    begun = write_view.begin(house, PREMISE, "", "fiction")
    assert begun.tab == "play"
    view = play_view.opened(house, place_of(begun))
    assert view.watched == place_of(begun).writing_id
    assert view.stop == Visible(True)
    after = ended(house, view)
    assert place_of(after).story_id
    assert place_of(after).depth == 1


def test_the_reader_does_says_and_tells(house: House, game: View) -> None:
    two = acted(house, game, "open the door")
    assert '<p class="action" dir="auto">You open the door.</p>' in (two.text or "")
    assert two.retry == two.undo == Visible(True)
    three = acted(house, two, "Who is there?", "say")
    four = acted(house, three, "A gull lands", "story")
    assert plans(house, four)[1:] == ["You open the door.", 'You say: "Who is there?"', "A gull lands"]
    assert place_of(four).depth == 4


def test_while_a_turn_is_told_only_stop_is_there(house: House, game: View) -> None:
    begun = play_view.act(house, place_of(game), "do", "open the door")
    assert begun.action == ""
    assert begun.offers == ""
    assert "You open the door." in (begun.draft or "")
    assert (begun.send, begun.stop) == (Visible(False), Visible(True))
    ended(house, begun)


def test_a_suggestion_is_played(house: House, game: View) -> None:
    offered = house.studio.show(place_of(game).story_id).steps[0].plans
    after = ended(house, play_view.choose(house, place_of(game), picked(pick="2")))
    assert plans(house, after)[1] == offered[1].text


def test_an_old_suggestion_is_asked_again(house: House, game: View) -> None:
    acted(house, game, "wait")
    view = play_view.choose(house, place_of(game), picked(pick="1"))
    assert "went on elsewhere" in (view.notice or "")
    assert place_of(view).depth == 2


def test_nothing_done_is_asked_for(house: House, game: View) -> None:
    with pytest.raises(InvalidText, match="Write what you do"):
        play_view.act(house, place_of(game), "say", " ")


def test_a_turn_that_failed_gives_the_words_back(house: House, game: View) -> None:
    after = acted(house, game, "x" * 5000, "say")
    assert "Shorten it" in (after.notice or "")
    assert (after.action, after.manner) == ("x" * 5000, "say")
    kept = ended(house, play_view.act(house, place_of(game), "say", "x" * 5000), "half a thought")
    assert kept.action is None


def test_words_told_in_vain_are_kept_whoever_sees_it_first(house: House, game: View) -> None:
    """What followed an earlier event may settle the turn before the page knows that its box is empty."""
    begun = play_view.act(house, place_of(game), "say", "x" * 5000)
    assert begun.action == ""
    first = ended(house, begun, "x" * 5000, "say")
    assert (first.action, first.watched) == ("x" * 5000, None)
    second = ended(house, begun, "", "say")
    assert (second.action, second.manner, second.watched) == ("x" * 5000, "say", "")


def test_a_turn_is_told_again_on_a_strand_of_its_own(house: House, game: View) -> None:
    two = acted(house, game, "open the door")
    again = ended(house, play_view.retry(house, place_of(two)))
    assert plans(house, again) == plans(house, two)
    assert again.text != two.text
    assert place_of(again).strand_id != place_of(two).strand_id
    assert len(house.studio.branches(place_of(two).story_id)) == 2


def test_turns_are_taken_back_and_gone_back_to(house: House, game: View) -> None:
    three = acted(house, acted(house, game, "open the door"), "wait")
    assert 'data-pick="back" data-depth="2"' in (three.text or "")
    assert 'data-depth="3"' not in (three.text or "")
    undone = play_view.undo(house, place_of(three))
    assert plans(house, undone) == plans(house, three)[:2]
    first = play_view.go_back(house, place_of(three), picked(pick="back", depth="1"))
    assert plans(house, first) == plans(house, three)[:1]
    assert len(plans(house, three)) == 3


def test_nothing_is_done_while_the_story_answers(
    house: House, game: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writers, "of_strand", lambda _self, _strand: Writing())
    place = place_of(game)
    refused = [
        play_view.act(house, place, "do", "run"),
        play_view.choose(house, place, picked(pick="1")),
        play_view.retry(house, place),
        play_view.undo(house, place),
        play_view.go_back(house, place, picked(depth="1")),
    ]
    assert all("still answering" in (view.notice or "") for view in refused)
    assert all(view.action is None and view.place is None for view in refused)
    assert len(house.studio.branches(place.story_id)) == 1


def test_following_ends_with_the_turn(house: House, game: View) -> None:
    async def look() -> list[View]:
        begun = play_view.act(house, place_of(game), "do", "open the door")
        return [view async for view in play_view.follow(house, place_of(begun), begun.watched or "")]

    assert all(view.place is None for view in asyncio.run(look()))
    assert play_view.settle(house, Place(), "", "do", "") == View()
    assert play_view.stop(house, Place(), "") == View()


def test_earlier_turns_are_shown_when_asked_for(
    house: House, game: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play_view, "WINDOW", 1)
    two = acted(house, game, "open the door")
    narrow = play_view.opened(house, Place(place_of(two).story_id, place_of(two).strand_id, window=1))
    assert narrow.earlier == Visible(True)
    wide = play_view.earlier(house, place_of(narrow))
    assert wide.earlier == Visible(False)
    assert (wide.text or "").count('class="turn"') == 2


def test_hostile_text_is_only_text(house: House, game: View) -> None:
    hostile = "<script>pwned</script> \" ' &"
    after = acted(house, game, hostile, "story")
    assert "<script>" not in (after.text or "")
    assert "&lt;script&gt;pwned&lt;/script&gt; &quot; &#x27; &amp;" in (after.text or "")
    assert "<script>" not in play_html.draft(hostile, hostile)
    assert "<script>" not in play_html.turns(hostile, (), hostile)
    step = house.studio.show(place_of(after).story_id).steps[-1]
    (plan, *_) = step.plans
    assert "<script>" not in play_html.offers([replace(plan, text=hostile)])


@pytest.mark.parametrize(
    ("manner", "question"),
    [("do", "What do you do?"), ("say", "What do you say?"), ("story", "What happens?")],
)
def test_the_box_asks_for_what_is_meant(house: House, manner: str, question: str) -> None:
    assert play_view.meant(house, Place(), manner) == View(action=Asking(question))


def test_what_ended_on_a_strand_that_was_left_changes_nothing_in_either_tab(house: House, game: View) -> None:
    begun = play_view.act(house, place_of(game), "do", "open the door")
    left = place_of(play_view.undo(house, place_of(ended(house, begun))))
    assert left.strand_id != place_of(game).strand_id
    assert play_view.settle(house, left, begun.watched or "", "do", "") == View()
    there = replace(left, writing_id=begun.watched or "")
    assert write_view.settle(house, there, "", "") == write_view.View()
