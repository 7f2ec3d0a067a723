from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storyloom.app.agents.scene import Scene
from storyloom.app.agents.writer import Writer
from storyloom.app.events import Cancelled, Listener
from storyloom.app.profiles import SMALL
from storyloom.app.templates import Templates
from storyloom.memory.errors import ModelFailed, PromptTooLong
from storyloom.memory.generation import Message, Piece, Prompt, Request, Usage
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.story import Mode, Note, Origin, ShortMemory, Story
from storyloom.memory.weaver import Item

PROFILE = replace(SMALL, paragraph_words=16, redraws=3)
GOOD = " ran down to the gate before anybody woke. Behind it the whole orchard lay white and silent. "
PAST = "The old ferry crossed the river at noon and came back empty."
STORY = Story(
    id="story0000001",
    owner="local",
    title="The Gate",
    premise="A girl called Anna Reed lives in Millbrook.",
    mode=Mode.NOVEL,
    language="en",
    style="",
    outline="",
    authors_note="",
    settings={},
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@dataclass
class Model:
    """Says its replies in turn, word by word, and keeps what it was asked."""

    replies: list[str]
    features: frozenset[str] = frozenset({"prefill"})
    context_tokens: int = 2000
    name: str = "fake"
    parameters: int | None = 135_000_000
    asked: list[Request] = field(default_factory=list)

    def stream(self, request: Request) -> Iterator[Piece]:
        self.asked.append(request)
        reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        return (Piece(f"{word} ") for word in reply.split(" ")[: request.max_tokens])

    def count_tokens(self, prompt: Prompt) -> int:
        return len(prompt.split() if isinstance(prompt, str) else " ".join(m.content for m in prompt).split())

    def close(self) -> None:
        pass


@dataclass
class Heard(Listener):
    text: list[str] = field(default_factory=list)
    redraws: list[str] = field(default_factory=list)
    stop_after: int = 10**6

    def on_text(self, text: str) -> None:
        self.text.append(text)

    def on_redraw(self, reason: str) -> None:
        self.redraws.append(reason)
        self.text.clear()

    def cancelled(self) -> bool:
        return len(self.text) > self.stop_after


def scene(**changes: object) -> Scene:
    start = Scene(
        story=STORY,
        depth=2,
        plan="Anna opens the gate.",
        memory=ShortMemory((Note(STORY.premise, 0, pinned=True), Note("Anna has a key.", 1))),
        last="Nobody had seen Anna that day.",
        recalled=(Item(text="Once there was a dog.", source="step:s:1"),),
        recent_plans=(),
        index=StoryIndex([PAST]),
        seed=7,
    )
    return replace(start, **changes)  # type: ignore[arg-type]


def writer(model: Model, folder: Path) -> Writer:
    return Writer(model, PROFILE, Templates(folder / "templates"))


def test_a_good_first_draw_is_the_models_own(tmp_path: Path) -> None:
    model, heard = Model([GOOD]), Heard()
    draft = writer(model, tmp_path).write(scene(), heard)
    assert draft.paragraph.startswith("Anna ran down to the gate")
    assert draft.paragraph.endswith("white and silent.")
    assert draft.origin is Origin.MODEL
    assert [call.verdict for call in draft.calls] == ["kept"]
    assert "".join(heard.text).split() == draft.paragraph.split()
    assert heard.redraws == []


def test_a_paragraph_is_as_long_as_is_asked(tmp_path: Path) -> None:
    usual, longer = Model([GOOD]), Model([GOOD, GOOD])
    assert writer(usual, tmp_path).write(scene(), Heard()).calls[-1].verdict == "kept"
    writer(longer, tmp_path).write(scene(words=80), Heard())
    assert longer.asked[0].max_tokens == 120
    assert len(longer.asked) > len(usual.asked) == 1  # it isn't long enough yet


def test_an_answer_to_a_reader_is_shorter_than_a_paragraph(tmp_path: Path) -> None:
    model = Model([GOOD])
    profile = replace(PROFILE, paragraph_words=80, turn_words=16)
    played = scene(story=replace(STORY, mode=Mode.FICTION))
    draft = Writer(model, profile, Templates(tmp_path)).write(played, Heard())
    assert [call.verdict for call in draft.calls] == ["kept"]


def test_worn_words_are_taken_where_there_would_be_no_paragraph(tmp_path: Path) -> None:
    worn = " saw that the old ferry crossed the lake again, and laughed aloud at it before breakfast."
    model, heard = Model([worn]), Heard()
    draft = writer(model, tmp_path).write(scene(index=StoryIndex([PAST, "Anna saw that"])), heard)
    verdicts = [call.verdict for call in draft.calls]
    assert verdicts[:2] == ["repeats the story"] * 2
    assert verdicts[-1] == "kept"
    assert draft.paragraph.endswith("before breakfast.")


def test_the_prompt_holds_every_slot_the_plan_last(tmp_path: Path) -> None:
    model = Model([GOOD])
    draft = writer(model, tmp_path).write(scene(), Heard())
    text = draft.calls[0].prompt
    order = [
        text.index(part) for part in (STORY.premise, "has a key", "was a dog", "Nobody", "opens the gate")
    ]
    assert order == sorted(order)
    assert text.count(STORY.premise) == 1
    assert {record.slot for record in draft.slots} == {"premise", "memory", "recall", "last", "plan"}


def test_the_outline_is_for_models_that_can_read_it(tmp_path: Path) -> None:
    before = scene(story=replace(STORY, outline="Anna finds the key."))
    able = Writer(Model([GOOD]), replace(PROFILE, reads_outline=True), Templates(tmp_path))
    assert "finds the key" in able.write(before, Heard()).calls[0].prompt
    assert "finds the key" not in writer(Model([GOOD]), tmp_path).write(before, Heard()).calls[0].prompt


def test_the_paragraph_opens_with_the_plans_name(tmp_path: Path) -> None:
    model = Model([GOOD])
    writer(model, tmp_path).write(scene(plan="At the gate Anna stops."), Heard())
    turn = model.asked[0].prompt[-1]
    assert not isinstance(turn, str)
    assert (turn.role, turn.content) == ("assistant", "Anna")


def test_two_paragraphs_in_a_row_dont_open_with_one_name(tmp_path: Path) -> None:
    model = Model(["Down at the gate there was nobody at all. Behind it the whole orchard lay white."])
    writer(model, tmp_path).write(scene(last="Anna had seen nobody that day."), Heard())
    assert not isinstance(model.asked[0].prompt[-1], str)
    assert model.asked[0].prompt[-1].role == "user"


def test_a_plan_without_names_opens_with_one_of_the_cast(tmp_path: Path) -> None:
    model = Model([GOOD])
    writer(model, tmp_path).write(scene(plan="It rains."), Heard())
    turn = model.asked[0].prompt[-1]
    assert not isinstance(turn, str)
    assert (turn.role, turn.content) == ("assistant", "Anna")


def test_a_bad_sentence_is_drawn_again_from_the_last_good_one(tmp_path: Path) -> None:
    model = Model(
        [
            " stopped by the gate. The old ferry crossed the river at noon. And",
            "It was open and she went through.",
        ]
    )
    heard = Heard()
    draft = writer(model, tmp_path).write(scene(), heard)
    turn = model.asked[1].prompt[-1]
    assert not isinstance(turn, str)
    assert turn.content == "Anna stopped by the gate."
    assert draft.paragraph.startswith("Anna stopped by the gate. It was open")
    assert "ferry" not in draft.paragraph
    assert draft.origin is Origin.REPAIRED
    assert heard.redraws[0] == draft.calls[0].verdict == "repeats the story"


def test_each_redraw_has_another_seed_and_is_hotter(tmp_path: Path) -> None:
    model = Model(["The old ferry crossed the river at noon. And"])
    with pytest.raises(ModelFailed):
        writer(Model([""]), tmp_path).write(scene(), Heard())
    writer(model, tmp_path).write(scene(plan="It rains."), Heard())
    seeds = [request.seed for request in model.asked]
    heat = [request.sampling.temperature or 0 for request in model.asked]
    assert len(set(seeds)) == len(seeds) == PROFILE.redraws + 1
    assert heat == sorted(heat)
    assert heat[0] < heat[-1]


def test_a_name_that_only_the_outline_has_opens_the_first_paragraph(tmp_path: Path) -> None:
    premise = "A keeper guards the iron gate of a town."
    outline = "Jameson finds a key.\nJameson follows a stranger."
    model = Model([GOOD])
    nameless = replace(STORY, premise=premise, outline=outline)
    memory = ShortMemory((Note(premise, 0, pinned=True),))
    start = scene(story=nameless, depth=1, plan="Jameson opens the gate.", memory=memory, last="")
    writer(model, tmp_path).write(start, Heard())
    prompt = model.asked[0].prompt
    assert not isinstance(prompt, str)
    assert (prompt[-1].role, prompt[-1].content) == ("assistant", "Jameson")


def test_without_prefill_bad_sentences_are_left_out(tmp_path: Path) -> None:
    reply = (
        "Anna ran to the gate before anybody woke. The old ferry crossed the river at noon. "
        "It was open and wide to everybody."
    )
    model = Model([reply], features=frozenset())
    draft = writer(model, tmp_path).write(scene(), Heard())
    assert all(
        request.prompt[-1].role == "user" for request in model.asked if not isinstance(request.prompt, str)
    )
    assert draft.paragraph == "Anna ran to the gate before anybody woke. It was open and wide to everybody."
    assert draft.origin is Origin.REPAIRED
    assert len(draft.calls) == 1


def test_without_prefill_a_short_paragraph_is_drawn_anew(tmp_path: Path) -> None:
    model = Model(
        ["Anna ran.", "Anna walked down to the gate before anybody woke. It was open to all."],
        features=frozenset(),
    )
    heard = Heard()
    draft = writer(model, tmp_path).write(scene(), heard)
    assert draft.paragraph.startswith("Anna walked")
    assert heard.redraws == ["too short"]


def test_the_best_draw_is_kept_when_none_is_good(tmp_path: Path) -> None:
    model = Model(["Anna ran.", "Anna ran home.", "Anna."], features=frozenset())
    assert writer(model, tmp_path).write(scene(), Heard()).paragraph == "Anna ran home."


def test_a_text_that_is_all_refused_is_better_than_nothing(tmp_path: Path) -> None:
    told = "Anna saw the old ferry come back from the north shore quite empty."
    model = Model([told.removeprefix("Anna")])
    draft = writer(model, tmp_path).write(scene(index=StoryIndex([told])), Heard())
    assert draft.paragraph == told
    assert draft.origin is Origin.REPAIRED


@pytest.mark.parametrize("reply", ["", "   ", "###", "\n\n"])
def test_a_model_that_says_nothing_fails(reply: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="step 2"):
        writer(Model([reply]), tmp_path).write(scene(plan="It rains."), Heard())


def test_stopping_ends_the_stream(tmp_path: Path) -> None:
    heard = Heard(stop_after=4)
    with pytest.raises(Cancelled):
        writer(Model([GOOD]), tmp_path).write(scene(), heard)
    assert len(heard.text) < 8


def test_a_premise_that_fits_no_context_is_told(tmp_path: Path) -> None:
    story = replace(STORY, premise="word " * 200_000)
    with pytest.raises(PromptTooLong, match="premise"):
        writer(Model([GOOD]), tmp_path).write(scene(story=story), Heard())


def test_recalled_passages_give_way_first(tmp_path: Path) -> None:
    recalled = tuple(Item(text="dog " * 60, source=f"step:s:{number}") for number in range(3))
    draft = writer(Model([GOOD], context_tokens=200), tmp_path).write(scene(recalled=recalled), Heard())
    cut = {record.slot for record in draft.slots if record.cut}
    assert cut == {"recall"}


def test_a_redraw_keeps_within_the_context(tmp_path: Path) -> None:
    told = "Anna stopped by the gate. The old ferry crossed the river at noon. And"
    recalled = tuple(Item(text="dog " * 10, source=f"step:s:{number}") for number in range(9))
    before = scene(recalled=recalled)
    model = Model([told.removeprefix("Anna"), "It was open and she went through."])
    profile = replace(PROFILE, recalled_words=1000)
    prompt = Writer(model, profile, Templates(tmp_path)).write(before, Heard()).calls[0].prompt_tokens
    tight = Model(model.replies, context_tokens=prompt + 24)
    Writer(tight, profile, Templates(tmp_path)).write(before, Heard())
    assert len(tight.asked) > 1
    for request in tight.asked:
        assert tight.count_tokens(request.prompt) + request.max_tokens <= tight.context_tokens
        assert request.max_tokens > 0


def test_a_document_may_speak_of_itself(tmp_path: Path) -> None:
    story = replace(STORY, mode=Mode.DOCUMENT)
    model = Model(
        ["I measured the depth of my river twice a day. We found that our boats were all too heavy for it."]
    )
    draft = writer(model, tmp_path).write(scene(story=story, plan="It rains."), Heard())
    assert draft.origin is Origin.MODEL


def test_a_story_told_in_the_first_person_goes_on_so(tmp_path: Path) -> None:
    model = Model(
        ["I ran down to my gate before anybody woke. Behind it I saw my whole orchard white and silent."]
    )
    draft = writer(model, tmp_path).write(
        scene(last="I had my key. I was afraid.", plan="It rains."), Heard()
    )
    assert draft.origin is Origin.MODEL


@pytest.mark.parametrize(
    ("premise", "reply"),
    [
        ("一个女孩住在山村里。", "她跑到门口，天还没有亮。门后整个果园又白又静，没有一个人醒来。"),
        (
            "ילדה אחת גרה בכפר.",
            "היא רצה אל השער לפני שמישהו התעורר. מאחוריו עמד כל הפרדס לבן ושקט מאוד, ואיש לא דיבר.",
        ),
    ],
)
def test_any_script(premise: str, reply: str, tmp_path: Path) -> None:
    story = replace(STORY, premise=premise, language="zh" if "女" in premise else "he")
    before = scene(story=story, plan=premise, last=premise, memory=ShortMemory(), recalled=())
    draft = writer(Model([reply]), tmp_path).write(before, Heard())
    assert draft.paragraph == reply
    assert draft.origin is Origin.MODEL


def test_usage_is_counted_when_the_stream_was_stopped(tmp_path: Path) -> None:
    call = writer(Model([GOOD]), tmp_path).write(scene(), Heard()).calls[0]
    assert call.agent == "writer"
    assert call.prompt_tokens > 20
    assert call.completion_tokens > 10
    assert Usage(prompt_tokens=1, completion_tokens=1).finish == "stop"


# What a person has just edited

EDITED = Note("The lantern is painted blue.", 1, Origin.PERSON)
TELLING = " took the lantern, and blue paint came off on both of her hands. Nobody saw."
DULL = " She sat down on the wet stones and waited there until the evening came. Nobody passed."
INSISTING = ", and the colour had run down over the stones in the rain of the night. Nobody had passed."


def edited_scene() -> Scene:
    return scene(memory=ShortMemory((Note(STORY.premise, 0, pinned=True), EDITED)), edited=(EDITED,))


def test_a_paragraph_that_tells_nothing_of_an_edit_is_begun_with_it(tmp_path: Path) -> None:
    model, heard = Model([GOOD, INSISTING]), Heard()
    draft = writer(model, tmp_path).write(edited_scene(), heard)
    assert draft.paragraph.startswith("The lantern is painted blue, and the colour had run down")
    assert draft.origin is Origin.REPAIRED
    assert [call.verdict for call in draft.calls] == ["tells nothing of what was edited", "kept"]
    assert heard.redraws == ["tells nothing of what was edited"]
    assert "".join(heard.text).startswith("The lantern is painted blue, and the colour")
    begun = [request.prompt[-1] for request in model.asked]
    assert begun == [Message("assistant", "Anna"), Message("assistant", "The lantern is painted blue")]
    assert len({request.seed for request in model.asked}) == 2


def test_what_tells_of_an_edit_is_drawn_once(tmp_path: Path) -> None:
    model = Model([TELLING])
    draft = writer(model, tmp_path).write(edited_scene(), Heard())
    assert draft.paragraph.startswith("Anna took the lantern")
    assert draft.origin is Origin.MODEL
    assert len(model.asked) == 1


@pytest.mark.parametrize("obeys", [True, False], ids=["a stronger model", "no prefill"])
def test_who_cant_or_neednt_be_held_to_an_edit_is_not(tmp_path: Path, obeys: bool) -> None:
    model = Model([GOOD], features=frozenset({"prefill"} if obeys else ()))
    profile = replace(PROFILE, insists=not obeys)
    Writer(model, profile, Templates(tmp_path)).write(edited_scene(), Heard())
    assert len(model.asked) == 1


def test_an_edit_stands_whatever_is_refused_behind_it(tmp_path: Path) -> None:
    worn = f". {PAST} And"
    model = Model([GOOD, worn, f" {PAST} And", worn, INSISTING])
    draft = Writer(model, replace(PROFILE, redraws=9), Templates(tmp_path)).write(edited_scene(), Heard())
    assert draft.paragraph.startswith("The lantern is painted blue.")
    model = Model([GOOD, f", it seems {PAST} And", f", so {PAST} And", DULL])
    draft = Writer(model, replace(PROFILE, redraws=9), Templates(tmp_path)).write(edited_scene(), Heard())
    assert draft.paragraph.startswith("The lantern is painted blue. She sat down")


def test_where_the_edit_leads_nowhere_the_first_paragraph_stands(tmp_path: Path) -> None:
    model = Model([GOOD, ""])
    draft = writer(model, tmp_path).write(edited_scene(), Heard())
    assert draft.paragraph.startswith("Anna ran down")
