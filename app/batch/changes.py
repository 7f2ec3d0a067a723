"""What happened in a batch between two snapshots: the same events, whichever process or engine wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from storyloom.app.batch.snapshot import ENDED, Snapshot, StoryProgress
from storyloom.memory.orders import TaskState
from storyloom.memory.progress import StepFigures

Kind = Literal["started", "step", "retry", "done", "failed", "cancelled"]

_ENDS: dict[TaskState, Kind] = {
    TaskState.DONE: "done",
    TaskState.FAILED: "failed",
    TaskState.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that happened to a story.

    Attributes:
        kind: what it was: ``retry`` is a try that failed and will be followed by another.
        story: where the story stands after it.
        step: the step that was committed, where one was.
        words: committed words after it.
    """

    kind: Kind
    story: StoryProgress
    step: StepFigures | None = None
    words: int = 0


def changes(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    """Everything that happened between two snapshots of one watch that follow each other."""
    earlier = {story.task.id: story for story in before.stories}
    for story in after.stories:
        known = earlier.get(story.task.id)
        if known is not None:
            yield from _of_story(known, story)


def _of_story(before: StoryProgress, after: StoryProgress) -> Iterator[Change]:
    state, then = after.task.state, before.task.state
    if then is TaskState.QUEUED and (state is TaskState.RUNNING or after.fresh):
        yield Change(kind="started", story=after, words=before.words)
    words = before.words
    for step in after.fresh:
        words += step.words
        yield Change(kind="step", story=after, step=step, words=words)
    if state not in ENDED and after.task.attempts > before.task.attempts:
        yield Change(kind="retry", story=after, words=words)
    if state is not then and state in ENDED:
        yield Change(kind=_ENDS[state], story=after, words=words)
