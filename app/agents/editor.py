"""The editor: RecurrentGPT's human simulator. Chooses a plan when nobody else does. Knows no storage.

A small model asked for the best of three answers by position, so the editor only asks models whose
profile can fill a form; for the others it reckons which plan goes on best from the story.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from storyloom.app.agents.calls import readable
from storyloom.app.agents.scene import Scene
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.generators.structured import Structured, ask
from storyloom.memory.errors import ModelFailed, PromptTooLong
from storyloom.memory.function_words import content_words
from storyloom.memory.generation import Request
from storyloom.memory.ports import TextModel
from storyloom.memory.story import Call, Origin, Plan
from storyloom.memory.text import clean, count_words, words

_TOKENS = 200
_PLAN_WORDS = range(4, 90)
# What makes a plan good, by the share of its words that stand elsewhere.
_FOLLOWS, _AIMS, _STALE = 1.0, 0.7, 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The plan to write. ``origin`` is that of the plan chosen, ``model`` when it was revised."""

    text: str
    origin: Origin
    calls: tuple[Call, ...]


class Pick(BaseModel):
    """What a model that can fill a form answers."""

    choice: int
    why: str = ""
    plan: str = ""


class Editor:
    """Chooses with one model, or without one where the model is too small to ask."""

    def __init__(self, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._model = model
        self._profile = profile
        self._templates = templates

    def choose(self, scene: Scene, plans: Sequence[Plan]) -> Choice:
        """Pick a plan, and with an able model revise it.

        Args:
            scene: where the story stands.
            plans: what is offered, at least one.
        """
        best = max(plans, key=lambda plan: _worth(plan.text, scene))
        if not self._profile.one_call:
            return Choice(text=best.text, origin=best.origin, calls=())
        try:
            answer = ask(self._model, self._request(scene, plans), Pick, needed=("choice",))
        except (ModelFailed, PromptTooLong):  # a choice is never worth losing a step
            return Choice(text=best.text, origin=best.origin, calls=())
        picked = answer.parts.get("choice")
        chosen = plans[picked - 1] if isinstance(picked, int) and 1 <= picked <= len(plans) else best
        revised = " ".join(clean(str(answer.parts.get("plan") or "")).split())
        calls = _calls(answer, self._model.name, f"chose {list(plans).index(chosen) + 1}")
        if count_words(revised) in _PLAN_WORDS:
            origin = Origin.REPAIRED if answer.repaired else Origin.MODEL
            return Choice(text=revised, origin=origin, calls=calls)
        return Choice(text=chosen.text, origin=chosen.origin, calls=calls)

    def _request(self, scene: Scene, plans: Sequence[Plan]) -> Request:
        story = scene.story
        prompt = self._templates.messages(
            "editor",
            premise=story.premise,
            outline=story.outline,
            chapter=scene.chapter,
            authors_note=story.authors_note,
            style=story.style,
            language=story.language,
            mode=story.mode.value,
            memory=scene.memory.text,
            last=scene.last,
            plans=[plan.text for plan in plans],
        )
        return Request(prompt=prompt, max_tokens=_TOKENS, seed=scene.seed, sampling=self._profile.planning)


def _worth(plan: str, scene: Scene) -> float:
    """How well a plan goes on from the last paragraph, towards its chapter, away from recent plans."""
    language = scene.story.language

    def meaning(text: str) -> set[str]:
        return set(content_words(words(text), language))

    said = meaning(plan)
    if not said:
        return float("-inf")

    def shared(text: str) -> float:
        return len(said & meaning(text)) / len(said)

    follows = shared(scene.last or scene.story.premise)
    aims = shared(f"{scene.story.premise} {scene.chapter or scene.story.outline} {scene.story.authors_note}")
    stale = max((shared(recent) for recent in scene.recent_plans), default=0.0)
    return _FOLLOWS * follows + _AIMS * aims - _STALE * stale


def _calls(answer: Structured[Pick], model: str, verdict: str) -> tuple[Call, ...]:
    """The calls as the story keeps them; the verdict goes to the last."""
    return tuple(
        Call(
            agent="editor",
            model=model,
            prompt=readable(asked.request.prompt),
            reply=asked.reply.text,
            prompt_tokens=asked.reply.usage.prompt_tokens,
            completion_tokens=asked.reply.usage.completion_tokens,
            cached_tokens=asked.reply.usage.cached_tokens,
            seed=asked.request.seed,
            seconds=asked.seconds,
            verdict=verdict if asked is answer.asked[-1] else "no choice",
        )
        for asked in answer.asked
    )
