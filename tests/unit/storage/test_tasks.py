"""Tasks: one living worker each, pauses, cancelling, and orders that come back as they were given."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from storyloom.memory.errors import StepConflict
from storyloom.memory.orders import Batch, Order, Task, TaskState, queued
from storyloom.memory.story import Mode, Story
from storyloom.storage.database import Database
from storyloom.storage.unit_of_work import UnitOfWork

START = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
LEASE = 4.0
BATCH = Batch(id="b1", owner="local", name="winter", created_at=START)


class Clock(Protocol):
    now: datetime

    def move(self, seconds: float) -> None: ...


def a_task(batch: Batch, position: int, at: datetime = START, **fields: object) -> Task:
    order = Order(story_id=f"{batch.id}s{position}", premise="A keeper hears a bell.", **fields)  # type: ignore[arg-type]
    key = f"k{position}"
    return queued(batch, task_id=f"{batch.id}t{position}", key=key, position=position, order=order, at=at)


def state_of(work: UnitOfWork, task_id: str) -> TaskState:
    task = work.tasks.get(task_id)
    assert task is not None
    return task.state


@pytest.fixture
def work(database: Database) -> Iterator[UnitOfWork]:
    """A unit of work with a batch of two tasks in it."""
    with database.unit_of_work() as work:
        work.tasks.add(BATCH, [a_task(BATCH, 0), a_task(BATCH, 1)])
        work.commit()
        yield work


def test_an_order_comes_back_as_it_was_given(database: Database) -> None:
    whole = a_task(
        BATCH,
        0,
        outline="One.\nTwo.",
        title="鐘",
        mode=Mode.DOCUMENT,
        language="pt-BR",
        style="plain",
        model="scripted:x",
        seed=2**40,
        words=1200,
        chapters=3,
        sampling={"temperature": 0.5, "top_k": 40, "min_p": 1.0, "dry_breakers": ("\n", "*")},
        lore=("/a/b.json",),
        exports=("/c.md", "/d.txt"),
    )
    with database.unit_of_work() as work:
        work.tasks.add(BATCH, [whole, a_task(BATCH, 1, paragraphs=30)])
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.tasks.of_batch(BATCH.id) == [whole, a_task(BATCH, 1, paragraphs=30)]
        sampling = work.tasks.of_batch(BATCH.id)[0].order.sampling
    assert [type(value) for value in sampling.values()] == [float, int, float, tuple]


def test_a_batch_is_found_by_its_owners_name_for_it(work: UnitOfWork) -> None:
    assert work.tasks.batch("local", "winter") == BATCH
    assert work.tasks.batch("somebody", "winter") is None
    later = Batch(id="b2", owner="local", name="spring", created_at=START + timedelta(days=1))
    theirs = Batch(id="b3", owner="somebody", name="winter", created_at=START)
    for batch in (later, theirs):
        work.tasks.add(batch, [a_task(batch, 0)])
    assert work.tasks.batches("local") == [later, BATCH]
    assert [task.id for task in work.tasks.of_batch("b3")] == ["b3t0"]


def test_tasks_are_added_to_a_batch_that_is_there_and_none_twice(database: Database) -> None:
    again = Batch(id="b9", owner="local", name="winter", created_at=START)
    for number in (0, 1):
        with database.unit_of_work() as work:
            work.tasks.add(BATCH, [a_task(BATCH, number)])
            work.commit()
    for batch, tasks in ((BATCH, [a_task(BATCH, 1)]), (again, [])):
        with database.unit_of_work() as work, pytest.raises(StepConflict, match="'winter'"):
            work.tasks.add(batch, tasks)
    with database.unit_of_work(write=False) as work:
        assert [task.key for task in work.tasks.of_batch("b1")] == ["k0", "k1"]
        assert work.tasks.batches("local") == [BATCH]


def test_the_oldest_waiting_task_is_claimed_first(work: UnitOfWork, clock: Clock) -> None:
    older = Batch(id="b0", owner="somebody", name="old", created_at=START)
    work.tasks.add(older, [a_task(older, 7, START - timedelta(seconds=1))])
    assert work.tasks.claim("w0", LEASE, batch_id="nothing") is None
    theirs = work.tasks.claim("w1", LEASE)
    assert theirs is not None
    assert (theirs.id, theirs.state, theirs.worker) == ("b0t7", TaskState.RUNNING, "w1")
    assert theirs.lease_until == clock.now + timedelta(seconds=LEASE)
    names = [task and task.key for task in (work.tasks.claim(f"w{number}", LEASE) for number in (2, 3, 4))]
    assert names == ["k0", "k1", None]


def test_a_worker_can_serve_one_batch_or_one_owner(work: UnitOfWork) -> None:
    theirs = Batch(id="b3", owner="somebody", name="winter", created_at=START)
    work.tasks.add(theirs, [a_task(theirs, 0), a_task(theirs, 1)])
    by_batch = work.tasks.claim("w1", LEASE, batch_id="b3")
    by_owner = work.tasks.claim("w2", LEASE, owner="somebody")
    assert by_batch is not None
    assert by_owner is not None
    assert (by_batch.id, by_owner.id) == ("b3t0", "b3t1")
    assert work.tasks.claim("w3", LEASE, owner="somebody") is None


def test_a_heartbeat_holds_and_a_dead_workers_task_is_next(work: UnitOfWork, clock: Clock) -> None:
    first = work.tasks.claim("w1", LEASE)
    assert first is not None
    clock.move(3.9)
    assert work.tasks.heartbeat(first.id, "w1", LEASE) == (True, False)
    clock.move(3.9)
    second = work.tasks.claim("w2", LEASE)
    assert second is not None
    assert second.key == "k1"
    assert work.tasks.claim("w3", LEASE) is None
    clock.move(0.1)
    again = work.tasks.claim("w3", LEASE)
    assert again is not None
    assert (again.id, again.worker, again.attempts) == (first.id, "w3", 1)
    assert work.tasks.heartbeat(first.id, "w1", LEASE) == (False, False)
    assert not work.tasks.advanced(first.id, "w1")
    assert not work.tasks.finish(first.id, "w1", TaskState.DONE)
    assert not work.tasks.put_back(first.id, "w1", "late", clock.now)
    assert not work.tasks.release(first.id, "w1")
    assert work.tasks.finish(first.id, "w3", TaskState.DONE)


def test_a_late_heartbeat_holds_while_nobody_took_over(work: UnitOfWork, clock: Clock) -> None:
    task = work.tasks.claim("w1", LEASE)
    assert task is not None
    clock.move(60.0)
    assert work.tasks.heartbeat(task.id, "w1", LEASE).held
    other = work.tasks.claim("w2", LEASE)
    assert other is not None
    assert other.id != task.id


def test_a_failed_try_waits_and_a_step_forgives_it(work: UnitOfWork, clock: Clock) -> None:
    task = work.tasks.claim("w1", LEASE, batch_id="b1")
    assert task is not None
    assert work.tasks.put_back(task.id, "w1", "no server", clock.now + timedelta(seconds=10))
    other = work.tasks.claim("w2", LEASE)
    assert other is not None
    assert other.key == "k1"
    assert work.tasks.claim("w3", LEASE) is None
    clock.move(10.0)
    assert work.tasks.heartbeat(other.id, "w2", LEASE).held
    again = work.tasks.claim("w3", LEASE)
    assert again is not None
    assert (again.id, again.attempts, again.error) == (task.id, 1, "no server")
    assert work.tasks.advanced(task.id, "w3")
    forgiven = work.tasks.get(task.id)
    assert forgiven is not None
    assert (forgiven.attempts, forgiven.error, forgiven.worker) == (0, "", "w3")
    assert work.tasks.release(task.id, "w3")
    released = work.tasks.claim("w4", LEASE)
    assert released is not None
    assert (released.id, released.attempts) == (task.id, 0)


@pytest.mark.parametrize("state", [TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED])
def test_an_ended_task_is_nobodys(work: UnitOfWork, clock: Clock, state: TaskState) -> None:
    task = work.tasks.claim("w1", LEASE)
    assert task is not None
    assert work.tasks.finish(task.id, "w1", state, "told")
    ended = work.tasks.get(task.id)
    assert ended is not None
    assert (ended.state, ended.error, ended.ended_at) == (state, "told", clock.now)
    assert not work.tasks.heartbeat(task.id, "w1", LEASE).held
    assert not work.tasks.cancel(task.id)
    clock.move(60.0)
    other = work.tasks.claim("w2", LEASE)
    assert other is not None
    assert other.id != task.id
    assert work.tasks.requeue(task.id) == (state is not TaskState.DONE)
    assert work.tasks.requeue(task.id, done=True) == (state is TaskState.DONE)


def test_a_waiting_task_is_cancelled_at_once_and_can_be_queued_anew(work: UnitOfWork, clock: Clock) -> None:
    assert work.tasks.cancel("b1t0")
    assert state_of(work, "b1t0") is TaskState.CANCELLED
    assert not work.tasks.cancel("nothing")
    clock.move(1.0)
    assert work.tasks.requeue("b1t0")
    assert not work.tasks.requeue("b1t0")
    assert work.tasks.get("b1t0") == replace(a_task(BATCH, 0), not_before=clock.now)


def test_a_running_task_is_cancelled_by_its_worker(work: UnitOfWork, clock: Clock) -> None:
    task = work.tasks.claim("w1", LEASE)
    assert task is not None
    assert work.tasks.cancel(task.id)
    assert state_of(work, task.id) is TaskState.RUNNING
    assert work.tasks.heartbeat(task.id, "w1", LEASE) == (True, True)
    assert work.tasks.finish(task.id, "w1", TaskState.CANCELLED)
    assert work.tasks.requeue(task.id)
    again = work.tasks.claim("w2", LEASE)
    assert again is not None
    assert (again.id, again.cancelling) == (task.id, False)
    assert again.ended_at is None
    clock.move(LEASE)
    assert work.tasks.cancel(task.id)  # w2 is dead
    assert state_of(work, task.id) is TaskState.CANCELLED


@pytest.mark.parametrize("leave", ["put_back", "release", "die"])
def test_a_cancelled_task_doesnt_go_back_to_the_queue(work: UnitOfWork, clock: Clock, leave: str) -> None:
    task = work.tasks.claim("w1", LEASE)
    assert task is not None
    work.tasks.cancel(task.id)
    if leave == "put_back":
        assert work.tasks.put_back(task.id, "w1", "no server", clock.now)
    elif leave == "release":
        assert work.tasks.release(task.id, "w1")
    clock.move(LEASE)
    other = work.tasks.claim("w2", LEASE)
    assert other is not None
    assert other.id != task.id
    ended = work.tasks.get(task.id)
    assert ended is not None
    assert (ended.state, ended.ended_at is not None) == (TaskState.CANCELLED, True)


def test_an_order_is_replaced_while_no_worker_has_it(work: UnitOfWork) -> None:
    longer = Order(story_id="b1s0", premise="A keeper hears a bell.", paragraphs=40)
    assert work.tasks.replace("b1t0", longer)
    task = work.tasks.claim("w1", LEASE)
    assert task is not None
    assert task.order == longer
    assert not work.tasks.replace("b1t0", a_task(BATCH, 0).order)
    assert work.tasks.finish("b1t0", "w1", TaskState.DONE)
    assert work.tasks.replace("b1t0", a_task(BATCH, 0).order)
    assert work.tasks.requeue("b1t0", done=True)
    task = work.tasks.claim("w2", LEASE)
    assert task is not None
    assert (task.id, task.order) == ("b1t0", a_task(BATCH, 0).order)


def test_what_is_left_counts_what_runs(work: UnitOfWork) -> None:
    for worker in ("w1", "w2"):
        task = work.tasks.claim(worker, LEASE)
        assert task is not None
        assert work.tasks.any_left()
        assert work.tasks.any_left(owner="local", batch_id="b1")
        assert not work.tasks.any_left(owner="somebody")
        work.tasks.finish(task.id, worker, TaskState.FAILED)
    assert not work.tasks.any_left()


def test_a_task_outlives_its_story(
    database: Database, work: UnitOfWork, new_story: Callable[..., Story]
) -> None:
    story = new_story(id="b1s0")
    work.stories.add(story)
    work.stories.delete(story.id)
    work.commit()
    with database.unit_of_work(write=False) as reading:
        assert [task.order.story_id for task in reading.tasks.of_batch("b1")] == ["b1s0", "b1s1"]


def test_workers_that_claim_at_once_get_different_tasks(database: Database) -> None:
    with database.unit_of_work() as work:
        work.tasks.add(BATCH, [a_task(BATCH, number) for number in range(24)])
        work.commit()

    def take(number: int) -> list[str]:
        taken: list[str] = []
        while True:
            with database.unit_of_work() as work:
                task = work.tasks.claim(f"w{number}", LEASE)
                work.commit()
            if task is None:
                return taken
            taken.append(task.key)

    with ThreadPoolExecutor(4) as pool:
        taken = [key for keys in pool.map(take, range(4)) for key in keys]
    assert sorted(taken) == sorted(f"k{number}" for number in range(24))
