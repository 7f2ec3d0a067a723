"""Snapshots of a batch: what its stories have come to, read from the database, whoever writes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from storyloom.memory.orders import Batch, Order, Task, TaskState
from storyloom.memory.progress import Pace, StepFigures
from storyloom.memory.text import count_words
from storyloom.storage.database import Database

ENDED = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryProgress:
    """What one story of a batch has come to.

    Attributes:
        task: its place in the queue.
        steps: how many are committed.
        words: how many are committed.
        tokens: that the model wrote for them.
        seconds: that the steps took, one after another.
        fresh: steps that were committed since the snapshot before.
        words_at_hand: of the paragraph being written, not committed yet.
        tokens_per_second: of the last steps; None as long as none is known.
        seconds_left: of writing; None as long as no step tells its pace.
    """

    task: Task
    steps: int
    words: int
    tokens: int
    seconds: float
    fresh: tuple[StepFigures, ...]
    words_at_hand: int
    tokens_per_second: float | None
    seconds_left: float | None

    @property
    def share(self) -> float:
        """How much of what was asked for is committed, from 0 to 1."""
        order = self.task.order
        if self.task.state is TaskState.DONE:
            return 1.0
        if order.words is not None:
            return min(1.0, self.words / order.words) if order.words else 0.0
        return min(1.0, self.steps / order.paragraphs) if order.paragraphs else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A batch at one moment: its stories in the order of the file."""

    batch: Batch
    stories: tuple[StoryProgress, ...]

    def count(self, *states: TaskState) -> int:
        """How many stories are in one of the states."""
        return sum(story.task.state in states for story in self.stories)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to be written."""
        return self.count(*ENDED) == len(self.stories)

    @property
    def words(self) -> int:
        """Committed words of all stories."""
        return sum(story.words for story in self.stories)

    @property
    def tokens_per_second(self) -> float:
        """What all writers together make now, by their last steps."""
        return sum(story.tokens_per_second or 0.0 for story in self.stories if _runs(story))

    @property
    def seconds_left(self) -> float | None:
        """Until the last story ends, if as many are written side by side as now; None if unknown.

        A story without a step yet counts as the mean of those that have one, by its share.
        """
        left = [story for story in self.stories if story.task.state not in ENDED]
        known = [story.seconds_left for story in left if story.seconds_left is not None]
        wholes = [
            (story.seconds + (story.seconds_left or 0.0)) for story in self.stories if story.seconds > 0.0
        ]
        if not left or not wholes:
            return None
        unknown = (len(left) - len(known)) * sum(wholes) / len(wholes)
        return (sum(known) + unknown) / max(1, self.count(TaskState.RUNNING))


class Watch:
    """Takes snapshots of one batch. What was read once isn't read again: only later steps are.

    Args:
        database: where the batch is.
        batch: the batch.
        keys: the stories to be watched, in the order of the file; the others left it.
    """

    def __init__(self, database: Database, batch: Batch, keys: Sequence[str]) -> None:
        self._database = database
        self._batch = batch
        self._places = {key: place for place, key in enumerate(keys)}
        self._tallies: dict[str, _Tally] = {}

    def take(self) -> Snapshot:
        """The batch as it stands now.

        Raises:
            StoreUnavailable: the database can't be read.
        """
        with self._database.unit_of_work(write=False) as work:
            tasks = [task for task in work.tasks.of_batch(self._batch.id) if task.key in self._places]
            tasks.sort(key=lambda task: self._places[task.key])
            at_hand = work.progress.at_hand(
                [task.order.story_id for task in tasks if task.state is TaskState.RUNNING]
            )
            stories = []
            for task in tasks:
                story_id = task.order.story_id
                tally = self._tallies.setdefault(story_id, _Tally())
                if tally.may_have_grown(task.state):
                    tally.add(work.progress.steps_after(story_id, tally.depth))
                stories.append(_progress(task, tally, at_hand.get(story_id, "")))
        return Snapshot(batch=self._batch, stories=tuple(stories))


class _Tally:
    """What is known of one story's steps."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.depth = self.words = self.tokens = 0
        self.seconds = 0.0
        self.fresh: tuple[StepFigures, ...] = ()
        self._state: TaskState | None = None

    def may_have_grown(self, state: TaskState) -> bool:
        """Whether steps can have come since the last look: one look after its end is the last."""
        self.fresh = ()
        changed, self._state = state is not self._state, state
        return changed or state is TaskState.RUNNING

    def add(self, steps: list[StepFigures]) -> None:
        """Take in the steps that follow those known."""
        self.fresh = tuple(steps)
        self.pace.add(steps)
        self.depth += len(steps)
        self.words += sum(step.words for step in steps)
        self.tokens += sum(step.tokens for step in steps)
        self.seconds += sum(step.seconds for step in steps)


def _progress(task: Task, tally: _Tally, at_hand: str) -> StoryProgress:
    return StoryProgress(
        task=task,
        steps=tally.depth,
        words=tally.words,
        tokens=tally.tokens,
        seconds=tally.seconds,
        fresh=tally.fresh,
        words_at_hand=count_words(at_hand),
        tokens_per_second=tally.pace.tokens_per_second,
        seconds_left=0.0 if task.state in ENDED else _left(task.order, tally),
    )


def _left(order: Order, tally: _Tally) -> float | None:
    """Seconds of writing that an order still asks for, at the pace of its last steps."""
    if order.words is not None:
        pace, left = tally.pace.seconds_per_word, order.words - tally.words
    else:
        pace, left = tally.pace.seconds_per_step, (order.paragraphs or 0) - tally.depth
    return None if pace is None else max(0, left) * pace


def _runs(story: StoryProgress) -> bool:
    return story.task.state is TaskState.RUNNING
