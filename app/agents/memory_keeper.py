"""The memory keeper: says in one sentence what a paragraph brought, and holds the page to its bound.

A weak model is trusted with a sentence at a time: what the paragraph doesn't support is refused and
drawn again, and a sentence of the paragraph itself stands in at last. Knows no storage.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from storyloom.app.agents.calls import Answer, ask
from storyloom.app.agents.scene import Scene
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.memory import short_term
from storyloom.memory.errors import PromptTooLong
from storyloom.memory.form import has_open_quote, is_finished, is_first_person
from storyloom.memory.function_words import content_words
from storyloom.memory.generation import Request
from storyloom.memory.names import cast
from storyloom.memory.ports import TextModel
from storyloom.memory.short_term import holds, remember, supported
from storyloom.memory.story import Call, Dropped, Note, Origin, ShortMemory, Story
from storyloom.memory.text import clean, count_words, sentences, words

_DRAWS = 3
_WARMER = 0.3  # added to the temperature at each further draw
_MAX_TOKENS = 44
_LEAST_WORDS, _MOST_WORDS = 4, 28
_MOST_QUOTED = 45
_SEEN_WORDS = 220  # of the paragraph; more doesn't help a model that writes one sentence
_NAMES_SEEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUpdate:
    """Short-term memory after a step, and what changed in it.

    ``origin`` is that of the new sentence; ``carried`` when the step added none.
    """

    memory: ShortMemory
    origin: Origin
    added: tuple[Note, ...]
    dropped: tuple[Dropped, ...]
    calls: tuple[Call, ...]


def first_memory(story: Story) -> ShortMemory:
    """What is known before anything is written: the premise, pinned."""
    return short_term.first_memory(story.premise)


class MemoryKeeper:
    """Keeps short-term memory with one model."""

    def __init__(self, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._model = model
        self._profile = profile
        self._templates = templates

    def update(self, scene: Scene, paragraph: str) -> MemoryUpdate:
        """The memory after ``paragraph``, which is the text of the scene's step.

        Raises:
            ModelFailed: the engine broke off.
            UnsupportedRequest: the profile asks for a sampler that the engine lacks.
        """
        calls: list[Call] = []
        text, origin = self._drawn(scene, paragraph, calls), Origin.MODEL
        if text and len(calls) > 1:
            origin = Origin.REPAIRED
        if text and is_quote(text, paragraph):
            origin = Origin.QUOTED
        if not text:
            text, origin = quote(paragraph, scene), Origin.QUOTED
        if not text:
            return MemoryUpdate(
                memory=scene.memory, origin=Origin.CARRIED, added=(), dropped=(), calls=tuple(calls)
            )
        note = Note(text, scene.depth, origin)
        memory, dropped = remember(
            scene.memory, note, max_words=self._profile.memory_words, language=scene.story.language
        )
        return MemoryUpdate(memory=memory, origin=origin, added=(note,), dropped=dropped, calls=tuple(calls))

    def _drawn(self, scene: Scene, paragraph: str, calls: list[Call]) -> str:
        """The first of the model's sentences that can be kept; empty when none can."""
        for draw, opening in zip(range(_DRAWS), self._openings(scene, paragraph), strict=False):
            try:
                answer = self._ask(scene, paragraph, opening, draw)
            except PromptTooLong:
                return ""
            sentence = _first_sentence(opening + answer.text, scene.story.language)
            objection = self._objection(sentence, scene, paragraph)
            calls.append(answer.judged(objection or "kept"))
            if not objection:
                return sentence
        return ""

    def _openings(self, scene: Scene, paragraph: str) -> Iterator[str]:
        """What each draw begins with: nothing, then the names that the paragraph has most."""
        found = cast([paragraph], scene.story.language, limit=_NAMES_SEEN)
        yield ""
        if "prefill" in self._model.features:
            yield from found
        while True:
            yield ""

    def _ask(self, scene: Scene, paragraph: str, opening: str, draw: int) -> Answer:
        language = scene.story.language
        prompt = self._templates.messages(
            "memory_keeper", paragraph=_head(paragraph), opening=opening, language=language
        )
        warmth = self._profile.noting.temperature or 0.0
        request = Request(
            prompt=prompt,
            max_tokens=_MAX_TOKENS,
            stop=("\n",),
            seed=scene.seed + draw,
            sampling=replace(self._profile.noting, temperature=warmth + draw * _WARMER),
        )
        return ask(
            self._model,
            request,
            agent="memory_keeper",
            enough=lambda text: len(sentences(opening + text, language)) > 1,
        )

    def _objection(self, sentence: str, scene: Scene, paragraph: str) -> str:
        """Why the model's sentence can't be kept; empty when it can."""
        language = scene.story.language
        objection = _formal_objection(sentence, language, _MOST_WORDS)
        if objection:
            return objection
        if not supported(sentence, paragraph, language):
            return "the paragraph doesn't say so"
        return "known already" if holds(scene.memory, sentence, language) else ""


def is_quote(sentence: str, paragraph: str) -> bool:
    """Whether the sentence stands in the paragraph word for word."""
    return f" {' '.join(words(sentence))} " in f" {' '.join(words(paragraph))} "


def quote(paragraph: str, scene: Scene) -> str:
    """The sentence of the paragraph that tells most of it; empty when none says anything new.

    Narration before speech, names before pronouns, and what the plan wanted before the rest.
    """
    language = scene.story.language
    told = [sentence for sentence in sentences(paragraph, language) if is_finished(sentence)]
    fresh = [sentence for sentence in told if not holds(scene.memory, sentence, language)]
    fit = [one for one in fresh if not _formal_objection(one, language, _MOST_QUOTED)] or fresh
    people = set(cast([scene.story.premise, scene.memory.text, paragraph], language))
    aims = set(content_words(words(scene.plan), language))

    def worth(sentence: str) -> float:
        said = set(content_words(words(sentence), language))
        named = len(people & set(sentence.replace("’", "'").replace("'s", "").strip(".").split()))
        length = count_words(sentence)
        return 2 * min(named, 2) + len(said & aims) + (1 if length <= _MOST_WORDS else 0) + (length > 7)

    return max(fit, key=worth, default="")


def _formal_objection(sentence: str, language: str, most_words: int) -> str:
    """Why a sentence makes no note, whatever it says; empty when it does."""
    length = count_words(sentence)
    if length < _LEAST_WORDS:
        return "too short"
    if not is_finished(sentence):
        return "breaks off"
    if length > most_words:
        return "too long"
    if any(mark in sentence for mark in '"“”«»„?') or has_open_quote(sentence):
        return "speech"
    return "not in the third person" if is_first_person(sentence, language) else ""


def _first_sentence(text: str, language: str) -> str:
    found = sentences(" ".join(clean(text).split()), language)
    return found[0] if found else ""


def _head(paragraph: str) -> str:
    """As much of the paragraph as the model reads."""
    return " ".join(paragraph.split()[:_SEEN_WORDS])
