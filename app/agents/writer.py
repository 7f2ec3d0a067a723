"""The writer: turns a scene and its plan into the next paragraph. Knows no storage."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from storyloom.app.agents.calls import Answer, ask
from storyloom.app.agents.drawing import Drawing, Rules
from storyloom.app.agents.scene import Scene
from storyloom.app.agents.scene_weaver import SceneWeaver
from storyloom.app.agents.slots import tokens_of
from storyloom.app.events import Cancelled, Listener
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.app.weaving import going_on
from storyloom.memory.errors import ModelFailed
from storyloom.memory.form import cut_at_break, is_first_person, is_second_person, open_end
from storyloom.memory.generation import Prompt, Request
from storyloom.memory.names import cast, names
from storyloom.memory.page_changes import untold
from storyloom.memory.ports import TextModel
from storyloom.memory.repetition import SentenceFilter
from storyloom.memory.story import Call, Mode, Origin, SlotRecord, Weaving
from storyloom.memory.text import clean, count_words, joined

_LEAST_SHARE = 0.4
_UNTOLD = "tells nothing of what was edited"
_LAST_TRIES = 3
# How much of a sentence, and of a paragraph, may be old where there would be no paragraph otherwise.
_WORN_OVERLAP, _WORN_REPEATED = 0.5, 0.3
# How a paragraph speaks to the reader from its first word on, where the model can be given one.
_TO_READER = {"en": "You"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A written paragraph, what the writer saw, and how it was asked.

    ``origin`` is ``model`` when the first stream was kept from its beginning, cut at the end or
    where its form broke; ``repaired`` when a sentence was refused and drawn again, or left out, or
    when the paragraph was begun again with a sentence that a person had edited.
    """

    paragraph: str
    origin: Origin
    slots: tuple[SlotRecord, ...]
    weaving: Weaving
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A paragraph and the answers that it came from; empty when none of them could stand."""

    paragraph: str
    origin: Origin
    answers: list[Answer]


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
        self._weaver = SceneWeaver("writer", model, profile, templates)

    def write(self, scene: Scene, listener: Listener) -> Draft:
        """Write the paragraph of a scene.

        Args:
            scene: where the story stands; its plan is what shall happen.
            listener: gets the text as it comes.

        Raises:
            Cancelled: the listener asked to stop.
            InvalidSetting: the story's weaver or note depth is none, or a user's own template is broken.
            ModelFailed: no draw brought any text.
            PromptTooLong: premise, outline, style and note alone don't fit the context.
            UnsupportedRequest: the profile asks for a sampler that the engine lacks.
        """
        opening = _opening(scene) if self._can_resume else ""
        max_tokens = tokens_of(self._words(scene))
        woven = self._weaver.weave(
            scene, listener, max_tokens=max_tokens, prefill=self._can_resume, opening=opening
        )
        bare = going_on(woven.prompt, "", instead=opening)
        drawn = self._heeding(scene, bare, opening, listener)
        answers = drawn.answers
        paragraph = drawn.paragraph or _longest(answers, opening, scene.story.language)
        if not paragraph:
            raise ModelFailed(
                f"The model {self._model.name} wrote nothing usable for step {scene.depth} in "
                f"{len(answers)} tries. Try again, change the plan, or use a stronger model."
            )
        return Draft(
            paragraph=paragraph,
            origin=drawn.origin,
            slots=woven.records,
            weaving=woven.weaving,
            calls=tuple(answer.call for answer in answers),
        )

    @property
    def _can_resume(self) -> bool:
        return "prefill" in self._model.features

    def _words(self, scene: Scene) -> int:
        return scene.words or self._profile.words_of(scene.story.mode)

    def _heeding(self, scene: Scene, prompt: Prompt, opening: str, listener: Listener) -> "_Drawn":
        """A paragraph; one that tells nothing of what a person has just edited is begun again with it."""
        drawn = self._draw(scene, prompt, opening, listener)
        edit = self._untold(scene, drawn.paragraph)
        if not edit:
            return drawn
        listener.on_redraw(_UNTOLD)
        seed = scene.seed + self._profile.redraws + 1
        again = self._draw(replace(scene, seed=seed), prompt, open_end(edit), listener, firm=edit)
        *earlier, last = drawn.answers
        answers = [*earlier, replace(last, call=last.judged(_UNTOLD)), *again.answers]
        is_fit = count_words(again.paragraph) >= _LEAST_SHARE * self._words(scene)
        return _Drawn(again.paragraph if is_fit else drawn.paragraph, Origin.REPAIRED, answers)

    def _untold(self, scene: Scene, paragraph: str) -> str:
        """A sentence that a person has edited, where a paragraph tells nothing of any."""
        if not (self._profile.insists and self._can_resume):
            return ""
        story = scene.story
        notes = (note.text for note in scene.memory.notes if note not in scene.edited)
        known = joined([story.premise, story.outline, *notes, *scene.earlier, scene.last])
        return untold(scene.edited, paragraph, known, story.language)

    def _draw(
        self, scene: Scene, prompt: Prompt, opening: str, listener: Listener, *, firm: str = ""
    ) -> "_Drawn":
        """Draw until the paragraph is long enough or the tries are used up: the longest that stood.

        Args:
            scene: where the story stands.
            prompt: without the words that the paragraph begins with.
            opening: those words.
            listener: gets the text as it comes.
            firm: a sentence to begin with where nothing comes of the opening.
        """
        drawing, best = replace(self._drawing(scene), firm=firm), ""
        answers: list[Answer] = []
        for attempt in range(self._profile.redraws + 1):
            if attempt:
                listener.on_redraw(drawing.verdict)
            drawing.begin(opening)
            self._loosen(drawing, attempt)
            request = self._request(scene, going_on(prompt, drawing.begun), attempt)
            if answers and request.max_tokens < 1:
                break  # what was kept fills the context
            answers.append(self._stream(request, drawing, listener))
            best = max(best, drawing.text, key=count_words)
            if drawing.is_long_enough or (drawing.is_fit and not drawing.was_stopped):
                break
            if drawing.skip:
                drawing = self._drawing(scene)
        whole = len(answers) == 1 and not drawing.refused
        return _Drawn(best, Origin.MODEL if whole else Origin.REPAIRED, answers)

    def _request(self, scene: Scene, prompt: Prompt, attempt: int) -> Request:
        """One draw's request: another seed each time, and hotter, to leave the rut of the one before."""
        sampling = self._profile.writing
        if sampling.temperature is not None:
            sampling = replace(sampling, temperature=sampling.temperature + attempt * self._profile.heat)
        # The sentences that a redraw goes on from stand in the prompt, which may have been full without them.
        room = self._model.context_tokens - self._model.count_tokens(prompt)
        max_tokens = min(tokens_of(self._words(scene)), room)
        return Request(
            prompt=prompt,
            max_tokens=max_tokens,
            seed=scene.seed + attempt,
            sampling=sampling,
            state=scene.state,
        )

    def _loosen(self, drawing: Drawing, attempt: int) -> None:
        """In the second half of the tries a common phrase is better than half a paragraph.

        And in the last ones worn words are better than a paragraph of two.
        """
        late = 2 * attempt > self._profile.redraws
        overlap, repeated = (
            (1 + late) * most for most in (self._profile.max_overlap, self._profile.max_repeated)
        )
        if late and attempt > self._profile.redraws - _LAST_TRIES and not drawing.is_fit:
            overlap, repeated = max(overlap, _WORN_OVERLAP), max(repeated, _WORN_REPEATED)
        drawing.novelty.max_overlap, drawing.novelty.max_repeated = overlap, repeated

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
        story, words = scene.story, self._words(scene)
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
            second_person=any_person or story.mode is Mode.FICTION or is_second_person(told, story.language),
            enough_words=words,
            least_words=round(words * _LEAST_SHARE),
        )
        return Drawing(rules, SentenceFilter(scene.index), skip=not self._can_resume)


def _longest(answers: Sequence[Answer], opening: str, language: str) -> str:
    """The longest draw as it came, cut where its form broke: better than nothing."""
    drawn = max((cut_at_break(clean(answer.text), language) for answer in answers), key=len)
    return f"{opening} {drawn}".strip() if drawn else ""


def _opening(scene: Scene) -> str:
    """The first name in the plan that the paragraph before didn't open with, else one of the cast.

    More of the plan would bring its tense along, and with it the voice of a summary. What a reader plays
    is told to the reader instead. Empty where nothing can be told to be a name.
    """
    story = scene.story
    if story.mode is Mode.FICTION:
        return _TO_READER.get(story.language[:2], "")
    if story.mode is Mode.DOCUMENT or is_first_person(scene.last, story.language):
        return ""
    told = joined([story.premise, story.outline, scene.memory.text, scene.last])
    planned = re.findall(r"\w+", scene.plan)
    known = frozenset(names(joined([told, scene.plan]), story.language))
    people = [word for word in planned if word in known] + cast([told], story.language, limit=1)
    return next((name for name in people if not scene.last.startswith(name)), "")
