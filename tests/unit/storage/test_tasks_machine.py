"""The queue against a model of it: several workers, crashes, and a clock that jumps both ways."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from storyloom.memory.orders import Batch, Order, TaskState, queued
from storyloom.storage.database import Database
from storyloom.storage.tasks import Tasks

T = TypeVar("T")

LEASE = timedelta(seconds=4)
DIED = "The worker that wrote it ended without a word."
ENDS = (TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED)
TASKS = 3
WORKERS = st.integers(0, 2)
NUMBERS = st.integers(0, TASKS - 1)
_batches = itertools.count(1)


class Clock(Protocol):
    now: datetime

    def move(self, seconds: float) -> None: ...


@dataclass
class Known:
    """What is true of a task."""

    lease_until: datetime
    not_before: datetime
    state: TaskState = TaskState.QUEUED
    worker: str = ""
    attempts: int = 0
    error: str = ""
    cancelling: bool = False


class Queue(RuleBasedStateMachine):
    """What the model knows is what the queue says, after every call of anybody."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self.database = database
        self.clock = clock
        self.names = itertools.count(1)
        number = next(_batches)
        self.batch = Batch(id=f"m{number}", owner="local", name=f"machine {number}", created_at=clock.now)
        order = Order(story_id="story", premise="A keeper hears a bell.")
        tasks = [
            queued(
                self.batch,
                task_id=f"m{number}t{position}",
                key=f"k{position}",
                position=position,
                order=order,
                at=clock.now,
            )
            for position in range(TASKS)
        ]
        self.call(lambda queue: queue.add(self.batch, tasks))
        self.known = {task.id: Known(lease_until=clock.now, not_before=clock.now) for task in tasks}
        # What each worker believes that it holds: a task, and the name it was claimed by.
        self.held: dict[int, tuple[str, str]] = {}

    def call(self, action: Callable[[Tasks], T]) -> T:
        with self.database.unit_of_work() as work:
            result = action(work.tasks)
            work.commit()
        return result

    # Workers

    @rule(worker=WORKERS)
    def claims(self, worker: int) -> None:
        if worker in self.held:
            return
        now, name = self.clock.now, f"w{worker}-{next(self.names)}"
        claimed = self.call(lambda tasks: tasks.claim(name, LEASE.total_seconds(), batch_id=self.batch.id))
        expected = self._next(now)
        assert (claimed.id if claimed else None) == expected
        if expected is not None:
            known = self.known[expected]
            if known.state is TaskState.RUNNING:
                known.attempts, known.error = known.attempts + 1, DIED
            known.state, known.worker, known.lease_until = TaskState.RUNNING, name, now + LEASE
            self.held[worker] = (expected, name)

    def _next(self, now: datetime) -> str | None:
        """The task that is claimed at this moment; lost ones whose end was asked for end before it."""
        for task_id, known in self.known.items():
            if known.state is TaskState.RUNNING and known.lease_until <= now:
                if not known.cancelling:
                    return task_id
                known.state = TaskState.CANCELLED
        waiting = (
            task_id
            for task_id, known in self.known.items()
            if known.state is TaskState.QUEUED and known.not_before <= now
        )
        return next(waiting, None)

    @rule(worker=WORKERS)
    def beats(self, worker: int) -> None:
        if worker not in self.held:
            return
        task_id, name, known = self._holding(worker)
        beat = self.call(lambda tasks: tasks.heartbeat(task_id, name, LEASE.total_seconds()))
        if known is None:
            assert beat == (False, False)
            del self.held[worker]
        else:
            assert beat == (True, known.cancelling)
            known.lease_until = self.clock.now + LEASE

    @rule(worker=WORKERS)
    def advances(self, worker: int) -> None:
        if worker not in self.held:
            return
        task_id, name, known = self._holding(worker)
        assert self.call(lambda tasks: tasks.advanced(task_id, name)) == (known is not None)
        if known is not None:
            known.attempts, known.error = 0, ""

    @rule(worker=WORKERS, pause=st.integers(0, 6))
    def fails_a_try(self, worker: int, pause: int) -> None:
        not_before = self.clock.now + timedelta(seconds=pause)
        if worker not in self.held:
            return
        task_id, name, known = self._holding(worker)
        left = self.call(lambda tasks: tasks.put_back(task_id, name, "cut", not_before))
        assert left == (known is not None)
        if known is not None and not known.cancelling:
            known.attempts, known.error, known.not_before = known.attempts + 1, "cut", not_before
        self._left(worker, known)

    @rule(worker=WORKERS)
    def stops(self, worker: int) -> None:
        if worker not in self.held:
            return
        task_id, name, known = self._holding(worker)
        assert self.call(lambda tasks: tasks.release(task_id, name)) == (known is not None)
        self._left(worker, known)

    @rule(worker=WORKERS, state=st.sampled_from(ENDS))
    def finishes(self, worker: int, state: TaskState) -> None:
        if worker not in self.held:
            return
        task_id, name, known = self._holding(worker)
        ended = self.call(lambda tasks: tasks.finish(task_id, name, state, "told"))
        assert ended == (known is not None)
        if known is not None:
            known.state, known.error = state, "told"
        del self.held[worker]

    @rule(worker=WORKERS)
    def dies(self, worker: int) -> None:
        self.held.pop(worker, None)

    def _holding(self, worker: int) -> tuple[str, str, Known | None]:
        """What a worker believes that it holds, and the task if it does."""
        task_id, name = self.held[worker]
        known = self.known[task_id]
        holds = known.state is TaskState.RUNNING and known.worker == name
        return task_id, name, known if holds else None

    def _left(self, worker: int, known: Known | None) -> None:
        del self.held[worker]
        if known is not None:
            known.state = TaskState.CANCELLED if known.cancelling else TaskState.QUEUED

    # A person, and time

    @rule(number=NUMBERS)
    def is_cancelled(self, number: int) -> None:
        task_id, known = list(self.known.items())[number]
        assert self.call(lambda tasks: tasks.cancel(task_id)) == (known.state not in ENDS)
        if known.state is TaskState.RUNNING and known.lease_until > self.clock.now:
            known.cancelling = True
        elif known.state not in ENDS:
            known.state = TaskState.CANCELLED

    @rule(number=NUMBERS)
    def is_queued_anew(self, number: int) -> None:
        task_id, known = list(self.known.items())[number]
        could = known.state in {TaskState.FAILED, TaskState.CANCELLED}
        assert self.call(lambda tasks: tasks.requeue(task_id)) == could
        if could:
            known.state, known.not_before = TaskState.QUEUED, self.clock.now
            known.attempts, known.error, known.cancelling = 0, "", False

    @rule(seconds=st.sampled_from([-60.0, -5.0, -1.0, 0.5, 2.0, 4.0, 60.0]))
    def time_jumps(self, seconds: float) -> None:
        self.clock.move(seconds)

    # What always holds

    @invariant()
    def the_queue_says_what_is_true(self) -> None:
        with self.database.unit_of_work(write=False) as work:
            found = work.tasks.of_batch(self.batch.id)
        for task in found:
            shown = Known(
                task.lease_until,
                task.not_before,
                task.state,
                task.worker,
                task.attempts,
                task.error,
                task.cancelling,
            )
            assert shown == self.known[task.id]
            assert (task.ended_at is not None) == (task.state in ENDS)

    @invariant()
    def nobody_shares_a_task(self) -> None:
        claims = [self._holding(worker) for worker in self.held]
        holders = [task_id for task_id, _, known in claims if known is not None]
        assert len(holders) == len(set(holders))

    def teardown(self) -> None:
        """Every task ends once workers keep working."""
        self.clock.move(3600.0)  # past every lease and pause, however far back the clock had jumped
        for _ in self.known:
            claimed = self.call(lambda tasks: tasks.claim("last", 4.0, batch_id=self.batch.id))
            if claimed is not None:
                assert self.call(
                    partial(Tasks.finish, task_id=claimed.id, worker="last", state=TaskState.DONE)
                )
        assert not self.call(lambda tasks: tasks.any_left(batch_id=self.batch.id))


def test_no_order_of_events_breaks_the_queue(database: Database, clock: Clock) -> None:
    class Ours(Queue):
        def __init__(self) -> None:
            super().__init__(database, clock)

    run_state_machine_as_test(
        Ours,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
