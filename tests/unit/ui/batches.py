"""Batches to show, without a database."""

from dataclasses import replace
from datetime import UTC, datetime

from storyloom.app.batch.snapshot import Snapshot, StoryProgress
from storyloom.memory.orders import Batch, Order, TaskState, queued
from storyloom.memory.progress import StepFigures

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
BATCH = Batch(id="ba7c4", owner="local", name="lamps", created_at=NOW)


def progress(
    key: str,
    state: TaskState = TaskState.RUNNING,
    *,
    steps: int = 0,
    words: int = 0,
    paragraphs: int | None = 10,
    asked_words: int | None = None,
    fresh: tuple[StepFigures, ...] = (),
    tokens_per_second: float | None = None,
    seconds_left: float | None = None,
    attempts: int = 0,
    error: str = "",
) -> StoryProgress:
    """A story of a batch: a token and a half a word, a second a step."""
    order = Order(
        story_id=f"story-{key}",
        premise="Mara keeps a lamp.",
        paragraphs=paragraphs,
        words=asked_words,
        seed=7,
    )
    task = queued(BATCH, task_id=f"task-{key}", key=key, position=0, order=order, at=NOW)
    return StoryProgress(
        task=replace(task, state=state, attempts=attempts, error=error),
        steps=steps,
        words=words,
        tokens=words * 3 // 2,
        seconds=float(steps),
        fresh=fresh,
        words_at_hand=0,
        tokens_per_second=tokens_per_second,
        seconds_left=seconds_left,
    )


def snapshot(*stories: StoryProgress) -> Snapshot:
    """They as a batch."""
    return Snapshot(batch=BATCH, stories=stories)
