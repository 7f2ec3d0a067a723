from dataclasses import replace

import pytest

from storyloom.app.events import Listener
from storyloom.memory.errors import InvalidText, ModelFailed, StepConflict
from storyloom.memory.story import Mode
from storyloom.ui.studio import new_story_view as view
from storyloom.ui.studio.new_story_view import MOST_SHEETS, Draft, View
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Enabled, Visible

NOWHERE = Place()
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
WAIT = 30.0


def draft_of(shown: View) -> Draft:
    assert shown.draft is not None
    return shown.draft


def at(shown: View) -> int:
    assert shown.steps is not None
    return shown.steps.index(Visible(True))


def people(*named: tuple[str, str]) -> list[str]:
    filled = [*named, *[("", "")] * (MOST_SHEETS - len(named))]
    return [name for name, _ in filled] + [about for _, about in filled]


@pytest.fixture
def outlined(house: House) -> View:
    """The page at the second step."""
    return view.to_outline(house, NOWHERE, Draft(), PREMISE, "novel", "", "")


def test_the_story_is_kept_from_the_outline_on(house: House, outlined: View) -> None:
    assert at(outlined) == 1
    story = house.studio.show(draft_of(outlined).story_id).story
    assert (story.premise, story.title, story.outline) == (PREMISE, outlined.title, outlined.outline)
    assert outlined.outline
    assert outlined.to_outline == Enabled(True)


def test_while_an_outline_is_made_no_second_one_is_asked_for(house: House) -> None:
    shown = view.outlining(house, NOWHERE)
    assert "outline" in (shown.doing or "")
    assert (shown.another, shown.to_outline) == (Enabled(False), Enabled(False))


def test_an_empty_premise_keeps_nothing(house: House) -> None:
    shown = view.to_outline(house, NOWHERE, Draft(), " ", "novel", "", "")
    assert "premise is empty" in (shown.notice or "")
    assert shown.steps is None
    assert shown.to_outline == Enabled(True)
    assert house.studio.stories() == []


def test_a_model_that_fails_leaves_one_story_to_try_again_with(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = house.studio.drafts._begin

    def fail(*given: object) -> None:
        begin(*given)  # type: ignore[arg-type]
        raise ModelFailed("The engine broke off.")

    monkeypatch.setattr(house.studio.drafts, "_begin", fail)
    failed = view.to_outline(house, NOWHERE, Draft(), PREMISE, "novel", "", "")
    assert "broke off" in (failed.notice or "")
    monkeypatch.setattr(house.studio.drafts, "_begin", begin)
    again = view.to_outline(house, NOWHERE, draft_of(failed), "Tobias rows out.", "document", "", "")
    assert at(again) == 1
    story = house.studio.show(draft_of(again).story_id).story
    assert (story.premise, story.mode) == ("Tobias rows out.", Mode.DOCUMENT)
    assert len(house.studio.stories()) == 1


def test_going_back_to_the_premise_keeps_what_is_typed_of_the_outline(house: House, outlined: View) -> None:
    assert at(view.back_to_premise(house, NOWHERE)) == 0
    draft = draft_of(outlined)
    after = view.to_outline(house, NOWHERE, draft, "Another premise.", "novel", "My Title", "My outline.")
    assert (after.title, after.outline) == ("My Title", "My outline.")
    assert house.studio.show(draft.story_id).story.premise == "Another premise."


def test_another_outline_and_the_one_before(house: House, outlined: View) -> None:
    other = view.another(house, NOWHERE, draft_of(outlined), outlined.title or "", "My own outline.")
    assert other.outline not in {None, "", outlined.outline, "My own outline."}
    assert other.title == outlined.title
    assert other.former == Visible(True)
    third = view.another(house, NOWHERE, draft_of(other), other.title or "", other.outline or "")
    assert third.outline != other.outline
    looked = []
    shown = third
    for _ in range(3):
        shown = view.former(house, NOWHERE, draft_of(shown), shown.outline or "")
        looked.append(shown.outline)
    assert looked == [other.outline, "My own outline.", third.outline]


def test_another_outline_that_fails_leaves_the_box_alone(house: House, outlined: View) -> None:
    shown = view.another(house, NOWHERE, draft_of(outlined), " ", "My own outline.")
    assert "title is empty" in (shown.notice or "")
    assert shown.outline is None
    assert shown.another == Enabled(True)


def test_characters_are_kept_changed_and_left_out(house: House, outlined: View) -> None:
    draft = draft_of(outlined)
    assert at(view.to_characters(house, NOWHERE, draft, "The Lamp", "She opens it.")) == 2
    given = people(("Mara", "A keeper."), ("", " "), ("Tobias", ""))
    shown = view.to_first(house, NOWHERE, draft, *given)
    assert at(shown) == 3
    assert "Mara, Tobias" in (shown.summary or "")
    assert "She opens it." in (shown.summary or "")
    changed = people(("Mara", "A keeper of lamps."), ("Ann", ""))
    view.to_first(house, NOWHERE, draft_of(shown), *changed)
    sheets = house.studio.lore.characters.list(draft.story_id)
    assert {(one.name, one.description) for one in sheets} == {("Mara", "A keeper of lamps."), ("Ann", "")}
    assert draft_of(shown).characters[0] in {one.id for one in sheets}


def test_a_character_without_a_name_is_told_and_none_is_kept(house: House, outlined: View) -> None:
    given = people(("Mara", "A keeper."), ("", "A stranger who limps."))
    with pytest.raises(InvalidText, match="A stranger who limps"):
        view.to_first(house, NOWHERE, draft_of(outlined), *given)
    assert house.studio.lore.characters.list(draft_of(outlined).story_id) == []


def test_room_for_more_characters_comes_one_by_one(house: House) -> None:
    draft = Draft()
    for count in range(draft.shown + 1, MOST_SHEETS + 1):
        shown = view.more(house, NOWHERE, draft)
        assert shown.sheets is not None
        assert shown.sheets.count(Visible(True)) == count
        assert shown.more == Visible(count < MOST_SHEETS)
        draft = draft_of(shown)


def test_the_first_paragraph_is_written_by_the_plan(house: House, outlined: View) -> None:
    draft = draft_of(outlined)
    begun = view.begin(house, NOWHERE, draft, "Mara counts the stairs.")
    assert begun.place is not None
    writing = house.writers.get(begun.place.writing_id)
    assert writing is not None
    assert writing.ended_within(WAIT)
    steps = house.studio.show(draft.story_id).steps
    assert [step.plan for step in steps] == ["Mara counts the stairs."]
    with pytest.raises(StepConflict, match="first paragraph already"):
        view.to_characters(house, NOWHERE, draft, "Another", "")


def test_a_plan_that_is_too_long_stays_on_the_page(house: House, outlined: View) -> None:
    shown = view.begin(house, NOWHERE, draft_of(outlined), "x" * 5000)
    assert "Shorten it" in (shown.notice or "")
    assert shown.place is None


def test_another_owner_has_no_part_in_a_draft(house: House, outlined: View) -> None:
    other = replace(house, studio=house.studio.of_owner("tom"))
    shown = view.to_outline(other, NOWHERE, draft_of(outlined), "Mine now.", "novel", "", "")
    assert "no story" in (shown.notice or "")
    assert house.studio.show(draft_of(outlined).story_id).story.premise == PREMISE
    assert [at(back(house, NOWHERE)) for back in view.BACK] == [0, 1, 2]
    list(house.studio.write(draft_of(outlined).story_id, Listener()))
