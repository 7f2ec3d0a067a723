import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storyloom.app.agents.editor import Choice, Editor
from storyloom.app.agents.scene import Scene
from storyloom.app.profiles import LARGE, SMALL, Profile
from storyloom.app.templates import Templates
from storyloom.memory.errors import ModelFailed
from storyloom.memory.generation import Piece, Prompt, Request, Usage
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.story import Mode, Origin, Plan, ShortMemory, Story

STORY = Story(
    id="story0000001",
    owner="local",
    title="The Gate",
    premise="Anna guards the iron gate of Millbrook.",
    mode=Mode.NOVEL,
    language="en",
    style="",
    outline="Anna opens the iron gate.",
    authors_note="",
    settings={},
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)
PLANS = (
    Plan("Tom sells a cow at the market."),
    Plan("Anna hides the key from the soldiers.", Origin.REPAIRED),
    Plan("Anna opens the iron gate for Tom."),
)
AT = Scene(
    story=STORY,
    depth=3,
    plan="",
    memory=ShortMemory(),
    last="The soldiers came at dawn. Anna broke the key and threw it down.",
    recalled=(),
    recent_plans=(),
    index=StoryIndex(),
    seed=5,
)


@dataclass
class Model:
    """Says its replies in turn."""

    replies: list[str]
    name: str = "fake"
    context_tokens: int = 4000
    parameters: int | None = None
    features: frozenset[str] = frozenset({"schema"})
    asked: list[Request] = field(default_factory=list)

    def stream(self, request: Request) -> Iterator[Piece]:
        self.asked.append(request)
        if not self.replies:
            raise ModelFailed("broke off")
        yield Piece(self.replies[min(len(self.asked), len(self.replies)) - 1])
        yield Piece("", Usage(prompt_tokens=7, completion_tokens=3))

    def count_tokens(self, _prompt: Prompt) -> int:
        return 7

    def close(self) -> None:
        pass


def choose(model: Model, profile: Profile = LARGE, at: Scene = AT) -> Choice:
    return Editor(model, profile, Templates(Path("nowhere"))).choose(at, PLANS)


def test_a_small_model_is_not_asked() -> None:
    model = Model(["never"])
    assert choose(model, SMALL) == Choice(text=PLANS[1].text, origin=Origin.REPAIRED, calls=())
    assert model.asked == []


def test_the_outline_decides_where_nothing_was_written() -> None:
    assert choose(Model([]), SMALL, replace(AT, last="")).text == PLANS[2].text


def test_the_chapter_decides_before_the_whole_outline() -> None:
    inside = replace(AT, last="A day begins.", chapter="Tom sells a cow at the market.")
    assert choose(Model([]), SMALL, inside).text == PLANS[0].text
    asked = Model(["no form"])
    choose(asked, at=inside)
    assert "In this chapter: Tom sells a cow at the market." in str(asked.asked[0].prompt)


def test_what_was_planned_before_is_not_chosen_again() -> None:
    stale = replace(AT, recent_plans=(PLANS[1].text,))
    assert choose(Model([]), SMALL, stale).text == PLANS[2].text


def test_an_able_model_picks_and_revises() -> None:
    model = Model([json.dumps({"choice": 1, "why": "fresh", "plan": "Tom sells Anna's cow by mistake."})])
    choice = choose(model)
    assert (choice.text, choice.origin) == ("Tom sells Anna's cow by mistake.", Origin.MODEL)
    assert [(call.agent, call.verdict, call.prompt_tokens) for call in choice.calls] == [
        ("editor", "chose 1", 7)
    ]
    assert model.asked[0].schema is not None


def test_without_a_revision_the_plan_stays_as_it_was() -> None:
    choice = choose(Model([json.dumps({"choice": 2, "why": "", "plan": ""})]))
    assert (choice.text, choice.origin) == (PLANS[1].text, Origin.REPAIRED)


@pytest.mark.parametrize("reply", ['{"choice": 7, "why": "", "plan": ""}', "the first one, surely", ""])
def test_a_choice_that_can_not_be_read_is_reckoned(reply: str) -> None:
    choice = choose(Model([reply]))
    assert choice.text == PLANS[1].text
    assert choice.calls


def test_a_model_that_breaks_off_costs_no_step() -> None:
    assert choose(Model([])).text == PLANS[1].text


def test_the_prompt_names_the_language_and_the_plans() -> None:
    model = Model([json.dumps({"choice": 3, "why": "", "plan": ""})])
    choose(model, at=replace(AT, story=replace(STORY, language="fr")))
    prompt = choose(model).calls[0].prompt
    assert "3. Anna opens the iron gate for Tom." in prompt
    assert isinstance(model.asked[0].prompt, tuple)
    assert '"fr"' in model.asked[0].prompt[0].content
