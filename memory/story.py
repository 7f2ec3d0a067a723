"""The shape of a story: plain values that every room shares. Knows no database and no model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Mode(StrEnum):
    """What kind of text the story is."""

    NOVEL = "novel"
    DOCUMENT = "document"
    FICTION = "fiction"


class Origin(StrEnum):
    """Where a piece of text came from."""

    MODEL = "model"  # written by the model as it stands, or cut where form broke
    REPAIRED = "repaired"  # the model's own words, mended in form or drawn again
    QUOTED = "quoted"  # a sentence of the paragraph, word for word (memory only)
    CARRIED = "carried"  # kept from the step before because nothing better came
    PERSON = "person"  # written or edited by hand
    OUTLINE = "outline"  # the outline's line of a chapter (plans only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A story. ``version`` rises with every change and guards against lost updates."""

    id: str
    owner: str
    title: str
    premise: str
    mode: Mode
    language: str
    style: str
    outline: str
    authors_note: str
    settings: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StorySummary:
    """One line of a list of stories; ``steps`` and ``words`` count the main strand."""

    id: str
    title: str
    mode: Mode
    words: int
    steps: int
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a strand is written: paragraphs, their words, chapters begun. What it shares counts too."""

    paragraphs: int
    words: int
    chapters: int


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence of short-term memory. ``depth`` is the step that brought it, 0 the premise."""

    text: str
    depth: int
    origin: Origin = Origin.MODEL
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """A note that left short-term memory, and why."""

    note: Note
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChange:
    """What one step changed in short-term memory, or would change once a person says so."""

    strand_id: str
    depth: int
    added: tuple[Note, ...]
    dropped: tuple[Dropped, ...]


class StalePart(StrEnum):
    """What of a step was made from a text that has been edited since."""

    NOTE = "note"  # what the keeper noted: the step's own paragraph was edited
    PAGE = "page"  # the short-term memory after it: an earlier one changed
    PARAGRAPH = "paragraph"  # the paragraph itself: its prompt held something that changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A mark: this part of this step was made from what an edit has changed since."""

    strand_id: str
    depth: int
    part: StalePart
    cause: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ShortMemory:
    """The page of prose that stands for all that happened so far, sentence by sentence."""

    notes: tuple[Note, ...] = ()

    @property
    def text(self) -> str:
        """The page as a person reads it."""
        return " ".join(note.text for note in self.notes)


@dataclass(frozen=True, slots=True)
class Plan:
    """One of the plans offered for the next step."""

    text: str
    origin: Origin = Origin.MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Strand:
    """A line of steps. A branch names its parent and the last depth that it shares with it.

    ``memory`` is set when a person edits the short-term memory before the strand has a step of
    its own: the shared step belongs to the parent and isn't touched. ``archived`` puts it out of the way:
    it keeps everything, and what forks from it still reads its steps.
    """

    id: str
    story_id: str
    created_at: datetime
    parent_id: str | None = None
    fork_depth: int = 0
    name: str = ""
    memory: ShortMemory | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """Part of a strand's ancestry: the steps of ``strand_id`` up to and with ``depth``."""

    strand_id: str
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """Provenance: one item that was woven into a prompt, or cut from it.

    Attributes:
        slot: the slot's name, such as ``premise``, ``memory``, ``recall``, ``last``, ``plan``.
        source: the row that the text comes from, such as ``step:STRAND:7`` or ``story:premise``.
        text: what entered the prompt; for an item wholly cut, what would have.
        tokens: tokens of ``text``.
        score: why it won, where items competed.
        parts: the parts of the score by name (``bm25``, ``dense``).
        cut: what was left out for want of room; empty when nothing was.
    """

    slot: str
    source: str
    text: str
    tokens: int
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    cut: str = ""

    @property
    def entered(self) -> bool:
        """Whether any of it stands in the prompt."""
        return bool(self.text) and (not self.cut or self.tokens > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one agent, as it was made: enough to read the exact prompt again.

    ``prompt`` is the readable form of the messages, one ``<role>`` line before each.
    """

    agent: str
    model: str
    prompt: str
    reply: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    seed: int | None
    seconds: float
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One recurrence. ``depth`` starts at 1; (``strand_id``, ``depth``) is unique."""

    strand_id: str
    depth: int
    plan: str
    plan_origin: Origin
    paragraph: str
    paragraph_origin: Origin
    memory: ShortMemory
    memory_origin: Origin
    added: tuple[Note, ...]
    dropped: tuple[Dropped, ...]
    plans: tuple[Plan, ...]
    model: str
    seed: int
    sampling: Mapping[str, Any]
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    created_at: datetime


# So many steps count as a chapter where nobody has named any.
UNNAMED_CHAPTER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A chapter's title, at the step that begins it."""

    strand_id: str
    depth: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Weaving:
    """How a step's prompt was made of its slots: with the slot records enough to make it again.

    Attributes:
        strategy: the weaver's strategy, by name.
        budget: most tokens that the prompt might have.
        tokens: tokens that it had.
        template: the source of the prompt's template, as it was.
        values: what the template was given beside the slots, as JSON data.
        lore: where the timed lore stood after the step (who is sticky, who cools down), as JSON data.
    """

    strategy: str
    budget: int
    tokens: int
    template: str
    values: Mapping[str, Any]
    lore: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the writer saw (``slots``), how it was woven, and every agent's call of one step."""

    slots: tuple[SlotRecord, ...]
    calls: tuple[Call, ...]
    weaving: Weaving | None = None


class PassageKind(StrEnum):
    """What a passage is a piece of."""

    PARAGRAPH = "paragraph"  # of a step
    SUMMARY = "summary"  # of steps up to and with one
    LORE = "lore"  # of the story's lore, at depth 0 of the main strand
    DOCUMENT = "document"  # of a text beside the story, at depth 0 of the main strand


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text as recall sees it: its place and, once computed, its unit vector.

    Attributes:
        strand_id: the strand that it belongs to.
        depth: the step that it belongs to; 0 for what belongs to the whole story.
        text: what is searched and read.
        kind: what it is a piece of.
        source: id of the row that it comes from, where the place doesn't tell.
        part: which piece of its text it is; long texts are searched in pieces.
        vector: its unit vector.
        embedder: names what made the vector.
    """

    strand_id: str
    depth: int
    text: str
    kind: PassageKind = PassageKind.PARAGRAPH
    source: str = ""
    part: int = 0
    vector: tuple[float, ...] | None = None
    embedder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A passage that search found, and what was found of the query in it and around it.

    Attributes:
        strand_id, depth, kind, source, part: its place, as in ``Passage``.
        text: the piece that was found.
        bm25: share of the query, by the weight of its words, that the piece holds.
        beside: the same of the pieces right before and after, on average.
        chapter: the same of its chapter; what stands in none is a chapter by itself.
        likeness: dot product of its vector with the query's, or None where one of them is missing.
        dense: by how many standard deviations that lies above the others'; 0 where it is missing.
    """

    strand_id: str
    depth: int
    text: str
    kind: PassageKind = PassageKind.PARAGRAPH
    source: str = ""
    part: int = 0
    bm25: float = 0.0
    beside: float = 0.0
    chapter: float = 0.0
    likeness: float | None = None
    dense: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text beside a story that recall finds too. ``about`` says what it is, in JSON's types."""

    story_id: str
    id: str
    text: str
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """An edit by hand, with the value that it replaced.

    Attributes:
        subject: names what was edited, such as ``paragraph`` or ``short_memory``.
        old: the old value as a person reads it.
        new: what took its place.
        state: the old value whole, as JSON data, where its text alone doesn't bring it back.
    """

    id: str
    story_id: str
    strand_id: str | None
    depth: int | None
    subject: str
    old: str
    new: str
    created_at: datetime
    state: Mapping[str, Any] | None = None


class JobState(StrEnum):
    """Where a request to write stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request to write one step: who holds it until when, and the words that came so far."""

    id: str
    story_id: str
    strand_id: str
    depth: int
    state: JobState
    worker: str
    lease_until: datetime
    plan: str
    journal: str
    error: str
    created_at: datetime
