"""Snapshots are read from what is committed: the stories here are written by Books, without any worker."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storyloom.app.batch.changes import changes
from storyloom.app.batch.snapshot import Snapshot, Watch
from storyloom.app.books import Books
from storyloom.app.events import Listener
from storyloom.app.studio import Studio
from storyloom.memory.orders import Batch, Order, Task, TaskState, queued
from storyloom.storage.database import Database

NOW = datetime(2025, 1, 2, tzinfo=UTC)
BATCH = Batch(id="batch", owner="local", name="lamps", created_at=NOW)
LEASE = 60.0


def task(key: str, **order: object) -> Task:
    asked = {"paragraphs": 3} | order
    return queued(
        BATCH,
        task_id=f"task-{key}",
        key=key,
        position=0,
        order=Order(story_id=f"story-{key}", premise=f"Mara keeps the {key} lamp.", seed=1, **asked),  # type: ignore[arg-type]
        at=NOW,
    )


@pytest.fixture
def queue(database: Database) -> Callable[..., list[Task]]:
    """Queues tasks of the batch."""

    def add(*tasks: Task) -> list[Task]:
        with database.unit_of_work() as work:
            work.tasks.add(BATCH, [replace(one, position=place) for place, one in enumerate(tasks)])
            work.commit()
        return list(tasks)

    return add


def claim(database: Database) -> Task:
    with database.unit_of_work() as work:
        claimed = work.tasks.claim("w", LEASE)
        work.commit()
    assert claimed is not None
    return claimed


def finish(database: Database, done: Task, state: TaskState = TaskState.DONE, error: str = "") -> None:
    with database.unit_of_work() as work:
        assert work.tasks.finish(done.id, "w", state, error)
        work.commit()


def told(before: Snapshot, after: Snapshot) -> list[tuple[str, str]]:
    return [(change.story.task.key, change.kind) for change in changes(before, after)]


def test_a_story_is_followed_from_the_queue_to_its_end(
    database: Database, studio: Studio, queue: Callable[..., list[Task]]
) -> None:
    queue(task("red"), task("green"))
    watch = Watch(database, BATCH, ["red", "green"])
    waiting = watch.take()
    assert [story.share for story in waiting.stories] == [0.0, 0.0]
    assert (waiting.words, waiting.seconds_left, waiting.ended) == (0, None, False)

    red = claim(database)
    steps = Books(studio).write(red.order, Listener())
    first = next(steps)
    begun = watch.take()
    assert told(waiting, begun) == [("red", "started"), ("red", "step")]
    story = begun.stories[0]
    assert (story.steps, story.words) == (1, len(first.paragraph.split()))
    assert story.share == pytest.approx(1 / 3)
    assert story.seconds_left == pytest.approx(2 * first.seconds)
    # Green has no step yet and counts as red's whole.
    assert begun.seconds_left == pytest.approx(5 * first.seconds)
    assert told(begun, watch.take()) == []

    rest = list(steps)
    finish(database, red)
    done = watch.take()
    assert told(begun, done) == [("red", "step"), ("red", "step"), ("red", "done")]
    assert [change.words for change in changes(begun, done)][-1] == done.stories[0].words
    assert [change.step.depth for change in changes(begun, done) if change.step] == [2, 3]
    assert done.stories[0].tokens == sum(step.completion_tokens for step in (first, *rest))
    assert (done.count(TaskState.DONE), done.ended) == (1, False)


def test_a_new_watch_counts_what_was_written_before_and_tells_none_of_it(
    database: Database, studio: Studio, queue: Callable[..., list[Task]]
) -> None:
    queue(task("red"))
    red = claim(database)
    list(Books(studio).write(red.order, Listener()))
    watch = Watch(database, BATCH, ["red"])
    first = watch.take()
    assert first.stories[0].steps == 3
    assert told(first, watch.take()) == []


def test_a_short_story_that_ends_between_two_looks_is_told_whole(
    database: Database, studio: Studio, queue: Callable[..., list[Task]]
) -> None:
    queue(task("red", paragraphs=1))
    watch = Watch(database, BATCH, ["red"])
    before = watch.take()
    red = claim(database)
    list(Books(studio).write(red.order, Listener()))
    finish(database, red)
    after = watch.take()
    assert told(before, after) == [("red", "started"), ("red", "step"), ("red", "done")]
    assert after.ended
    assert after.stories[0].share == 1.0


def test_failed_tries_and_ends_are_told_once(database: Database, queue: Callable[..., list[Task]]) -> None:
    queue(task("red"), task("green"))
    watch = Watch(database, BATCH, ["red", "green"])
    claim(database)
    before = watch.take()
    with database.unit_of_work() as work:
        assert work.tasks.put_back("task-red", "w", "The server is away.", NOW)
        assert work.tasks.cancel("task-green")
        work.commit()
    after = watch.take()
    assert told(before, after) == [("red", "retry"), ("green", "cancelled")]
    finish(database, claim(database), TaskState.FAILED, "The premise is empty.")
    failed = watch.take()
    assert told(after, failed)[-1] == ("red", "failed")
    assert failed.stories[0].task.error == "The premise is empty."
    assert failed.ended


def test_words_at_hand_are_shown_and_not_counted(
    database: Database, studio: Studio, queue: Callable[..., list[Task]]
) -> None:
    queue(task("red"))
    red = claim(database)
    first = next(Books(studio).write(red.order, Listener()))
    with database.unit_of_work() as work:
        job = work.jobs.claim(first.strand_id, "w", LEASE)
        assert job is not None
        work.jobs.write_journal(job.id, "w", "She opened the")
        work.commit()
    story = Watch(database, BATCH, ["red"]).take().stories[0]
    assert (story.words, story.words_at_hand) == (len(first.paragraph.split()), 3)


def test_stories_stand_in_the_order_of_the_file_and_strangers_are_left_out(
    database: Database, queue: Callable[..., list[Task]]
) -> None:
    queue(task("red"), task("green"), task("blue"))
    taken = Watch(database, BATCH, ["blue", "red"]).take()
    assert [story.task.key for story in taken.stories] == ["blue", "red"]


def test_words_asked_for_tell_share_and_time_left(
    database: Database, studio: Studio, queue: Callable[..., list[Task]]
) -> None:
    queue(task("red", paragraphs=None, words=1_000))
    red = claim(database)
    first = next(Books(studio).write(red.order, Listener()))
    story = Watch(database, BATCH, ["red"]).take().stories[0]
    assert story.share == pytest.approx(story.words / 1_000)
    assert story.seconds_left == pytest.approx((1_000 - story.words) * first.seconds / story.words)
