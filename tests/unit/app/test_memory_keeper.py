from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storyloom.app.agents.memory_keeper import MemoryKeeper, MemoryUpdate, is_quote
from storyloom.app.agents.scene import Scene
from storyloom.app.agents.telling import passages
from storyloom.app.profiles import SMALL
from storyloom.app.templates import Templates
from storyloom.memory.errors import PromptTooLong
from storyloom.memory.generation import Message, Piece, Prompt, Request, Usage
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.short_term import first_memory
from storyloom.memory.story import Mode, Note, Origin, ShortMemory, Story

STORY = Story(
    id="story0000001",
    owner="local",
    title="The Gate",
    premise="Anna lives in Millbrook with her uncle.",
    mode=Mode.NOVEL,
    language="en",
    style="",
    outline="",
    authors_note="",
    settings={},
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)
BEST = "Before the bell rang for the second time, Anna broke the lock and carried the chest to the gate."
SECOND = "Her uncle, who had slept badly, counted the silver spoons in the kitchen drawer."
PARAGRAPH = f'"Is anybody there?" she cried. {BEST} It was warm. {SECOND}'


@dataclass
class Model:
    """Says its replies in turn, and keeps what it was asked."""

    replies: list[str]
    features: frozenset[str] = frozenset({"prefill"})
    fits: bool = True
    context_tokens: int = 2000
    name: str = "fake"
    parameters: int | None = 135_000_000
    asked: list[Request] = field(default_factory=list)

    def stream(self, request: Request) -> Iterator[Piece]:
        if not self.fits:
            raise PromptTooLong("too long")
        self.asked.append(request)
        yield Piece(self.replies[(len(self.asked) - 1) % len(self.replies)])
        yield Piece("", Usage(prompt_tokens=9, completion_tokens=9))

    def count_tokens(self, _prompt: Prompt) -> int:
        return 9

    def close(self) -> None:
        pass


def scene(memory: ShortMemory | None = None, *, story: Story = STORY, plan: str = "") -> Scene:
    return Scene(
        story=story,
        depth=4,
        plan=plan,
        memory=first_memory(story.premise) if memory is None else memory,
        last="",
        recalled=(),
        recent_plans=(),
        index=StoryIndex(),
        seed=50,
    )


def update(model: Model, paragraph: str = PARAGRAPH, at: Scene | None = None) -> MemoryUpdate:
    return MemoryKeeper(model, SMALL, Templates(Path("nowhere"))).update(at or scene(), paragraph)


def chat(request: Request) -> tuple[Message, ...]:
    assert not isinstance(request.prompt, str)
    return request.prompt


def test_the_model_says_the_best_passage_shorter() -> None:
    model = Model(["Anna broke the lock and carried the chest to the gate."])
    after = update(model)
    note = Note("Anna broke the lock and carried the chest to the gate.", 4, Origin.MODEL)
    assert after.memory.notes == (*first_memory(STORY.premise).notes, note)
    assert (after.origin, after.added, after.dropped) == (Origin.MODEL, (note,), ())
    assert chat(model.asked[0])[-1] == Message("user", BEST)
    assert [call.verdict for call in after.calls] == ["kept"]


def test_what_follows_the_first_sentence_is_left_out() -> None:
    after = update(Model(["Anna broke the lock. The lock was old and the gate was"]))
    assert after.added[0].text == "Anna broke the lock." or after.origin is not Origin.MODEL
    assert all("old" not in note.text for note in after.added)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Anna burned the whole house down.", "the paragraph doesn't say so"),
        ("Anna broke it.", "too short"),
        ("Anna broke the lock and carried the", "breaks off"),
        ('Anna said "gate" and broke the lock.', "speech"),
        ("I broke the lock and carried my chest.", "not in the third person"),
        (BEST, "only says it again"),
        ("It carried the chest to the gate.", "says too little"),
        ("Anna broke it at that time.", "says too little"),
        ("Anna carried the chest to the gate and carried the chest.", "repeats itself"),
        ("Anna broke the lock and " + "carried the chest and " * 8 + "the gate.", "too long"),
    ],
)
def test_a_refused_sentence_is_drawn_again_on_the_next_passage(reply: str, verdict: str) -> None:
    model = Model([reply, "Her uncle counted the silver spoons."])
    after = update(model)
    assert [call.verdict for call in after.calls] == [verdict, "kept"]
    assert after.origin is Origin.REPAIRED
    assert after.added[0].text == "Her uncle counted the silver spoons."
    assert [chat(request)[-1].content for request in model.asked] == [BEST, SECOND]
    assert len({request.seed for request in model.asked}) == 2


def test_when_nothing_holds_the_best_passage_stands_for_it() -> None:
    after = update(Model(["Dragons came over the mountains and ate everyone."]))
    assert after.origin is Origin.QUOTED
    assert [note.text for note in after.added] == [BEST]
    assert len(after.calls) == 4


def test_a_prompt_that_does_not_fit_is_no_reason_to_lose_the_step() -> None:
    after = update(Model([""], fits=False))
    assert (after.origin, after.calls) == (Origin.QUOTED, ())


@pytest.mark.parametrize(
    "paragraph", ["", "Breaks off in the", '"What now?" asked Tom. "Who knows?"', "Anna lives in Millbrook."]
)
def test_a_paragraph_that_tells_nothing_leaves_the_memory(paragraph: str) -> None:
    before = ShortMemory((Note("Anna lives in Millbrook.", 0, Origin.PERSON, pinned=True),))
    after = update(Model(["Anna lives in Millbrook."]), paragraph, scene(before))
    assert after.origin is Origin.CARRIED
    assert after.memory == before
    assert after.added == ()


def test_the_page_keeps_to_the_profile_s_bound() -> None:
    long_note = Note(" ".join(f"word{number}" for number in range(SMALL.memory_words)) + ".", 1)
    after = update(
        Model(["Anna broke the lock and carried the chest to the gate."]),
        at=scene(ShortMemory((*first_memory(STORY.premise).notes, long_note))),
    )
    assert [each.note for each in after.dropped] == [long_note]


def test_a_lone_person_is_named_where_the_passage_says_she() -> None:
    paragraph = "Anna woke. She took the old iron key from the hook and unlocked the cellar."
    model = Model([" unlocked the cellar with the iron key."])
    after = update(model, paragraph)
    assert chat(model.asked[0])[-1] == Message("assistant", "Anna")
    assert after.added[0].text == "Anna unlocked the cellar with the iron key." or (
        after.origin is Origin.QUOTED
    )


@pytest.mark.parametrize("reply", ["lise unlocked the old cellar.", ", she took the old iron key."])
def test_a_name_that_the_model_runs_over_is_refused(reply: str) -> None:
    paragraph = "Anna woke. She took the old iron key from the hook and unlocked the cellar."
    after = update(Model([reply]), paragraph)
    assert after.calls[0].verdict == "doesn't go on from its opening"


def test_without_prefill_nothing_is_put_in_the_model_s_mouth() -> None:
    model = Model(["She took the iron key."], features=frozenset())
    update(model, "Anna woke. She took the old iron key from the hook and unlocked the cellar.")
    assert all(chat(request)[-1].role == "user" for request in model.asked)


def test_copying_is_punished_where_the_engine_can() -> None:
    able = Model(["Anna broke the lock."], features=frozenset({"dry_multiplier"}))
    plain = Model(["Anna broke the lock."])
    update(able)
    update(plain)
    assert able.asked[0].sampling.dry_multiplier is not None
    assert plain.asked[0].sampling.dry_multiplier is None


def test_the_examples_stay_equal_from_step_to_step() -> None:
    model = Model(["Anna broke the lock."])
    update(model)
    update(model, SECOND, scene(plan="Tom comes."))
    first, last = chat(model.asked[0]), chat(model.asked[-1])
    assert first[:-1] == last[:-1]


def test_the_story_s_language_is_named() -> None:
    model = Model(["Anna brach das Schloss auf."])
    german = replace(STORY, language="de")
    after = update(
        model,
        "Noch vor dem zweiten Läuten brach Anna das Schloss auf und trug die Truhe zum Tor.",
        scene(story=german),
    )
    assert '"de"' in chat(model.asked[0])[0].content
    assert after.origin is Origin.MODEL


def test_passages_are_ranked_by_what_they_tell() -> None:
    at = scene(plan="Anna carries the chest to the gate.")
    idle = "Anna smiled, and her eyes felt the warm light of memories in her heart."
    speech = 'Tom said, "It was late," and he went away.'
    ranked = [passage.text for passage in passages(at, f"{idle} {speech} {BEST}")]
    assert ranked == [BEST, idle, speech]


def test_a_quote_is_the_same_words_in_a_row() -> None:
    assert is_quote("anna broke the lock", BEST)
    assert not is_quote("Anna broke a lock", BEST)


@pytest.mark.model
def test_the_starter_keeps_a_memory(starter_weights: Path) -> None:
    from storyloom.generators.llama_cpp import LlamaCppModel

    model = LlamaCppModel(starter_weights, name="starter")
    try:
        after = MemoryKeeper(model, SMALL, Templates(Path("nowhere"))).update(scene(), PARAGRAPH)
    finally:
        model.close()
    assert after.origin in {Origin.MODEL, Origin.REPAIRED, Origin.QUOTED}
    assert len(after.memory.notes) == 2
