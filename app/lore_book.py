"""A story's book of lore as it stands before a step: entries, characters, settings, timed effects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from storyloom.app.story_settings import lore_settings
from storyloom.memory.lore import CharacterSheet, LoreEntry, LoreSettings
from storyloom.memory.lore_results import LoreState
from storyloom.memory.lore_scan import Seen
from storyloom.memory.story import Story, Strand
from storyloom.memory.text import joined
from storyloom.storage.unit_of_work import UnitOfWork

_STATE = TypeAdapter(LoreState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What a scan needs of a strand.

    Attributes:
        story: whose lore it is.
        entries: all of them, in the book's order.
        characters: the sheets that are enabled.
        settings: the story's.
        state: where the timed effects stand.
        depth: the next step's.
        paragraphs: those before it, oldest first, as many as an entry may look at.
    """

    story: Story
    entries: tuple[LoreEntry, ...]
    characters: tuple[CharacterSheet, ...]
    settings: LoreSettings
    state: LoreState
    depth: int
    paragraphs: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        """What the macros stand for."""
        called = [sheet.nickname or sheet.name for sheet in self.characters]
        return {"char": called[0] if called else "", "user": self.settings.user}

    def budget(self, context_tokens: int) -> int:
        """Most tokens of all lore in a prompt of a context of this size."""
        share = round(min(max(self.settings.budget, 0.0), 1.0) * context_tokens)
        return min(share, self.settings.budget_cap) if self.settings.budget_cap > 0 else share

    def seen(self, *, plan: str, memory: str, seed: int, likeness: dict[str, float]) -> Seen:
        """What the lore sees before the step."""
        return Seen(
            depth=self.depth,
            plan=plan,
            paragraphs=self.paragraphs,
            sources={
                "premise": self.story.premise,
                "memory": memory,
                "characters": joined(sheet.description for sheet in self.characters),
                "personality": joined(sheet.personality for sheet in self.characters),
                "scenario": joined(sheet.scenario for sheet in self.characters),
                "notes": joined(sheet.notes for sheet in self.characters),
            },
            present=frozenset(
                name for sheet in self.characters for name in (sheet.name, sheet.nickname) if name
            ),
            likeness=likeness,
            names=self.names,
            seed=seed,
        )


def read_book(work: UnitOfWork, story: Story, strand: Strand) -> Book:
    """The book before a strand's next step.

    Raises:
        InvalidSetting: a setting of the story's lore can't be used.
    """
    entries = work.lore.of_story(story.id)
    settings = lore_settings(story)
    depth = work.steps.depth(strand.id) + 1
    first = max(1, depth - _furthest(entries, settings, depth))
    return Book(
        story=story,
        entries=tuple(entries),
        characters=tuple(sheet for sheet in work.characters.of_story(story.id) if sheet.enabled),
        settings=settings,
        state=_state(work, strand),
        depth=depth,
        paragraphs=tuple(text for _, text in work.steps.paragraphs(strand.id, first=first)),
    )


def _furthest(entries: Sequence[LoreEntry], settings: LoreSettings, depth: int) -> int:
    """How many of the last paragraphs a scan may look at."""
    if not entries:
        return 0
    own = [entry.scan_depth for entry in entries if entry.scan_depth is not None]
    back = settings.max_scan_depth or depth if settings.min_activations else 0
    return max(settings.scan_depth, back, *own)


def _state(work: UnitOfWork, strand: Strand) -> LoreState:
    """What the last step left of timed effects; nothing where it is unknown."""
    head = work.steps.head(strand.id)
    weaving = work.provenance.get(head.strand_id, head.depth).weaving if head else None
    kept: dict[str, Any] = {"firings": weaving.lore.get("firings", {})} if weaving else {}
    try:
        return _STATE.validate_python(kept)
    except ValidationError:  # written by another version: timed effects end, the story goes on
        return LoreState()
