"""Workers: they take tasks from the queue and write them, each to its end, whatever happens between.

A task is held by a lease that a heartbeat prolongs. A worker that dies stops beating, and within seconds
another one goes on from the last committed step. A try that fails goes back to the queue with a growing
pause; one that could never succeed fails at once; a database that is away is waited for.
"""

import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Protocol, TypeVar

from storyloom.app.events import Cancelled, Listener, Relay, Stage
from storyloom.app.heartbeats import Heartbeat
from storyloom.app.leases import LEASE_SECONDS
from storyloom.memory.errors import (
    ImportRefused,
    InvalidSetting,
    InvalidText,
    ModelUnavailable,
    PromptTooLong,
    StoreUnavailable,
    StoryloomError,
    StoryNotFound,
    StrandNotFound,
    UnsupportedRequest,
)
from storyloom.memory.orders import Order, Task, TaskState
from storyloom.memory.story import Step
from storyloom.storage.database import Database, utc_now
from storyloom.storage.tasks import Tasks

# Tries without a committed step between them, after which a task has failed. What is away may come back:
# with the pauses between them, so many tries take most of an hour.
MOST_TRIES = 10
MOST_TRIES_AWAY = 60
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_LEAST_OF_A_PAUSE = 0.5
_POLL_SECONDS = 0.25
_LOST = "Another worker has taken this text over; nothing more was written here."

# What another try would meet again.
_LASTING = (
    ImportRefused,
    InvalidSetting,
    InvalidText,
    PromptTooLong,
    StoryNotFound,
    StrandNotFound,
    UnsupportedRequest,
)
# What another try may find well again: a server, a database, a disk.
_AWAY = (ModelUnavailable, StoreUnavailable)

T = TypeVar("T")
# What becomes of a task after a try; False when it isn't this worker's any more.
Settle = Callable[[Tasks], bool]

logger = logging.getLogger(__name__)


class Writes(Protocol):
    """What a worker needs of ``Books``."""

    def write(self, order: Order, listener: Listener) -> Iterator[Step]:
        """Write what is missing of an order, yielding each step once it is committed."""
        ...


class Worker:
    """Writes the queue's tasks, one at a time. Several share a queue, between threads or machines.

    Args:
        database: where the queue is.
        books: writes the orders.
        owner: whose batches are served; those of all owners when None.
        batch_id: the one batch that is served.
        listener_of: who hears the writing of a task.
        on_task: hears of a task when it is taken, and how it stands when it is left.
        on_notice: hears what a person should know of the worker itself.
    """

    def __init__(
        self,
        database: Database,
        books: Writes,
        *,
        owner: str | None = None,
        batch_id: str | None = None,
        listener_of: Callable[[Task], Listener] = lambda _task: Listener(),
        on_task: Callable[[Task], None] = lambda _task: None,
        on_notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._database = database
        self._books = books
        self._owner = owner
        self._batch_id = batch_id
        self._listener_of = listener_of
        self._on_task = on_task
        self._on_notice = on_notice

    def run(self, stop: Callable[[], bool], *, until_done: bool) -> None:
        """Write task after task.

        Args:
            stop: asked between two words; True ends the work soon. The task at hand goes back to the
                queue, and its words that weren't committed stay in the step's journal.
            until_done: return when every task has ended; otherwise new ones are waited for.
        """
        while not stop():
            task = self._patiently(self._claim, stop)
            if task is not None:
                self._serve(task, stop)
            elif until_done and not self._patiently(self._any_left, stop):
                return
            else:
                time.sleep(_POLL_SECONDS)

    def _claim(self, tasks: Tasks) -> Task | None:
        name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        return tasks.claim(name, LEASE_SECONDS, owner=self._owner, batch_id=self._batch_id)

    def _any_left(self, tasks: Tasks) -> bool:
        return tasks.any_left(owner=self._owner, batch_id=self._batch_id)

    def _serve(self, task: Task, stop: Callable[[], bool]) -> None:
        """Try once to write a task, and leave it done, ended, or back in the queue."""
        hold = _Hold(self._database, task)
        try:
            self._on_task(task)
            settle = self._written(task, _Watched(self._listener_of(task), hold, stop))
            self._patiently(settle, stop)
        except BaseException:
            with suppress(StoryloomError):
                self._now(lambda tasks: tasks.release(task.id, task.worker))
            raise
        finally:
            hold.close()
        left = self._patiently(lambda tasks: tasks.get(task.id), stop)
        if left is not None:
            self._on_task(left)

    def _written(self, task: Task, listener: "_Watched") -> Settle:
        """Write, and tell what shall become of the task."""
        if task.attempts >= MOST_TRIES_AWAY:
            # Others failed as often, or died: one that kills its writers must not be taken without end.
            return _failed(task, f"{task.error} {_tries(task.attempts)}")
        progress = False
        try:
            for _ in self._books.write(task.order, listener):
                if task.attempts and not progress:
                    self._now(lambda tasks: tasks.advanced(task.id, task.worker))
                progress = True
        except Cancelled:
            return lambda tasks: tasks.release(task.id, task.worker)
        except _LASTING as error:
            return _failed(task, str(error))
        except StoryloomError as error:
            return _tried(task, 1 if progress else task.attempts + 1, error)
        except Exception as error:
            # A fault in one text is no reason to leave the others unwritten.
            logger.exception("unexpected, while writing %s", task.key)
            return _failed(task, f"Something unexpected went wrong: {type(error).__name__}: {error}")
        return lambda tasks: tasks.finish(task.id, task.worker, TaskState.DONE)

    def _now(self, action: Callable[[Tasks], T]) -> T:
        """Do something with the queue, in one short transaction."""
        with self._database.unit_of_work() as work:
            result = action(work.tasks)
            work.commit()
        return result

    def _patiently(self, action: Callable[[Tasks], T], stop: Callable[[], bool]) -> T | None:
        """Do something with the queue, however long the database is away; None when stopped meanwhile."""
        attempt = 0
        while True:
            try:
                return self._now(action)
            except StoreUnavailable as error:
                attempt += 1
                if attempt == 1:
                    self._on_notice(f"{error} The work goes on when it can be used again.")
                _rest(pause_seconds(attempt, "store"), stop)
                if stop():
                    return None


def pause_seconds(attempt: int, what: str) -> float:
    """How long to wait after a failed try: twice as long each time, up to a minute.

    Up to half of it is taken off, by a chance that is the same each time, so that many that failed
    together don't come back together (exponential backoff with jitter).

    Args:
        attempt: how many tries have failed, from 1.
        what: names what was tried.
    """
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 16))
    return longest * random.Random(f"{what}:{attempt}").uniform(_LEAST_OF_A_PAUSE, 1.0)


class _Hold:
    """A held task: its heartbeat, and what the last beat found."""

    def __init__(self, database: Database, task: Task) -> None:
        self.lost = False
        self.cancelling = False
        self._database = database
        self._task = task
        self._heartbeat = Heartbeat(self._beat, name=f"task-{task.id}")

    def close(self) -> None:
        """Beat no more."""
        self._heartbeat.stop()

    def look(self) -> None:
        """Find out at once whether the task is still held."""
        with self._database.unit_of_work(write=False) as work:
            task = work.tasks.get(self._task.id)
        holder = task.worker if task and task.state is TaskState.RUNNING else None
        self.lost = holder != self._task.worker

    def _beat(self) -> None:
        with self._database.unit_of_work() as work:
            beat = work.tasks.heartbeat(self._task.id, self._task.worker, LEASE_SECONDS)
            work.commit()
        self.lost, self.cancelling = not beat.held, beat.cancelling


class _Watched(Relay):
    """Passes everything on, and stops the writing for everyone who may stop it."""

    def __init__(self, listener: Listener, hold: _Hold, stop: Callable[[], bool]) -> None:
        super().__init__(listener)
        self._hold = hold
        self._stop = stop

    def on_stage(self, stage: Stage, depth: int) -> None:
        """Pass it on; what another worker writes already isn't saved.

        Raises:
            Cancelled: the task is somebody else's.
        """
        super().on_stage(stage, depth)
        if stage == "saving":
            self._hold.look()
            if self._hold.lost:
                raise Cancelled(_LOST)

    def cancelled(self) -> bool:
        """Whether the worker stops, the task's end was asked for, or it is somebody else's."""
        return self._stop() or self._hold.lost or self._hold.cancelling or super().cancelled()


def _failed(task: Task, error: str) -> Settle:
    return lambda tasks: tasks.finish(task.id, task.worker, TaskState.FAILED, error)


def _tried(task: Task, tries: int, error: StoryloomError) -> Settle:
    """Back to the queue after a pause, unless it was the last try."""
    most = MOST_TRIES_AWAY if isinstance(error, _AWAY) else MOST_TRIES
    if tries >= most:
        return _failed(task, f"{error} {_tries(tries)}")
    pause = timedelta(seconds=pause_seconds(tries, task.id))
    return lambda tasks: tasks.put_back(task.id, task.worker, str(error), utc_now() + pause)


def _tries(count: int) -> str:
    return f"That was try {count} without a paragraph between them."


def _rest(seconds: float, stop: Callable[[], bool]) -> None:
    """Wait, unless stopped."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(min(_POLL_SECONDS, seconds))
