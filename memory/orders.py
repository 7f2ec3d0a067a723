"""Orders: whole texts to be written, and tasks: an order in the queue of those who write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from storyloom.memory.story import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A text to be written from its premise to its end, as somebody asked for it. Plain data.

    Its story has its id before it is written: made twice, after a crash, it is the same story.

    Attributes:
        story_id: the story's id.
        premise: what it is about.
        outline: a line a chapter; empty: the planner makes one.
        title: empty: the planner finds one.
        mode: what kind of text it is.
        language: a BCP 47 tag; empty: the setting's.
        style: how it is told.
        model: SPEC; empty: the setting's.
        seed: where chance starts from.
        paragraphs: how many to write; None where ``words`` says when it is done.
        words: length to meet; None where ``paragraphs`` says it.
        chapters: how many chapters a text has whose outline the planner makes; None: as many as fit it.
        sampling: how the writer draws, by ``Sampling``'s field names; the profile's otherwise.
        lore: files whose entries or characters are imported before the first paragraph, as absolute paths.
        exports: files that the text is exported to when it is done, as absolute paths.
    """

    story_id: str
    premise: str
    outline: str = ""
    title: str = ""
    mode: Mode = Mode.NOVEL
    language: str = ""
    style: str = ""
    model: str = ""
    seed: int = 0
    paragraphs: int | None = None
    words: int | None = None
    chapters: int | None = None
    sampling: Mapping[str, float | int | tuple[str, ...]] = field(default_factory=dict)
    lore: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()


class TaskState(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Orders given together.

    Attributes:
        id: its id.
        owner: whose stories these will be.
        name: what a person calls it; one owner's batches have different names.
        created_at: when it was given.
    """

    id: str
    owner: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An order in the queue.

    A running task whose lease has run out belongs to a dead worker: anybody may claim it.

    Attributes:
        id: its id.
        batch_id: the batch it came in.
        key: names it within the batch, the same each time the batch is given.
        position: its place in the batch, from 0.
        order: what is to be written.
        state: where it stands.
        worker: who holds it, or held it last.
        lease_until: until when it is held.
        not_before: not claimed earlier: the pause before another try.
        attempts: failed tries since the last committed step.
        error: why the last try failed; empty where none did.
        cancelling: somebody asked for its end while it ran.
        created_at: when it was queued.
        ended_at: when it was done, failed or cancelled for good.
    """

    id: str
    batch_id: str
    key: str
    position: int
    order: Order
    state: TaskState
    worker: str
    lease_until: datetime
    not_before: datetime
    attempts: int
    error: str
    cancelling: bool
    created_at: datetime
    ended_at: datetime | None


def queued(batch: Batch, *, task_id: str, key: str, position: int, order: Order, at: datetime) -> Task:
    """A task that nobody has begun, queued at that moment."""
    return Task(
        id=task_id,
        batch_id=batch.id,
        key=key,
        position=position,
        order=order,
        state=TaskState.QUEUED,
        worker="",
        lease_until=at,
        not_before=at,
        attempts=0,
        error="",
        cancelling=False,
        created_at=at,
        ended_at=None,
    )
