from dataclasses import replace
from pathlib import Path

import pytest

from storyloom.app.agents.scene import Scene
from storyloom.app.agents.scene_weaver import SceneWeaver, WovenScene
from storyloom.app.profiles import LARGE, MEDIUM, SMALL, Profile
from storyloom.app.templates import Templates
from storyloom.memory.errors import InvalidSetting, PromptTooLong
from storyloom.memory.lore import CharacterSheet, LoreEntry, Position
from storyloom.memory.lore_results import Cause, FiredLore, Firing, LoreScan, LoreState, Why
from storyloom.memory.story import Note, ShortMemory
from storyloom.memory.weaver import Item
from tests.unit.app.scenes import STORY, Counting, Noting, scene

DEFAULT = """\
What it is about: A girl called Anna Reed lives in Millbrook.

Author's note: No dogs.

What happened so far: Anna has a key. Anna slept.

From earlier pages:
Once there was a dog.
It barked.

The last paragraph: Nobody had seen Anna that day.

What happens now: Anna opens the gate.

Write the next paragraph."""
OWN = (
    '{% call turn("system") %}Write.{% endcall %}{% call turn("user") %}{{ premise | join(" ") }} '
    '{{ memory | join(" ") }} {{ last | join(" ") }} {{ plan | join(" ") }}MORE{% endcall %}'
)


def lore(name: str, text: str, **fields: object) -> FiredLore:
    entry = LoreEntry(id=name, **fields)  # type: ignore[arg-type]
    why = Why(cause=Cause.CONSTANT) if entry.constant else Why(cause=Cause.KEY, key=name, where="plan")
    return FiredLore(entry=entry, text=text, why=why, tokens=3)


def weave(
    of: Scene,
    folder: Path,
    *,
    profile: Profile = SMALL,
    context: int = 2000,
    listener: Noting | None = None,
) -> WovenScene:
    model = Counting(context_tokens=context)
    weaver = SceneWeaver("writer", model, profile, Templates(folder))
    values = {"prefill": True, "opening": "Anna"}
    return weaver.weave(of, listener or Noting(), max_tokens=180, **values)


def user(woven: WovenScene) -> str:
    assert not isinstance(woven.prompt, str)
    return woven.prompt[1].content


def rich(**settings: object) -> Scene:
    """A scene with everything in it."""
    return scene(
        story=replace(STORY, authors_note="No dogs.", outline="Anna leaves.", settings=settings),
        depth=5,
        earlier=("She woke late.", "She ate bread."),
        recalled=(Item(text="Once there was a dog.", source="a"), Item(text="It barked.", source="b")),
        memory=ShortMemory((Note(STORY.premise, 0, pinned=True), Note("Anna has a key.", 1))),
        characters=(CharacterSheet(id="1", name="Anna", description="A girl of ten."),),
        lore=LoreScan(
            fired=(
                lore("sea", "The sea is salt.", constant=True),
                lore("gate", "The gate is iron."),
                lore("law", "The law is old.", constant=True, position=Position.AFTER_CHARACTERS),
                lore("fog", "The fog is thick.", position=Position.AT_DEPTH, depth=1),
                lore("war", "The war is over.", position=Position.BEFORE_NOTE),
            ),
            state=LoreState(firings={"gate": Firing(depth=5, mark="m")}),
        ),
    )


def test_without_lore_a_small_model_reads_the_prompt_that_was_measured(tmp_path: Path) -> None:
    before = scene(
        story=replace(STORY, authors_note="No dogs."),
        memory=ShortMemory(
            (Note(STORY.premise, 0, pinned=True), Note("Anna has a key.", 1), Note("Anna slept.", 2))
        ),
        recalled=(Item(text="Once there was a dog.", source="a"), Item(text="It barked.", source="b")),
        earlier=("She ate bread.",),
    )
    woven = weave(before, tmp_path)
    assert user(woven) == DEFAULT
    assert not isinstance(woven.prompt, str)
    assert [message.role for message in woven.prompt] == ["system", "user", "assistant"]
    assert woven.prompt[0].content.endswith("clear, vivid prose, past tense, third person.")
    assert woven.prompt[2].content == "Anna"


def test_what_stays_stands_first_and_lore_where_it_belongs(tmp_path: Path) -> None:
    assert user(weave(rich(), tmp_path, profile=MEDIUM)) == (
        "What it is about: A girl called Anna Reed lives in Millbrook.\n\nOutline: Anna leaves.\n\n"
        "About the world:\nThe sea is salt.\n\nThe characters:\nAnna: A girl of ten.\n\n"
        "About the world:\nThe law is old.\n\nAuthor's note: No dogs.\n\n"
        "What happened so far: Anna has a key.\n\n"
        "To bear in mind:\nThe gate is iron.\nThe war is over.\n\n"
        "From earlier pages:\nOnce there was a dog.\nIt barked.\n\n"
        "The last paragraphs:\n\nShe ate bread.\n\n"
        "To bear in mind: The fog is thick.\n\nNobody had seen Anna that day.\n\n"
        "What happens now: Anna opens the gate.\n\nWrite the next paragraph."
    )


@pytest.mark.parametrize(
    ("depth", "end"),
    [
        (0, "The fog. Nobody had seen Anna that day. The war is over. Note"),
        (1, "She ate bread. The fog. The war is over. Note Nobody had seen Anna that day."),
        (9, "The war is over. Note She ate bread. The fog. Nobody had seen Anna that day."),
    ],
)
def test_the_note_stands_at_the_depth_that_the_story_asks_for(depth: int, end: str, tmp_path: Path) -> None:
    text = user(weave(rich(note_depth=depth), tmp_path, profile=MEDIUM))
    told = text.replace("To bear in mind: ", "").replace("Author's note: No dogs.", "Note")
    told = told.replace("The fog is thick.", "The fog.")
    assert end in " ".join(told.split())
    assert text.count("No dogs.") == 1


def test_plain_reads_as_recurrent_gpt_does(tmp_path: Path) -> None:
    woven = weave(rich(weaver="plain"), tmp_path, profile=LARGE)
    text = user(woven)
    parts = ("sea is salt", "Anna has a key", "Nobody had seen", "opens the gate", "gate is iron", "a dog")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "She ate bread" not in text
    assert woven.weaving.strategy == "plain"


def test_read_twice_shows_material_and_question_twice_and_the_rest_once(tmp_path: Path) -> None:
    woven = weave(rich(weaver="read-twice"), tmp_path, profile=LARGE)
    twice = {"lore", "recall", "plan"}
    for record in woven.records:
        assert user(woven).count(record.text) == (2 if record.slot in twice else 1), record
    assert user(woven).endswith("What happens now: Anna opens the gate.\n\nWrite the next paragraph.")
    assert woven.weaving.tokens == Counting().count_tokens(woven.prompt)


def test_read_twice_begins_with_the_smaller(tmp_path: Path) -> None:
    short = scene(story=replace(STORY, settings={"weaver": "read-twice"}))
    long = replace(
        short, plan="Anna opens the gate and finds that nobody has been there for a very long time."
    )
    assert user(weave(long, tmp_path)).index("a dog") < user(weave(long, tmp_path)).index(long.plan)
    assert user(weave(short, tmp_path)).index(short.plan) < user(weave(short, tmp_path)).index("a dog")


def test_an_unknown_weaver_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"'fast'.*budgeted, plain, read-twice"):
        weave(rich(weaver="fast"), tmp_path)


def test_the_weaving_tells_how_and_what_the_lore_leaves(tmp_path: Path) -> None:
    weaving = weave(rich(), tmp_path).weaving
    assert (weaving.strategy, weaving.budget) == ("budgeted", 2000 - 180)
    assert weaving.template == Templates(tmp_path).source("writer")
    assert weaving.values["order"][0] == "premise"
    assert weaving.lore["firings"] == {"gate": {"depth": 5, "mark": "m"}}
    assert weaving.lore["why"]["lore:gate"] == "key 'gate' in plan"


def test_a_page_of_fifty_thousand_words_keeps_its_end_and_leaves_room_for_the_rest(tmp_path: Path) -> None:
    notes = tuple(Note(f"Anna took step number {number}.", 1) for number in range(10_000))
    woven = weave(scene(memory=ShortMemory(notes)), tmp_path)
    assert "a dog" in user(woven)
    assert "Nobody had seen" in user(woven)
    kept = [record for record in woven.records if record.slot == "memory" and record.entered]
    cut = [record for record in woven.records if record.slot == "memory" and record.cut]
    assert len(kept) + len(cut) == 10_000
    assert kept[-1].text == "Anna took step number 9999."
    assert sum(record.tokens for record in kept) == round(woven.weaving.budget / 2)


def test_a_pinned_note_or_constant_lore_without_room_is_told_once(tmp_path: Path) -> None:
    pinned = ShortMemory((Note("Anna must never ever see the far sea again, " * 30, 3, pinned=True),))
    before = scene(memory=pinned, lore=LoreScan(fired=(lore("sea", "The sea is salt.", constant=True),)))
    heard = Noting()
    weaver = SceneWeaver("writer", Counting(context_tokens=260), SMALL, Templates(tmp_path))
    for _ in range(2):
        woven = weaver.weave(before, heard, max_tokens=180, prefill=True, opening="")
        assert {record.source for record in woven.records if record.cut} == {"note:3", "step:s:1", "step:1"}
    (notice,) = heard.notices
    assert "“Anna must never ever see the far sea…” (note:3)" in notice
    assert "--prompt 2" in notice
    assert "The sea is salt." in user(woven)


def test_nothing_is_told_when_everything_pinned_is_in(tmp_path: Path) -> None:
    heard = Noting()
    weave(rich(), tmp_path, context=300, listener=heard)
    assert heard.notices == []


def test_a_context_below_what_stays_is_told(tmp_path: Path) -> None:
    with pytest.raises(PromptTooLong, match="only 10 fit"):
        weave(rich(), tmp_path, context=190)


def test_a_template_of_ones_own_without_a_place_for_lore_is_told_and_recorded(tmp_path: Path) -> None:
    (tmp_path / "writer.j2").write_text(OWN.replace("MORE", ""))
    heard = Noting()
    woven = weave(rich(), tmp_path, listener=heard)
    assert "The sea is salt." not in user(woven)
    assert {record.slot for record in woven.records if record.cut} == {
        "lore_before", "characters", "lore_after", "authors_note", "lore", "recall", "depth:1"
    }  # fmt: skip
    (notice,) = heard.notices
    assert "writer.j2 in your data folder has no place" in notice
    assert "(lore:sea)" in notice
    assert "(lore:gate)" not in notice


def test_an_outlet_enters_where_a_template_names_it(tmp_path: Path) -> None:
    entry = lore("map", "The map is torn.", position=Position.OUTLET, outlet="places")
    before = scene(lore=LoreScan(fired=(entry,)))
    assert [record.cut for record in weave(before, tmp_path).records if record.slot == "outlet:places"] == [
        "The map is torn."
    ]
    (tmp_path / "writer.j2").write_text(OWN.replace("MORE", ' {{ outlets.get("places", []) | join(" ") }}'))
    assert user(weave(before, tmp_path)).endswith("The map is torn.")
    assert weave(scene(), tmp_path).records
