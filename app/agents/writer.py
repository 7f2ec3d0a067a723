"""The writer: turns a scene and its plan into the next paragraph. Knows no storage."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from storyloom.app.agents.calls import Answer, ask
from storyloom.app.agents.drawing import Drawing, Rules
from storyloom.app.agents.scene import Scene
from storyloom.app.events import Cancelled, Listener
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.memory.errors import ModelFailed
from storyloom.memory.form import cut_at_break, is_first_person, is_second_person
from storyloom.memory.generation import Message, Prompt, Request
from storyloom.memory.names import cast, names
from storyloom.memory.ports import TextModel
from storyloom.memory.repetition import SentenceFilter
from storyloom.memory.story import Call, Mode, Origin, SlotRecord
from storyloom.memory.text import clean, count_words, joined
from storyloom.memory.weaver import Item, Slot, Texts, Woven, weave

_TOKENS_A_WORD = 1.5
_LEAST_SHARE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A written paragraph, what the writer saw, and how it was asked.

    ``origin`` is ``model`` when the first stream was kept from its beginning, cut at the end or
    where its form broke; ``repaired`` when a sentence was refused and drawn again, or left out.
    """

    paragraph: str
    origin: Origin
    slots: tuple[SlotRecord, ...]
    calls: tuple[Call, ...]


class Writer:
    """Writes paragraphs with one model.

    A stream is judged sentence by sentence. At the first that repeats the story or breaks its form
    it is stopped, and taken up again from the last good sentence with another seed, so that the
    model never reads its own loop; where the model can't go on from its own text, such sentences
    are left out, and a paragraph that gets too short is drawn anew.
    """

    def __init__(self, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._model = model
        self._profile = profile
        self._templates = templates

    def write(self, scene: Scene, listener: Listener) -> Draft:
        """Write the paragraph of a scene.

        Args:
            scene: where the story stands; its plan is what shall happen.
            listener: gets the text as it comes.

        Raises:
            Cancelled: the listener asked to stop.
            ModelFailed: no draw brought any text.
            PromptTooLong: premise, outline, style and note alone don't fit the context.
            UnsupportedRequest: the profile asks for a sampler that the engine lacks.
        """
        woven = self._weave(scene)
        opening = _opening(scene) if self._can_resume else ""
        best, origin, answers = self._draw(scene, woven.prompt, opening, listener)
        paragraph = best or _longest(answers, opening, scene.story.language)
        if not paragraph:
            raise ModelFailed(
                f"The model {self._model.name} wrote nothing usable for step {scene.depth} in "
                f"{len(answers)} tries. Try again, change the plan, or use a stronger model."
            )
        return Draft(
            paragraph=paragraph,
            origin=origin,
            slots=woven.records,
            calls=tuple(answer.call for answer in answers),
        )

    @property
    def _can_resume(self) -> bool:
        return "prefill" in self._model.features

    @property
    def _max_tokens(self) -> int:
        return round(self._profile.paragraph_words * _TOKENS_A_WORD)

    def _draw(
        self, scene: Scene, prompt: Prompt, opening: str, listener: Listener
    ) -> tuple[str, Origin, list[Answer]]:
        """Draw until the paragraph is long enough or the tries are used up: the longest that stood."""
        chat, lead = _split(prompt)
        drawing, best = self._drawing(scene), ""
        answers: list[Answer] = []
        for attempt in range(self._profile.redraws + 1):
            if attempt:
                listener.on_redraw(drawing.verdict)
            drawing.begin(opening)
            self._loosen(drawing, attempt)
            request = self._request((*chat, *_prefill(lead, drawing.begun)), scene.seed, attempt)
            answers.append(self._stream(request, drawing, listener))
            best = max(best, drawing.text, key=count_words)
            if drawing.is_long_enough or (drawing.is_fit and not drawing.was_stopped):
                break
            if drawing.skip:
                drawing = self._drawing(scene)
        whole = len(answers) == 1 and not drawing.refused
        return best, Origin.MODEL if whole else Origin.REPAIRED, answers

    def _request(self, prompt: Prompt, seed: int, attempt: int) -> Request:
        """One draw's request: another seed each time, and hotter, to leave the rut of the one before."""
        sampling = self._profile.writing
        if sampling.temperature is not None:
            sampling = replace(sampling, temperature=sampling.temperature + attempt * self._profile.heat)
        return Request(prompt=prompt, max_tokens=self._max_tokens, seed=seed + attempt, sampling=sampling)

    def _loosen(self, drawing: Drawing, attempt: int) -> None:
        """In the second half of the tries a common phrase is better than half a paragraph."""
        factor = 1 if 2 * attempt <= self._profile.redraws else 2
        drawing.novelty.max_overlap = factor * self._profile.max_overlap
        drawing.novelty.max_repeated = factor * self._profile.max_repeated

    def _stream(self, request: Request, drawing: Drawing, listener: Listener) -> Answer:
        """One stream into a drawing, stopped as soon as it needn't go on."""

        def enough(text: str) -> bool:
            if listener.cancelled():
                raise Cancelled("Stopped. Everything written before stands.")
            return drawing.feed(text)

        if drawing.begun:
            listener.on_text(drawing.begun)
        answer = ask(self._model, request, agent="writer", on_text=listener.on_text, enough=enough)
        drawing.end(answer.text)
        return replace(answer, call=answer.judged(drawing.verdict))

    def _drawing(self, scene: Scene) -> Drawing:
        """An empty paragraph with the scene's rules."""
        story, words = scene.story, self._profile.paragraph_words
        told = scene.last or story.premise
        is_tale = story.mode is not Mode.DOCUMENT
        # A style of one's own may ask for any person; from then on the last paragraph shows which.
        any_person = not is_tale or bool(story.style and not scene.last)
        rules = Rules(
            language=story.language,
            known=joined([story.premise, story.outline, scene.memory.text, scene.last, scene.plan]),
            known_script=scene.depth > 1,
            new_names=self._profile.new_names if is_tale else words,
            first_person=any_person or is_first_person(told, story.language),
            second_person=any_person or is_second_person(told, story.language),
            enough_words=words,
            least_words=round(words * _LEAST_SHARE),
        )
        return Drawing(rules, SentenceFilter(scene.index), skip=not self._can_resume)

    def _weave(self, scene: Scene) -> Woven:
        slots = self._slots(scene)

        def render(texts: Texts) -> Prompt:
            return self._templates.messages(
                "writer",
                **{slot.name: list(texts[slot.name]) for slot in slots},
                language=scene.story.language,
                mode=scene.story.mode.value,
                prefill=self._can_resume,
            )

        budget = self._model.context_tokens - self._max_tokens
        return weave(slots, render=render, count=self._model.count_tokens, budget=budget)

    def _slots(self, scene: Scene) -> tuple[Slot, ...]:
        story = scene.story
        notes = tuple(
            Item(text=note.text, source=f"note:{note.depth}")
            for note in scene.memory.notes
            if note.text not in story.premise
        )
        last = (Item(text=scene.last, source=f"step:{scene.depth - 1}"),) if scene.last else ()
        return (
            _fixed("style", story.style),
            _fixed("premise", story.premise),
            _fixed("outline", story.outline if self._profile.reads_outline else ""),
            _fixed("authors_note", story.authors_note),
            Slot(name="memory", items=notes, priority=2, gives_way="start"),
            Slot(name="recall", items=scene.recalled, max_tokens=_tokens(self._profile.memory_words)),
            Slot(
                name="last",
                items=last,
                priority=1,
                gives_way="start",
                max_tokens=_tokens(self._profile.last_words),
            ),
            Slot(name="plan", items=(Item(text=scene.plan, source="plan"),), gives_way="never"),
        )


def _fixed(name: str, text: str) -> Slot:
    items = (Item(text=text, source=f"story:{name}"),) if text else ()
    return Slot(name=name, items=items, gives_way="never")


def _tokens(words: int) -> int:
    return round(words * _TOKENS_A_WORD)


def _split(prompt: Prompt) -> tuple[tuple[Message, ...], str]:
    """The prompt without its prefill, and the prefill."""
    chat = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    return (chat[:-1], chat[-1].content) if chat[-1].role == "assistant" else (chat, "")


def _prefill(lead: str, begun: str) -> tuple[Message, ...]:
    """The assistant's turn, begun: what stands before the paragraph, then the paragraph so far."""
    text = f"{lead}\n\n{begun}" if lead else begun
    return (Message("assistant", text),) if text else ()


def _longest(answers: Sequence[Answer], opening: str, language: str) -> str:
    """The longest draw as it came, cut where its form broke: better than nothing."""
    drawn = max((cut_at_break(clean(answer.text), language) for answer in answers), key=len)
    return f"{opening} {drawn}".strip() if drawn else ""


def _opening(scene: Scene) -> str:
    """The first name in the plan that the paragraph before didn't open with, else one of the cast.

    More of the plan would bring its tense along, and with it the voice of a summary. Empty where
    nothing can be told to be a name.
    """
    story = scene.story
    if story.mode is Mode.DOCUMENT or is_first_person(scene.last, story.language):
        return ""
    told = joined([story.premise, story.outline, scene.memory.text, scene.last])
    planned = re.findall(r"\w+", scene.plan)
    known = frozenset(names(joined([told, scene.plan]), story.language))
    people = [word for word in planned if word in known] + cast([told], story.language, limit=1)
    return next((name for name in people if not scene.last.startswith(name)), "")
