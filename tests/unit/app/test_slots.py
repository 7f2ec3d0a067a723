from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.app.agents.scene import Scene
from storyloom.app.agents.slots import Room, note_depth, slots_of
from storyloom.app.profiles import LARGE, MEDIUM, SMALL, Profile
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.lore import CharacterSheet, LoreEntry, Position
from storyloom.memory.lore_results import Cause, FiredLore, LoreScan, Why
from storyloom.memory.story import Note, Origin, ShortMemory
from storyloom.memory.weaver import Item, Slot
from storyloom.memory.weaver_strategies import BUDGETED, PLAIN, Strategy
from tests.unit.app.scenes import STORY, scene


def fired(name: str, position: Position = Position.BEFORE_CHARACTERS, **fields: object) -> FiredLore:
    entry = replace(LoreEntry(id=name, position=position), **fields)  # type: ignore[arg-type]
    cause = Cause.CONSTANT if entry.constant else Cause.KEY
    return FiredLore(entry=entry, text=f"The {name}.", why=Why(cause=cause), tokens=2)


def slots(
    of: Scene, profile: Profile = SMALL, strategy: Strategy = BUDGETED, budget: int = 4000
) -> dict[str, Slot]:
    room = Room(profile=profile, strategy=strategy, budget=budget)
    return {slot.name: slot for slot in slots_of(of, room)}


def texts(slot: Slot) -> list[str]:
    return [item.text for item in slot.items]


def test_a_small_model_sees_one_last_paragraph_an_able_one_several() -> None:
    before = scene(depth=5, last="Four.", earlier=("Two.", "Three."))
    assert texts(slots(before)["last"]) == ["Four."]
    for profile in (MEDIUM, LARGE):
        last = slots(before, profile)["last"]
        assert texts(last) == ["Three.", "Four."]
        assert [item.source for item in last.items] == ["step:3", "step:4"]
    assert texts(slots(before, LARGE, PLAIN)["last"]) == ["Four."]
    assert texts(slots(scene(depth=1, last=""), LARGE)["last"]) == []


def test_an_able_model_sees_its_chapter_of_the_outline() -> None:
    inside = scene(chapter="Anna finds the well.")
    assert texts(slots(inside, MEDIUM)["chapter"]) == ["Anna finds the well."]
    assert texts(slots(inside, SMALL)["chapter"]) == []


def test_what_was_just_edited_stands_in_memory_and_before_the_plan() -> None:
    note = Note("The lamp burns green.", 4, Origin.PERSON)
    before = scene(memory=ShortMemory((Note("The gull limps.", 2), note)))
    assert texts(slots(before)["edited"]) == []
    after = slots(replace(before, edited=(note,)))
    assert texts(after["memory"]) == ["The gull limps.", "The lamp burns green."]
    assert [(item.text, item.source) for item in after["edited"].items] == [
        ("The lamp burns green.", "note:4")
    ]
    names = list(after)
    assert names.index("last") < names.index("edited") < names.index("plan")


def test_plain_takes_the_two_best_passages() -> None:
    recalled = tuple(Item(text=text, source=text) for text in "abc")
    assert texts(slots(scene(recalled=recalled), strategy=PLAIN)["recall"]) == ["a", "b"]
    assert texts(slots(scene(recalled=recalled))["recall"]) == ["a", "b", "c"]


def test_characters_are_the_enabled_sheets_with_what_describes_them() -> None:
    sheets = (
        CharacterSheet(id="1", name="Anna Reed", description="A girl of ten.", personality="Stubborn."),
        CharacterSheet(id="2", name="Old Tom", nickname="Tom", personality="{{char}} is kind."),
        CharacterSheet(id="3", name="Nobody", notes="A card without a text."),
        CharacterSheet(id="4", name="Gone", description="Not here.", enabled=False),
    )
    slot = slots(scene(characters=sheets))["characters"]
    assert texts(slot) == ["Anna Reed: A girl of ten. Stubborn.", "Tom: Tom is kind."]
    assert [item.source for item in slot.items] == ["character:1", "character:2"]


def test_constant_lore_stands_among_what_stays_and_the_rest_where_it_changes_no_beginning() -> None:
    scan = LoreScan(
        fired=(
            fired("sea", constant=True),
            fired("key"),
            fired("town", Position.AFTER_CHARACTERS, constant=True),
            fired("inn", Position.AFTER_EXAMPLES),
            fired("law", Position.BEFORE_NOTE, constant=True),
            fired("war", Position.AFTER_NOTE),
            fired("fog", Position.AT_DEPTH, depth=2),
            fired("map", Position.OUTLET, outlet="places"),
        )
    )
    found = {name: texts(slot) for name, slot in slots(scene(lore=scan)).items()}
    assert found["lore_before"] == ["The sea."]
    assert found["lore_after"] == ["The town."]
    assert found["before_note"] == ["The law."]
    assert found["after_note"] == []
    assert found["lore"] == ["The key.", "The inn.", "The war."]
    assert found["depth:2"] == ["The fog."]
    assert found["outlet:places"] == ["The map."]


def test_at_a_depth_the_note_changes_place_at_each_step_and_lore_stays_with_it() -> None:
    deep = scene(
        story=replace(STORY, settings={"note_depth": 1}),
        lore=LoreScan(fired=(fired("war", Position.AFTER_NOTE),)),
    )
    assert texts(slots(deep)["after_note"]) == ["The war."]


def test_pins_stay_with_notes_and_constant_lore() -> None:
    memory = ShortMemory((Note("One.", 1, pinned=True), Note("Two.", 2)))
    found = slots(scene(memory=memory, lore=LoreScan(fired=(fired("sea", constant=True), fired("key")))))
    assert [item.pinned for item in found["memory"].items] == [True, False]
    assert [found[name].items[0].pinned for name in ("lore_before", "lore")] == [True, False]


def test_lore_that_won_by_likeness_says_so() -> None:
    near = replace(fired("key"), why=Why(cause=Cause.SEMANTIC, likeness=0.61))
    (item,) = slots(scene(lore=LoreScan(fired=(near,))))["lore"].items
    assert (item.source, item.score, item.parts) == ("lore:key", 0.61, {"likeness": 0.61})


@given(budget=st.integers(-100, 100_000))
def test_memory_never_takes_more_than_half_unless_its_own_page_does(budget: int) -> None:
    memory = slots(scene(), budget=budget)["memory"]
    assert memory.max_tokens == max(180, round(budget / 2))


@pytest.mark.parametrize(("depth", "expected"), [(None, None), (0, 0), (4, 4)])
def test_a_note_may_stand_at_a_depth(depth: int | None, expected: int | None) -> None:
    assert note_depth({"note_depth": depth}) == expected


@pytest.mark.parametrize("depth", [-1, 1.5, True, "2"])
def test_a_depth_that_is_none_is_refused(depth: object) -> None:
    with pytest.raises(InvalidSetting, match="note_depth"):
        slots(scene(story=replace(STORY, settings={"note_depth": depth})))
