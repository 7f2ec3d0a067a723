"""RecurrentGPT's step as one structured call, for models that can fill a form. Knows no storage.

The paragraph is streamed while the form is being filled. What the answer lacks is asked for by the
small agents, and a good paragraph is never thrown away because something beside it didn't parse.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from storyloom.app.agents.calls import readable
from storyloom.app.agents.memory_keeper import MemoryKeeper, MemoryUpdate
from storyloom.app.agents.planner import Offer, Planner
from storyloom.app.agents.scene import Scene
from storyloom.app.agents.scene_weaver import SceneWeaver
from storyloom.app.agents.step_answer import PLANS, StepAnswer, read_memory, read_plans
from storyloom.app.agents.writer import Draft, Writer
from storyloom.app.events import Cancelled, Listener
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.generators.partial_json import FieldStream
from storyloom.generators.structured import Asked, ask, derived_seed
from storyloom.memory.form import is_finished
from storyloom.memory.generation import Prompt, Request
from storyloom.memory.ports import TextModel
from storyloom.memory.repetition import SentenceFilter
from storyloom.memory.story import Call, Origin
from storyloom.memory.text import clean, count_words, sentences, words

_TOKENS_A_WORD = 2.0  # room to spare: what is cut off has to be asked for again
_PLANS_WORDS = 150
_LEAST_SHARE = 0.25  # of the words asked for; with fewer it isn't a paragraph
_LEAST_NEW = 0.5  # of a draw's words; with fewer new ones it copies the story


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """One answer, judged. ``objection`` is empty when its paragraph can stand."""

    paragraph: str
    origin: Origin
    parts: Mapping[str, Any]
    clean: bool
    objection: str
    call: Call


class OneCall:
    """Writes a paragraph, rewrites the memory and offers plans in a single call of one model."""

    def __init__(self, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._model = model
        self._profile = profile
        self._weaver = SceneWeaver("one_call", model, profile, templates)
        self._writer = Writer(model, profile, templates)
        self._keeper = MemoryKeeper(model, profile, templates)
        self._planner = Planner(model, profile, templates)

    def step(self, scene: Scene, listener: Listener) -> tuple[Draft, MemoryUpdate, Offer]:
        """Write one step.

        Args:
            scene: where the story stands; its plan is what shall happen.
            listener: gets the paragraph's text as it comes.

        Raises:
            Cancelled: the listener asked to stop.
            InvalidSetting: the story's weaver or note depth is none, or a user's own template is broken.
            ModelFailed: neither the one call nor the small agents got anything usable.
            PromptTooLong: premise, outline, style and note alone don't fit the context.
            UnsupportedRequest: the profile asks for a sampler that the engine lacks.
        """
        woven = self._weaver.weave(
            scene,
            listener,
            max_tokens=self._max_tokens(scene),
            paragraph_words=self._words(scene),
            memory_words=self._profile.memory_words,
        )
        draws = self._draw(scene, woven.prompt, listener)
        calls = tuple(draw.call for draw in draws)
        good = next((draw for draw in draws if not draw.objection), None)
        if good is None:
            listener.on_redraw(draws[-1].objection)
            draft = self._writer.write(scene, listener)
            draft = replace(draft, origin=Origin.REPAIRED, calls=(*calls, *draft.calls))
            parts: Mapping[str, Any] = {}  # what they say belongs to a paragraph that isn't there
            origin = draft.origin
        else:
            draft = Draft(
                paragraph=good.paragraph,
                origin=good.origin,
                slots=woven.records,
                weaving=woven.weaving,
                calls=calls,
            )
            parts, origin = good.parts, Origin.MODEL if good.clean else Origin.REPAIRED
        listener.on_stage("remembering", scene.depth)
        update = self._update(scene, draft.paragraph, parts, origin)
        listener.on_stage("planning", scene.depth)
        after = replace(
            scene,
            depth=scene.depth + 1,
            plan="",
            memory=update.memory,
            last=draft.paragraph,
            earlier=(*scene.earlier, scene.last),
            recent_plans=(scene.plan, *scene.recent_plans),
        )
        return draft, update, self._offer(after, parts, origin)

    # --- the paragraph ------------------------------------------------------------------------------

    def _draw(self, scene: Scene, prompt: Prompt, listener: Listener) -> list[_Draw]:
        """Draw until a paragraph can stand or the tries are used up; the last one is the best."""
        draws: list[_Draw] = []
        for attempt in range(self._profile.redraws + 1):
            if attempt:
                listener.on_redraw(draws[-1].objection)
            request = Request(
                prompt=prompt,
                max_tokens=self._max_tokens(scene),
                seed=derived_seed(scene.seed, attempt),
                sampling=self._profile.writing,
                state=scene.state,
            )
            draws.append(self._answer(scene, request, listener, first=attempt == 0))
            if not draws[-1].objection:
                break
        return draws

    def _answer(self, scene: Scene, request: Request, listener: Listener, *, first: bool) -> _Draw:
        """One call, its paragraph shown as it comes, and what became of it."""
        shown = FieldStream("paragraph", listener.on_text)

        def on_text(piece: str) -> None:
            if listener.cancelled():
                raise Cancelled("Stopped. Everything written before stands.")
            shown.feed(piece)

        answer = ask(self._model, request, StepAnswer, attempts=1, on_text=on_text)
        written = clean(answer.parts.get("paragraph", "")).strip()
        paragraph = self._new_sentences(scene, written, cut="short_memory" in answer.missing)
        objection = self._objection(scene, written, paragraph)
        if not objection and paragraph.startswith(shown.text):
            _tell(listener, paragraph[len(shown.text) :])  # what broken form kept from being shown
        as_it_stands = first and paragraph == written and not answer.repaired
        return _Draw(
            paragraph=paragraph,
            origin=Origin.MODEL if as_it_stands else Origin.REPAIRED,
            parts=answer.parts,
            clean=not answer.repaired,
            objection=objection,
            call=_call(self._model, answer.asked[-1], objection or _lacking(answer.missing)),
        )

    def _new_sentences(self, scene: Scene, text: str, *, cut: bool) -> str:
        """The text without sentences that the story has already, and without one that was cut off."""
        language = scene.story.language
        found = sentences(text, language)
        if cut and len(found) > 1 and not is_finished(found[-1]):
            found.pop()
        novelty = SentenceFilter(scene.index)
        kept, end = "", 0
        for sentence in found:
            start = text.index(sentence, end)
            if novelty.accepts(sentence):
                kept += text[end:start] + sentence
            end = start + len(sentence)
        return kept.strip()

    def _objection(self, scene: Scene, written: str, kept: str) -> str:
        """Why the paragraph can't stand; empty when it can."""
        if not written:
            return "no paragraph came"
        if any(f'"{name}"' in written for name in StepAnswer.model_fields):
            return "the form stands in the paragraph"
        if count_words(written) < self._words(scene) * _LEAST_SHARE:
            return "too short"
        return "copies the story" if count_words(kept) < _LEAST_NEW * count_words(written) else ""

    # --- what stands beside it ----------------------------------------------------------------------

    def _update(self, scene: Scene, paragraph: str, parts: Mapping[str, Any], origin: Origin) -> MemoryUpdate:
        """The memory of the answer where it has one that can stand, else the memory keeper's."""
        page = read_memory(scene, paragraph, parts, origin=origin, max_words=self._profile.memory_words)
        return page or self._keeper.update(scene, paragraph)

    def _offer(self, after: Scene, parts: Mapping[str, Any], origin: Origin) -> Offer:
        """Three plans: those of the answer that can stand, and the planner's for the rest."""
        plans = read_plans(parts, after.recent_plans, origin)
        calls: tuple[Call, ...] = ()
        if len(plans) < PLANS:
            # Those that can stand are the planner's to fall back on, should it find no three either.
            offered = (*plans, *after.offered)
            offer = self._planner.offer(replace(after, offered=offered))
            known = [words(plan.text) for plan in plans]
            plans += [plan for plan in offer.plans if words(plan.text) not in known]
            calls = offer.calls
        return Offer(plans=tuple(plans[:PLANS]), calls=calls)

    def _words(self, scene: Scene) -> int:
        return scene.words or self._profile.words_of(scene.story.mode)

    def _max_tokens(self, scene: Scene) -> int:
        """Room for the whole form; the memory counts twice, for what it says of added and dropped."""
        asked = self._words(scene) + 2 * self._profile.memory_words + _PLANS_WORDS
        return min(round(asked * _TOKENS_A_WORD), self._model.context_tokens // 2)


def _tell(listener: Listener, text: str) -> None:
    if text:
        listener.on_text(text)


def _lacking(missing: Sequence[str]) -> str:
    return f"kept, without {', '.join(missing)}" if missing else "kept"


def _call(model: TextModel, asked: Asked, verdict: str) -> Call:
    usage = asked.reply.usage
    return Call(
        agent="one_call",
        model=model.name,
        prompt=readable(asked.request.prompt),
        reply=asked.reply.text,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        seed=asked.request.seed,
        seconds=asked.seconds,
        verdict=verdict,
    )
