"""What the agents are asked where the reader plays the story."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import pytest

from storyloom.app.agents.editor import Editor
from storyloom.app.agents.one_call import OneCall
from storyloom.app.agents.planner import Planner
from storyloom.app.agents.writer import Writer
from storyloom.app.events import Listener
from storyloom.app.profiles import LARGE, SMALL
from storyloom.app.templates import Templates
from storyloom.memory.errors import ModelFailed
from storyloom.memory.generation import Message, Piece, Request
from storyloom.memory.story import Mode, Origin, Plan
from tests.unit.app.scenes import STORY, Counting, scene

TEMPLATES = Templates(Path("nowhere"))
PLAYED = replace(STORY, mode=Mode.FICTION)
TURN = scene(story=PLAYED, plan="You open the gate.", last="You stand before Anna’s gate.")
ACTIONS = [" rusty gate with both hands.", " Anna where the key is hidden.", " dog down to the iron gate."]


@dataclass
class Says(Counting):
    """Says its replies in turn, again and again."""

    replies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._turns = cycle(self.replies)

    def stream(self, request: Request) -> Iterator[Piece]:
        self.asked.append(request)
        yield Piece(next(self._turns))


def chat(request: Request) -> tuple[Message, ...]:
    assert not isinstance(request.prompt, str)
    return request.prompt


def test_the_writer_answers_the_reader_in_the_second_person() -> None:
    model = Says(replies=[" pull at the gate until it gives. Behind it the whole orchard lies white."])
    draft = Writer(model, SMALL, TEMPLATES).write(TURN, Listener())
    system, user, prefilled = chat(model.asked[0])
    assert 'in the second person, present tense: the reader is "you"' in system.content
    assert "First tell what comes of what the reader does" in system.content
    assert "novelist" not in system.content
    assert "What the reader does: You open the gate." in user.content
    assert prefilled.content == "You"
    assert draft.paragraph.startswith("You pull at the gate")


def test_a_style_of_one_s_own_names_the_tense() -> None:
    model = Says(replies=[" pull at the gate until it gives."])
    styled = replace(TURN, story=replace(PLAYED, style="past tense, dry"))
    Writer(model, SMALL, TEMPLATES).write(styled, Listener())
    assert "present tense" not in chat(model.asked[0])[0].content
    assert "second person" in chat(model.asked[0])[0].content


def test_in_another_language_the_model_finds_the_first_word_itself() -> None:
    model = Says(replies=["Du ziehst am Tor, bis es nachgibt. Dahinter liegt der ganze Garten weiß."])
    german = replace(TURN, story=replace(PLAYED, language="de"))
    Writer(model, SMALL, TEMPLATES).write(german, Listener())
    assert chat(model.asked[0])[-1].role == "user"


def test_plans_are_what_the_reader_could_do() -> None:
    model = Says(replies=ACTIONS)
    plans = Planner(model, SMALL, TEMPLATES).offer(replace(TURN, plan="", seed=0)).plans
    assert len({plan.text for plan in plans}) == 3
    assert {plan.origin for plan in plans} == {Origin.MODEL}
    assert all(plan.text.startswith("You ") for plan in plans)
    asked = chat(model.asked[0])
    assert asked[0].content.startswith("You suggest what the reader could do")
    assert asked[-2].content.endswith("What do you do?")
    assert asked[2].content.startswith("You put your ear")


def test_what_somebody_else_does_is_no_action_of_the_reader() -> None:
    model = Says(replies=["Anna opens the iron gate with her key."], features=frozenset())
    with pytest.raises(ModelFailed):
        Planner(model, SMALL, TEMPLATES).offer(replace(TURN, plan=""))
    assert chat(model.asked[0])[-1].role == "user"
    made = Planner(Says(replies=["Anna waits."], features=frozenset()), SMALL, TEMPLATES)
    offered = tuple(Plan(text) for text in ("You wait.", "You sleep.", "You sing."))
    calls = made.offer(replace(TURN, plan="", offered=offered)).calls
    assert {call.verdict for call in calls} == {"too short"}
    long = Says(replies=["Anna opens the iron gate with her key."], features=frozenset())
    calls = Planner(long, SMALL, TEMPLATES).offer(replace(TURN, plan="", offered=offered)).calls
    assert {call.verdict for call in calls} == {"not what the reader does"}


def test_nobody_has_to_be_named() -> None:
    model = Says(replies=[" rusty gate with both hands."])
    made = Planner(model, SMALL, TEMPLATES).begin(
        premise="a town behind an iron gate",
        mode=Mode.FICTION,
        language="en",
        style="",
        seed=3,
        title="The Gate",
    )
    assert {chat(request)[0].content for request in model.asked} == {chat(model.asked[0])[0].content}
    assert made.outline.startswith("You ")


def test_a_large_model_is_asked_for_a_turn_in_one_call() -> None:
    model = Says(replies=["no form"], features=frozenset({"schema"}))
    with pytest.raises(ModelFailed):
        OneCall(model, LARGE, TEMPLATES).step(TURN, Listener())
    system, user = chat(model.asked[0])
    assert "You tell a story that the reader plays" in system.content
    assert "first tells what comes of what the reader does and repeats nothing." in system.content
    assert 'things that the reader could do after the new paragraph, one short sentence each that begins with "You".' in system.content  # fmt: skip  # noqa: E501
    assert "What the reader does: You open the gate." in user.content


def test_the_editor_keeps_to_what_the_reader_could_do() -> None:
    model = Says(replies=['{"choice": 1}'], features=frozenset({"schema"}))
    plans = (Plan("You open the gate."), Plan("You wait."), Plan("You sing."))
    Editor(model, LARGE, TEMPLATES).choose(replace(TURN, plan=""), plans)
    assert 'they speak to the reader as "you"' in chat(model.asked[0])[0].content


@pytest.mark.parametrize("mode", [Mode.NOVEL, Mode.DOCUMENT])
def test_nobody_else_is_spoken_to_as_the_reader(mode: Mode) -> None:
    told = replace(TURN, story=replace(STORY, mode=mode), plan="Anna opens the gate.")
    model = Says(replies=[" ran down to the gate before anybody woke. Behind it the orchard lay white."])
    Writer(model, SMALL, TEMPLATES).write(told, Listener())
    asked = "\n".join(message.content for message in chat(model.asked[0]))
    assert "reader" not in asked
    assert "What happens now: Anna opens the gate." in asked
