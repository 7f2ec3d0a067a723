"""The memory keeper: says in one sentence what a paragraph brought, and holds the page to its bound.

A small model can't sum up a paragraph: it invents. It can say one passage of it shorter, so the
program picks the passage that tells most, the model words it, and what the passage doesn't support
is refused and drawn again; the passage itself stands in at last. Knows no storage.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from storyloom.app.agents.calls import Answer, ask
from storyloom.app.agents.plan_rules import runs_into
from storyloom.app.agents.scene import Scene
from storyloom.app.agents.telling import Passage, form_objection, passages
from storyloom.app.profiles import Profile
from storyloom.app.templates import Templates
from storyloom.memory.errors import PromptTooLong
from storyloom.memory.generation import Request, Sampling
from storyloom.memory.ports import TextModel
from storyloom.memory.short_term import holds, remember, supported
from storyloom.memory.story import Call, Dropped, Note, Origin, ShortMemory
from storyloom.memory.text import clean, sentences, words

_DRAWS = 4
_WARMER = 0.3  # added to the temperature when a passage is tried again
_MAX_TOKENS = 44
# Keeps a model from saying the passage again as it stands; the window holds it and the answer.
_AGAINST_COPYING = Sampling(dry_multiplier=0.8, dry_base=1.75, dry_allowed_length=5, dry_window=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUpdate:
    """Short-term memory after a step, and what changed in it.

    ``origin`` is that of the new sentence; ``carried`` when the step added none. ``proposed`` is the
    change that a person must approve first.
    """

    memory: ShortMemory
    origin: Origin
    added: tuple[Note, ...]
    dropped: tuple[Dropped, ...]
    calls: tuple[Call, ...]
    proposed: "MemoryUpdate | None" = None

    def held_back(self, memory: ShortMemory) -> "MemoryUpdate":
        """The same change, proposed only: the page stays ``memory``."""
        proposed = self if self.added or self.dropped else None
        return replace(self, memory=memory, origin=Origin.CARRIED, added=(), dropped=(), proposed=proposed)


class MemoryKeeper:
    """Keeps short-term memory with one model."""

    def __init__(self, model: TextModel, profile: Profile, templates: Templates) -> None:
        self._model = model
        self._profile = profile
        self._templates = templates

    def update(self, scene: Scene, paragraph: str) -> MemoryUpdate:
        """The memory after ``paragraph``, which is the text of the scene's step.

        The note's origin is ``model`` or, after a refused draw, ``repaired`` when the model worded
        it, if only by leaving words out; ``quoted`` when it is a sentence of the paragraph.

        Raises:
            ModelFailed: the engine broke off.
            UnsupportedRequest: the profile asks for a sampler that the engine lacks.
        """
        found = passages(scene, paragraph)
        if "prefill" not in self._model.features:
            found = [replace(passage, opening="") for passage in found]
        calls: list[Call] = []
        text, origin = self._drawn(scene, found, calls)
        if not text:
            return MemoryUpdate(
                memory=scene.memory, origin=Origin.CARRIED, added=(), dropped=(), calls=tuple(calls)
            )
        note = Note(text, scene.depth, origin)
        memory, dropped = remember(
            scene.memory, note, max_words=self._profile.memory_words, language=scene.story.language
        )
        return MemoryUpdate(memory=memory, origin=origin, added=(note,), dropped=dropped, calls=tuple(calls))

    def _drawn(self, scene: Scene, found: list[Passage], calls: list[Call]) -> tuple[str, Origin]:
        """The first of the model's sentences that can be kept, or else the best passage's own."""
        for draw, (passage, warmth) in enumerate(islice(_tries(found), _DRAWS)):
            try:
                answer = self._ask(scene, passage, warmth, scene.seed + draw)
            except PromptTooLong:
                continue
            sentence = _first_sentence(passage.opening + answer.text, scene.story.language)
            objection = self._objection(sentence, scene, passage)
            calls.append(answer.judged(objection or "kept"))
            if not objection:
                return sentence, Origin.REPAIRED if draw else Origin.MODEL
        quotable = [one.text for one in found if one.is_quotable]
        return (quotable[0], Origin.QUOTED) if quotable else ("", Origin.CARRIED)

    def _ask(self, scene: Scene, passage: Passage, warmth: float, seed: int) -> Answer:
        language = scene.story.language
        prompt = self._templates.messages(
            "memory_keeper", passage=passage.text, opening=passage.opening, language=language
        )
        request = Request(
            prompt=prompt, max_tokens=_MAX_TOKENS, stop=("\n",), seed=seed, sampling=self._sampling(warmth)
        )
        return ask(
            self._model,
            request,
            agent="memory_keeper",
            enough=lambda text: len(sentences(passage.opening + text, language)) > 1,
        )

    def _sampling(self, warmth: float) -> Sampling:
        noting = self._profile.noting
        if "dry_multiplier" in self._model.features:
            against = _AGAINST_COPYING
            noting = replace(
                noting,
                dry_multiplier=against.dry_multiplier,
                dry_base=against.dry_base,
                dry_allowed_length=against.dry_allowed_length,
                dry_window=against.dry_window,
            )
        return replace(noting, temperature=(noting.temperature or 0.0) + warmth)

    def _objection(self, sentence: str, scene: Scene, passage: Passage) -> str:
        """Why the model's sentence can't be kept; empty when it can."""
        language = scene.story.language
        objection = form_objection(sentence, language)
        if objection:
            return objection
        rest = sentence[len(passage.opening) :]
        if passage.opening and (rest.startswith(",") or runs_into(passage.opening, sentence)):
            return "doesn't go on from its opening"
        if words(sentence) == words(passage.text):
            return "only says it again"
        if not supported(sentence, f"{passage.text} {passage.opening}", language):
            return "the paragraph doesn't say so"
        return "known already" if holds(scene.memory, sentence, language) else ""


def is_quote(sentence: str, paragraph: str) -> bool:
    """Whether the sentence stands in the paragraph word for word."""
    return f" {' '.join(words(sentence))} " in f" {' '.join(words(paragraph))} "


def _tries(found: list[Passage]) -> Iterator[tuple[Passage, float]]:
    """Passages to word, with what is added to the temperature: best first, then warmer again."""
    wordy = [passage for passage in found if passage.is_wordy][: _DRAWS - 1]
    yield from ((passage, 0.0) for passage in wordy)
    yield from ((passage, _WARMER) for passage in wordy)


def _first_sentence(text: str, language: str) -> str:
    found = sentences(" ".join(clean(text).split()), language)
    return found[0] if found else ""
