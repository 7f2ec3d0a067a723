"""The report of a batch: what was asked, what was written, and how well, story by story."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from storyloom.app.batch.snapshot import Snapshot, StoryProgress, Watch
from storyloom.memory.length import length_score
from storyloom.memory.orders import Batch, TaskState
from storyloom.memory.repetition import distinct, rep
from storyloom.memory.story import Story
from storyloom.memory.text import words
from storyloom.storage.database import Database

# Repetition grows with length: figures of different texts compare only over equally many words.
MEASURED_WORDS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """How much of a text's beginning says itself again.

    Attributes:
        words: how many were measured, ``MEASURED_WORDS`` at most.
        rep_4: share of four-word runs that repeat an earlier one.
        rep_8: the same of eight-word runs.
        distinct_2: share of pairs of words that are unique.
    """

    words: int
    rep_4: float
    rep_8: float
    distinct_2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryReport:
    """One story of a batch.

    Attributes:
        progress: where it stands.
        story: None as long as nothing of it was made.
        length_score: how near its length is to what was asked, 0 to 100 (LongWriter's S_l), in the
            unit that was asked for: words or paragraphs.
        repetition: None as long as nothing is written.
    """

    progress: StoryProgress
    story: Story | None
    length_score: float
    repetition: Repetition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A batch and all its stories, in the order of the file."""

    batch: Batch
    stories: tuple[StoryReport, ...]
    snapshot: Snapshot

    @property
    def whole(self) -> bool:
        """Whether every story is done."""
        return self.snapshot.count(TaskState.DONE) == len(self.stories)

    @property
    def failed(self) -> tuple[StoryReport, ...]:
        """Stories that ended without being whole."""
        ends = {TaskState.FAILED, TaskState.CANCELLED}
        return tuple(story for story in self.stories if story.progress.task.state in ends)

    @property
    def length_score(self) -> float | None:
        """Mean of the stories that are done; None where none is."""
        scores = [story.length_score for story in self.stories if story.progress.task.state is TaskState.DONE]
        return mean(scores) if scores else None


def report(database: Database, batch: Batch, keys: Sequence[str]) -> Report:
    """Measure the stories of a batch as they stand now; one story's text is held at a time.

    Raises:
        StoreUnavailable: the database can't be read.
    """
    snapshot = Watch(database, batch, keys).take()
    stories = tuple(_of_story(database, progress) for progress in snapshot.stories)
    return Report(batch=batch, stories=stories, snapshot=snapshot)


def measured(text: str) -> Repetition:
    """Repetition of a text's first ``MEASURED_WORDS`` words."""
    tokens = words(text)[:MEASURED_WORDS]
    return Repetition(
        words=len(tokens), rep_4=rep(tokens, 4), rep_8=rep(tokens, 8), distinct_2=distinct(tokens, 2)
    )


def _of_story(database: Database, progress: StoryProgress) -> StoryReport:
    order = progress.task.order
    asked, written = (
        (order.paragraphs or 0, progress.steps) if order.words is None else (order.words, progress.words)
    )
    story, text = _text(database, progress)
    return StoryReport(
        progress=progress,
        story=story,
        length_score=length_score(asked, written),
        repetition=measured(text) if text else None,
    )


def _text(database: Database, progress: StoryProgress) -> tuple[Story | None, str]:
    """The story, where it was made, and as much of its text as is measured."""
    story_id = progress.task.order.story_id
    with database.unit_of_work(write=False) as work:
        if not work.stories.exists(story_id):
            return None, ""
        counted, last = 0, 0
        for step in progress.fresh:
            if counted >= MEASURED_WORDS:
                break
            counted, last = counted + step.words, step.depth
        told = work.steps.paragraphs(work.strands.main(story_id).id, last=last)
        return work.stories.get(story_id), "\n\n".join(text for _, text in told)
