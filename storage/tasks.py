"""Tasks: the durable queue of whole texts to be written, held by leases."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from storyloom.memory.errors import StepConflict
from storyloom.memory.orders import Batch, Order, Task, TaskState
from storyloom.storage import rows
from storyloom.storage.tables import BatchRow, TaskRow

T = TypeVar("T")

_QUEUED = TaskState.QUEUED.value
_RUNNING = TaskState.RUNNING.value
_CANCELLED = TaskState.CANCELLED.value
_DIED = "The worker that wrote it ended without a word."


class Beat(NamedTuple):
    """What a heartbeat found: whether the task is still held, and whether its end was asked for."""

    held: bool
    cancelling: bool


class Tasks:
    """The batches and tasks of one unit of work; what changes them needs a unit that writes.

    A lease is a moment of the clock that the database was opened with, read on the machine of whoever
    asks. A clock that jumps ahead makes a living worker look dead, and one that jumps back keeps a dead
    one alive for as long. At worst two workers write the same place of a story, and the step's own key
    lets one of them commit.
    """

    def __init__(self, session: Session, *, clock: Callable[[], datetime]) -> None:
        self._session = session
        self._clock = clock

    def add(self, batch: Batch, tasks: Sequence[Task]) -> None:
        """Queue tasks of a batch, which is kept too where it isn't there yet.

        Raises:
            StepConflict: the owner has another batch of this name, or the batch a task of such a key.
        """
        try:
            if self._session.get(BatchRow, batch.id) is None:
                self._session.add(rows.batch_row(batch))
                self._session.flush()
            self._session.add_all([rows.task_row(task) for task in tasks])
            self._session.flush()
        except IntegrityError as error:
            raise StepConflict(
                f"The batch {batch.name!r} was given by somebody else at the same moment, and nothing was "
                "queued twice. Run it again."
            ) from error

    def batch(self, owner: str, name: str) -> Batch | None:
        """The owner's batch of this name."""
        query = select(BatchRow).where(BatchRow.owner == owner, BatchRow.name == name)
        row = self._session.exec(query).first()
        return None if row is None else rows.batch(row)

    def batches(self, owner: str) -> list[Batch]:
        """The owner's batches, the newest first."""
        newest_first = col(BatchRow.created_at).desc()
        query = select(BatchRow).where(BatchRow.owner == owner).order_by(newest_first, col(BatchRow.id))
        return [rows.batch(row) for row in self._session.exec(query)]

    def of_batch(self, batch_id: str) -> list[Task]:
        """The batch's tasks by their position."""
        query = select(TaskRow).where(TaskRow.batch_id == batch_id)
        return [rows.task(row) for row in self._session.exec(query.order_by(col(TaskRow.position)))]

    def get(self, task_id: str) -> Task | None:
        """The task of this id."""
        row = self._session.get(TaskRow, task_id, populate_existing=True)
        return None if row is None else rows.task(row)

    def claim(
        self, worker: str, lease_seconds: float, *, owner: str | None = None, batch_id: str | None = None
    ) -> Task | None:
        """Take a task to work on, or get None where none can be had now.

        A dead worker's task comes first, as one more failed try: it may be what the worker died of. Then
        comes the oldest queued one whose pause is over. A task whose end was asked for while a worker that
        died had it ends here.

        Args:
            worker: names this claim; a different one each time.
            lease_seconds: how long the claim lives without a heartbeat.
            owner: whose batches are served; all when None.
            batch_id: the one batch that is served.
        """
        now = self._clock()
        held = select(TaskRow).where(TaskRow.state == _RUNNING, col(TaskRow.lease_until) <= now)
        while lost := self._first(held, owner, batch_id):
            if not lost.cancelling:
                lost.attempts += 1
                lost.error = _DIED
                return self._taken(lost, worker, now, lease_seconds)
            self._end(lost, _CANCELLED, now)
        queued = select(TaskRow).where(TaskRow.state == _QUEUED, col(TaskRow.not_before) <= now)
        waiting = self._first(queued, owner, batch_id)
        return None if waiting is None else self._taken(waiting, worker, now, lease_seconds)

    def heartbeat(self, task_id: str, worker: str, lease_seconds: float) -> Beat:
        """Prolong the lease from now on, unless the task ended or somebody else took its place."""
        if not self._change(task_id, worker, lease_until=self._clock() + timedelta(seconds=lease_seconds)):
            return Beat(held=False, cancelling=False)
        query = select(TaskRow.cancelling).where(TaskRow.id == task_id)
        return Beat(held=True, cancelling=self._session.exec(query).one())

    def advanced(self, task_id: str, worker: str) -> bool:
        """Note that a step was committed: earlier failures count no more."""
        return self._change(task_id, worker, attempts=0, error="")

    def put_back(self, task_id: str, worker: str, error: str, not_before: datetime) -> bool:
        """Queue the task again after a failed try; it ends where its end was asked for.

        Args:
            task_id: the task.
            worker: who holds it.
            error: why the try failed.
            not_before: it isn't claimed earlier.
        """
        return self._leave(task_id, worker, attempts=TaskRow.attempts + 1, error=error, not_before=not_before)

    def release(self, task_id: str, worker: str) -> bool:
        """Queue the task again because its worker stops; no try failed. It ends where that was asked for."""
        return self._leave(task_id, worker)

    def finish(self, task_id: str, worker: str, state: TaskState, error: str = "") -> bool:
        """End the task: done, failed or cancelled; False when it isn't this worker's any more."""
        return self._change(task_id, worker, state=state.value, error=error, ended_at=self._clock())

    def cancel(self, task_id: str) -> bool:
        """End a task: at once, or by its worker's next heartbeat; False when it ended before."""
        now = self._clock()
        row = self._locked(task_id, (_QUEUED, _RUNNING))
        if row is None:
            return False
        if row.state == _RUNNING and row.lease_until > now:
            row.cancelling = True
            self._session.flush()
        else:
            self._end(row, _CANCELLED, now)
        return True

    def requeue(self, task_id: str, *, done: bool = False) -> bool:
        """Queue an ended task anew; False when it hasn't ended.

        Args:
            task_id: the task.
            done: one that was done too, whose story was deleted since.
        """
        states = (TaskState.FAILED.value, _CANCELLED, *([TaskState.DONE.value] if done else []))
        row = self._locked(task_id, states)
        if row is None:
            return False
        row.state = _QUEUED
        row.not_before = self._clock()
        row.attempts = 0
        row.error = ""
        row.cancelling = False
        row.ended_at = None
        self._session.flush()
        return True

    def replace(self, task_id: str, order: Order) -> bool:
        """Give a task another order; False while a worker has it."""
        change = (
            update(TaskRow)
            .where(col(TaskRow.id) == task_id, col(TaskRow.state) != _RUNNING)
            .values(order=rows.dump_order(order))
        )
        return self._session.exec(change).rowcount == 1

    def any_left(self, *, owner: str | None = None, batch_id: str | None = None) -> bool:
        """Whether a task is queued or running; of one owner or one batch, where they are named."""
        open_tasks = select(TaskRow.id).where(col(TaskRow.state).in_([_QUEUED, _RUNNING]))
        return self._session.exec(_among(open_tasks, owner, batch_id).limit(1)).first() is not None

    def _first(
        self, query: SelectOfScalar[TaskRow], owner: str | None, batch_id: str | None
    ) -> TaskRow | None:
        """The oldest row that nobody else is taking at this moment, locked."""
        query = _among(query, owner, batch_id)
        oldest = query.order_by(col(TaskRow.created_at), col(TaskRow.position)).limit(1)
        # SQLite has no such locks and needs none: its writers come one after another.
        locked = oldest.with_for_update(skip_locked=True).execution_options(populate_existing=True)
        return self._session.exec(locked).first()

    def _taken(self, row: TaskRow, worker: str, now: datetime, lease_seconds: float) -> Task:
        row.state = _RUNNING
        row.worker = worker
        row.lease_until = now + timedelta(seconds=lease_seconds)
        self._session.flush()
        return rows.task(row)

    def _locked(self, task_id: str, states: tuple[str, ...]) -> TaskRow | None:
        query = select(TaskRow).where(TaskRow.id == task_id, col(TaskRow.state).in_(states))
        return self._session.exec(query.with_for_update().execution_options(populate_existing=True)).first()

    def _leave(self, task_id: str, worker: str, **values: object) -> bool:
        """Give the task up: to the queue, or to its end where that was asked for."""
        row = self._locked(task_id, (_RUNNING,))
        if row is None or row.worker != worker:
            return False
        if row.cancelling:
            self._end(row, _CANCELLED, self._clock())
            return True
        return self._change(task_id, worker, state=_QUEUED, **values)

    def _end(self, row: TaskRow, state: str, now: datetime) -> None:
        row.state = state
        row.ended_at = now
        self._session.flush()

    def _change(self, task_id: str, worker: str, **values: object) -> bool:
        """Change a task that this worker holds."""
        change = (
            update(TaskRow)
            .where(col(TaskRow.id) == task_id, col(TaskRow.worker) == worker)
            .where(col(TaskRow.state) == _RUNNING)
            .values(**values)
        )
        return self._session.exec(change).rowcount == 1


def _among(query: SelectOfScalar[T], owner: str | None, batch_id: str | None) -> SelectOfScalar[T]:
    """The query for tasks of one owner or one batch, where they are named."""
    if batch_id is not None:
        query = query.where(TaskRow.batch_id == batch_id)
    if owner is not None:
        batches = select(BatchRow.id).where(BatchRow.owner == owner)
        query = query.where(col(TaskRow.batch_id).in_(batches))
    return query
