from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.app.agents.calls import readable
from storyloom.app.agents.scene import Scene
from storyloom.app.agents.scene_weaver import SceneWeaver, WovenScene
from storyloom.app.agents.writer import Writer
from storyloom.app.profiles import LARGE, MEDIUM, SMALL, Profile
from storyloom.app.templates import Templates
from storyloom.app.weaving import going_on, is_shown, rebuild
from storyloom.memory.errors import PromptTooLong
from storyloom.memory.generation import Message
from storyloom.memory.lore import CharacterSheet, LoreEntry, Position
from storyloom.memory.lore_results import Cause, FiredLore, LoreScan, Why
from storyloom.memory.story import Mode, Note, ShortMemory
from storyloom.memory.weaver import Item
from storyloom.memory.weaver_strategies import STRATEGIES
from tests.unit.app.scenes import STORY, Counting, Noting, scene

TEXTS = st.sampled_from(
    [
        "Anna ran.",
        "He came. He saw it! Why?",
        "雨が降った。彼は走った。",
        "{{ plan }} {% if %}",
        "\x1euser\nx",
        "a\n\nb",
        " ",
    ]
)
WORDS = st.text("abc .!?\n", max_size=30)


@st.composite
def lore_scans(draw: st.DrawFn) -> LoreScan:
    numbers = range(draw(st.integers(0, 4)))
    return LoreScan(
        fired=tuple(
            FiredLore(
                entry=LoreEntry(
                    id=str(number),
                    position=draw(st.sampled_from(Position)),
                    depth=draw(st.integers(0, 4)),
                    constant=draw(st.booleans()),
                    outlet="town",
                ),
                text=draw(TEXTS),
                why=Why(cause=Cause.KEY, key="k", where="plan"),
                tokens=2,
            )
            for number in numbers
        )
    )


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    note_depth = draw(st.none() | st.integers(0, 4))
    story = replace(
        STORY,
        premise=draw(WORDS),
        style=draw(st.sampled_from(["", "terse"])),
        outline=draw(st.sampled_from(["", "One.\nTwo."])),
        authors_note=draw(st.sampled_from(["", "No dogs."])),
        language=draw(st.sampled_from(["en", "ja"])),
        mode=draw(st.sampled_from(Mode)),
        settings={"weaver": draw(st.sampled_from(sorted(STRATEGIES)))}
        | ({} if note_depth is None else {"note_depth": note_depth}),
    )
    notes = [
        Note(text, place, pinned=draw(st.booleans()))
        for place, text in enumerate(draw(st.lists(TEXTS, max_size=4)))
    ]
    recalled = draw(st.lists(TEXTS, max_size=3))
    sheets = draw(st.lists(TEXTS, max_size=2))
    return scene(
        story=story,
        depth=9,
        plan=draw(TEXTS),
        memory=ShortMemory(tuple(notes)),
        last=draw(st.just("") | TEXTS),
        earlier=tuple(draw(st.lists(TEXTS, max_size=2))),
        recalled=tuple(Item(text=text, source=f"step:s:{place}") for place, text in enumerate(recalled)),
        characters=tuple(
            CharacterSheet(id=str(place), name="Anna", description=text) for place, text in enumerate(sheets)
        ),
        lore=draw(lore_scans()),
    )


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


@settings(max_examples=150, deadline=None)
@given(
    of=scenes(), profile=st.sampled_from([SMALL, MEDIUM, LARGE]), context=st.integers(20, 200), data=st.data()
)
def test_a_prompt_fits_loses_nothing_in_silence_and_can_be_made_again(
    templates: Templates, of: Scene, profile: Profile, context: int, data: st.DataObject
) -> None:
    model, heard = Counting(context_tokens=context), Noting()
    agent = data.draw(st.sampled_from(["writer", "one_call"]))
    extra = {"prefill": True, "opening": data.draw(st.sampled_from(["", "Anna"]))}
    if agent == "one_call":
        extra = {"paragraph_words": 100, "memory_words": 100}

    def weave() -> WovenScene:
        return SceneWeaver(agent, model, profile, templates).weave(of, heard, max_tokens=10, **extra)

    try:
        woven = weave()
    except PromptTooLong:
        return
    assert woven.weaving.tokens == model.count_tokens(woven.prompt) <= woven.weaving.budget == context - 10
    assert rebuild(woven.records, woven.weaving, templates) == woven.prompt
    cut = {record.source for record in woven.records if record.cut}
    pinned = {f"note:{note.depth}" for note in of.memory.notes if note.pinned}
    pinned |= {one.source for one in of.lore.fired if one.entry.constant}
    assert bool(cut & pinned) <= bool(heard.notices)
    assert weave() == woven


@settings(max_examples=50, deadline=None)
@given(of=scenes(), data=st.data())
def test_without_one_item_the_rest_stays_as_it_was(
    templates: Templates, of: Scene, data: st.DataObject
) -> None:
    woven = SceneWeaver("writer", Counting(), MEDIUM, templates).weave(
        of, Noting(), max_tokens=10, prefill=True, opening=""
    )
    place = data.draw(st.integers(0, len(woven.records) - 1))
    rest = [record for number, record in enumerate(woven.records) if number != place]
    assert rebuild(woven.records, woven.weaving, templates, without=place) == rebuild(
        rest, woven.weaving, templates
    )


def test_the_first_call_of_a_writer_is_made_again_to_the_letter(tmp_path: Path) -> None:
    model, templates = Counting(), Templates(tmp_path)
    draft = Writer(model, SMALL, templates).write(scene(), Noting())
    prompt = rebuild(draft.slots, draft.weaving, templates)
    assert prompt == model.asked[0].prompt
    assert readable(prompt) == draft.calls[0].prompt
    recall = [record.slot for record in draft.slots].index("recall")
    without = readable(rebuild(draft.slots, draft.weaving, templates, without=recall))
    assert without == draft.calls[0].prompt.replace("From earlier pages:\nOnce there was a dog.\n\n", "")


def test_a_template_that_was_changed_since_is_used_as_it_was(tmp_path: Path) -> None:
    own = tmp_path / "writer.j2"
    own.write_text('{% call turn("user") %}Old: {{ plan | join(" ") }}{% endcall %}')
    model = Counting()
    draft = Writer(model, SMALL, Templates(tmp_path)).write(scene(), Noting())
    own.write_text("{{ broken")
    assert rebuild(draft.slots, draft.weaving, Templates(tmp_path)) == model.asked[0].prompt


def test_an_answer_begun_goes_on_in_the_template_s_own_turn() -> None:
    user, lead = Message("user", "Write."), Message("assistant", "Here it comes:")
    first = going_on((user, lead), "Anna")
    assert first == (user, Message("assistant", "Here it comes:\n\nAnna"))
    assert going_on(first, "Anna ran.", instead="Anna") == (
        user,
        Message("assistant", "Here it comes:\n\nAnna ran."),
    )
    assert going_on((user,), "") == (user,)
    assert going_on("Write.", "Anna") == (user, Message("assistant", "Anna"))


@pytest.mark.parametrize(
    ("slot", "reads", "note_depth", "shown"),
    [
        ("memory", {"memory"}, None, True),
        ("memory", {"recall"}, None, False),
        ("memory", None, None, True),
        ("last", {"recent"}, None, True),
        ("last", {"last"}, None, True),
        ("depth:3", {"last"}, None, False),
        ("depth:3", {"recent"}, None, True),
        ("authors_note", {"authors_note"}, None, True),
        ("authors_note", {"authors_note"}, 2, False),
        ("authors_note", {"recent"}, 2, True),
        ("outlet:town", {"outlets"}, None, True),
        ("outlet:sea", {"outlets"}, None, False),
        ("outlet:town", {"memory"}, None, False),
    ],
)
def test_a_slot_is_shown_where_a_template_asks_for_it(
    slot: str, reads: set[str] | None, note_depth: int | None, shown: bool
) -> None:
    assert is_shown(slot, 'the "town"', reads, note_depth) is shown
