from collections.abc import Generator, Sequence

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.memory.errors import StrandNotFound
from storyloom.memory.generation import Likelihood, Prompt
from storyloom.ui.studio import inspect_view
from storyloom.ui.studio.inspect_view import View
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Enabled
from tests.unit.ui.studio.telling import began, went_on


class Lengths:
    """Finds a text the less likely, the longer its prompt is."""

    name = "lengths"

    def score(self, prompts: Sequence[Prompt], _text: str) -> Generator[Likelihood]:
        for prompt in prompts:
            yield Likelihood(-float(len(str(prompt))), 10)


def test_the_last_paragraph_stands_there_when_the_tab_is_opened(house: House) -> None:
    view = inspect_view.opened(house, began(house, 3))
    assert view.depth == 3
    assert (view.back, view.ahead) == (Enabled(True), Enabled(False))
    assert "Paragraph 3 " in (view.paragraph or "")
    assert 'class="slot-premise"' in (view.prompt or "")
    assert "Memory keeper" in (view.calls or "")
    assert (view.charts or "").count("<svg") == 4  # nothing is recalled in so short a story
    assert (view.charts or "").count("<title>Paragraph 2: ") == 4


def test_a_story_without_a_paragraph_has_nothing_to_look_into(house: House) -> None:
    begun = house.studio.begin(Beginning(premise="A lamp."), Listener())
    view = inspect_view.opened(house, Place(begun.story.id, begun.strand.id))
    assert "No paragraph yet" in (view.paragraph or "")
    assert view.why == Enabled(False)


def test_one_goes_back_and_ahead_as_far_as_there_are_paragraphs(house: House) -> None:
    place = began(house, 2)
    first = inspect_view.back(house, place, 2)
    assert (first.depth, first.back, first.ahead) == (1, Enabled(False), Enabled(True))
    assert inspect_view.back(house, place, 1).depth == 1
    assert inspect_view.ahead(house, place, 1).depth == 2
    assert inspect_view.ahead(house, place, 2).depth == 2
    assert inspect_view.ahead(house, went_on(house, place), 2).depth == 3
    assert inspect_view.ahead(house, place, None).depth == 1
    assert inspect_view.back(house, place, None).depth == 1


def test_what_is_typed_is_left_in_its_box(house: House) -> None:
    place = began(house, 2)
    view = inspect_view.typed(house, place, 1)
    assert view.depth is None
    assert "Paragraph 1 " in (view.paragraph or "")
    assert inspect_view.typed(house, place, None) == View()
    with pytest.raises(StrandNotFound):
        inspect_view.typed(house, place, 9)


def test_a_link_opens_the_paragraph_that_it_names(house: House) -> None:
    view = inspect_view.picked(house, began(house, 2), {"pick": "", "depth": "1"})
    assert view.depth == 1


def test_a_model_that_cant_score_is_told_of(house: House) -> None:
    place = began(house, 2)
    assert inspect_view.scoring(house, place).why == Enabled(False)
    view = inspect_view.why(house, place, 2)
    assert "can&#x27;t score" in (view.notice or "")
    assert (view.effects, view.why) == ("", Enabled(True))


def test_what_each_remembered_thing_did_is_a_signed_bar(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = began(house, 3)
    monkeypatch.setattr(house.studio.influence, "_load", lambda _spec: Lengths())
    view = inspect_view.why(house, place, 3)
    assert view.effects is not None
    assert view.effects.count("<li>") == view.effects.count("<rect ") > 1
    assert 'class="against"' in view.effects
    assert "nats</b>" in view.effects
    assert view.why == Enabled(True)
