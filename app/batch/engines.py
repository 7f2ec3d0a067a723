"""Engines: who does a batch's work, and how it is begun and stopped."""

import threading
from collections.abc import Callable
from typing import Protocol

from storyloom.app.books import Books
from storyloom.app.events import Listener
from storyloom.app.workers import Worker
from storyloom.memory.orders import Batch, Task
from storyloom.storage.database import Database

OnNotice = Callable[[str], None]


class Engine(Protocol):
    """Workers that write a batch's tasks. What they have done is read from the database."""

    def start(self, batch: Batch) -> None:
        """Begin to work until no task of the batch is left.

        Raises:
            StoryloomError: the workers can't be started.
        """
        ...

    def working(self) -> bool:
        """Whether any worker is still at it."""
        ...

    def stop(self) -> None:
        """Ask all workers to stop soon; committed steps stand, and their tasks go back to the queue."""
        ...

    def close(self) -> None:
        """Wait for the workers' end and free what they held.

        Raises:
            Exception: whatever ended a worker that shouldn't have.
        """
        ...


class LocalEngine:
    """Workers as threads of this process, which share its models.

    Args:
        database: where the queue is.
        books: writes the orders.
        workers: how many write side by side.
        on_notice: hears what a person should know, from any of the threads.
    """

    def __init__(self, database: Database, books: Books, *, workers: int, on_notice: OnNotice) -> None:
        self._database = database
        self._books = books
        self._workers = workers
        self._on_notice = on_notice
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._errors: list[Exception] = []

    def start(self, batch: Batch) -> None:
        """Begin to work until no task of the batch is left."""
        for number in range(1, self._workers + 1):
            thread = threading.Thread(
                target=self._work, args=(batch,), name=f"{batch.name}-{number}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def working(self) -> bool:
        """Whether any thread is still at it."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Ask all threads to stop between two words."""
        self._stop.set()

    def close(self) -> None:
        """Wait for the threads' end.

        Raises:
            Exception: whatever ended a thread that shouldn't have.
        """
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self, batch: Batch) -> None:
        worker = Worker(
            self._database,
            self._books,
            batch_id=batch.id,
            listener_of=lambda task: _Notices(task, self._on_notice),
            on_notice=self._on_notice,
        )
        try:
            worker.run(self._stop.is_set, until_done=True)
        except Exception as error:  # noqa: BLE001  (a thread's error is raised where it is waited for)
            self._errors.append(error)
            self._stop.set()


class _Notices(Listener):
    """Passes notices on, with the name of the story that they are about."""

    def __init__(self, task: Task, on_notice: OnNotice) -> None:
        self._task = task
        self._on_notice = on_notice

    def on_notice(self, text: str) -> None:
        """Pass it on."""
        self._on_notice(f"{self._task.key}: {text}")
