"""The form that one call fills, and what can stand of it. Asks no model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from storyloom.app.agents.memory_keeper import MemoryUpdate, is_quote
from storyloom.app.agents.scene import Scene
from storyloom.memory.short_term import bounded, remember, rewritten, supported
from storyloom.memory.story import Dropped, Note, Origin, Plan, ShortMemory
from storyloom.memory.text import clean, joined, sentences, words

PLANS = 3
_LEAST_PLAN_WORDS = 3

_Change = tuple[ShortMemory, tuple[Note, ...], tuple[Dropped, ...]]


class Leaving(BaseModel):
    """A sentence that the model took off the page."""

    sentence: str
    why: str


class StepAnswer(BaseModel):
    """What one call brings. The order is the order of writing: the paragraph can be shown at once."""

    paragraph: str = Field(min_length=1)
    short_memory: str = Field(
        min_length=1, validation_alias=AliasChoices("short_memory", "short_term_memory", "memory")
    )
    added: list[str] = Field(default_factory=list)
    dropped: list[Leaving] = Field(default_factory=list)
    plans: list[str] = Field(
        min_length=PLANS, max_length=PLANS, validation_alias=AliasChoices("plans", "plan")
    )


def read_memory(
    scene: Scene, paragraph: str, parts: Mapping[str, Any], *, origin: Origin, max_words: int
) -> MemoryUpdate | None:
    """The memory as the model rewrote it, without sentences that nothing supports.

    An answer without the page, but with what was added to it, adds that to the old page.

    Args:
        scene: where the story stood before the paragraph.
        paragraph: what was written.
        parts: the fields of ``StepAnswer`` that could be used.
        origin: of the notes that are new.
        max_words: most words of the page.

    Returns:
        None when nothing of the paragraph came to stand in the memory.
    """
    language, old = scene.story.language, scene.memory
    sources = (paragraph, old.text, joined([paragraph, old.text, scene.story.premise]))
    page = list(_supported([parts.get("short_memory", "")], sources, language))
    new = list(_supported(parts.get("added", ()), sources, language))
    if page:
        change = rewritten(old, "\n".join(page), scene.depth, origin, language)
    else:
        change = _extended(old, [Note(text, scene.depth, origin) for text in new], max_words, language)
    memory, added, dropped = _bounded(old, _quotes_told(change, paragraph), max_words, language)
    if not added:
        return None
    reasons = {tuple(words(leaving.sentence)): leaving.why for leaving in parts.get("dropped", ())}
    return MemoryUpdate(
        memory=memory,
        origin=Origin.QUOTED if all(note.origin is Origin.QUOTED for note in added) else origin,
        added=added,
        dropped=tuple(
            replace(each, reason=clean(reasons.get(tuple(words(each.note.text)), "")).strip() or each.reason)
            for each in dropped
        ),
        calls=(),
    )


def read_plans(parts: Mapping[str, Any], recent: Sequence[str], origin: Origin) -> list[Plan]:
    """The answer's plans that say something, each once, and none that was followed lately."""
    taken = [words(text) for text in recent]
    found: dict[tuple[str, ...], Plan] = {}
    for text in parts.get("plans", ()):
        said = words(text)
        if len(said) >= _LEAST_PLAN_WORDS and said not in taken:
            found.setdefault(tuple(said), Plan(" ".join(clean(text).split()), origin))
    return list(found.values())


def _supported(texts: Sequence[str], sources: Sequence[str], language: str) -> Iterator[str]:
    """Sentences that one of the sources bears out."""
    for text in texts:
        for line in clean(text).splitlines():
            for sentence in sentences(line, language):
                if any(supported(sentence, source, language) for source in sources):
                    yield sentence


def _extended(old: ShortMemory, new: Sequence[Note], max_words: int, language: str) -> _Change:
    memory, dropped = old, list[Dropped]()
    for note in new:
        memory, left = remember(memory, note, max_words=max_words, language=language)
        dropped += left
    return memory, tuple(note for note in memory.notes if note not in old.notes), tuple(dropped)


def _quotes_told(change: _Change, paragraph: str) -> _Change:
    """The change, with new sentences that stand in the paragraph word for word told as quotes."""
    memory, added, dropped = change
    told = {note: replace(note, origin=Origin.QUOTED) for note in added if is_quote(note.text, paragraph)}
    notes = tuple(told.get(note, note) for note in memory.notes)
    return ShortMemory(notes), tuple(told.get(note, note) for note in added), dropped


def _bounded(old: ShortMemory, change: _Change, max_words: int, language: str) -> _Change:
    """The change, with the page held to its bound: what is told of it follows."""
    page, added, dropped = change
    memory, left = bounded(page, max_words=max_words, language=language)
    return (
        memory,
        tuple(note for note in added if note in memory.notes),
        tuple(each for each in (*dropped, *left) if each.note in old.notes),
    )
