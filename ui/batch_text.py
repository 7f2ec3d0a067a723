"""A batch in plain words: how far a story is, how far all of them are, what happened."""

from storyloom.app.batch.changes import Change
from storyloom.app.batch.snapshot import Snapshot, StoryProgress
from storyloom.memory.orders import Order, TaskState
from storyloom.memory.progress import StepFigures


def duration(seconds: float) -> str:
    """A time as a clock shows it: ``2:10``, or ``1:02:10`` from an hour up."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(number: int, thing: str, things: str = "") -> str:
    """So many of a thing: ``1 paragraph``, ``3 paragraphs``."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def standing(story: StoryProgress) -> str:
    """How far a story is, in the unit that was asked for; words at hand are not counted."""
    order = story.task.order
    if order.words is not None:
        return f"{story.words:,} of {order.words:,} words"
    return f"{story.words:,} words, {story.steps} of {order.paragraphs}"


def summary(snapshot: Snapshot) -> str:
    """All stories in one line."""
    parts = [f"{snapshot.count(TaskState.DONE):,} of {len(snapshot.stories):,} stories done"]
    if failed := snapshot.count(TaskState.FAILED):
        parts.append(f"{failed:,} failed")
    parts.append(f"{snapshot.words:,} words")
    if speed := snapshot.tokens_per_second:
        parts.append(f"{speed:.0f} tokens/s")
    if (left := snapshot.seconds_left) is not None:
        parts.append(f"{duration(left)} left")
    return " · ".join(parts)


def happened(change: Change) -> str:
    """A change as a line."""
    story, task = change.story, change.story.task
    match change:
        case Change(step=StepFigures() as step):
            return f"{task.key}: {_step(task.order, step, change.words)}"
        case Change(kind="started"):
            return f"{task.key}: {'goes on' if change.words else 'begun'}"
        case Change(kind="retry"):
            return f"{task.key}: try {task.attempts} failed and is repeated: {task.error}"
        case Change(kind="done"):
            return f"{task.key}: done, {story.words:,} words in {counted(story.steps, 'paragraph')}"
        case Change(kind="cancelled"):
            return f"{task.key}: cancelled"
        case _:
            return f"{task.key}: failed: {task.error}"


def _step(order: Order, step: StepFigures, words: int) -> str:
    speed = f", {step.tokens / step.seconds:.0f} tokens/s" if step.seconds else ""
    if order.words is not None:
        return f"paragraph {step.depth}, {words:,} of {order.words:,} words{speed}"
    return f"paragraph {step.depth} of {order.paragraphs}, {words:,} words{speed}"
