"""A worker in a thread of the test, on a database and a model that the test can trouble."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storyloom.app.books import Books
from storyloom.app.workers import Worker
from storyloom.memory.ports import TextModel
from storyloom.storage.database import Database
from tests.unit.app.conftest import open_studio


@contextmanager
def working(database: Database, model: TextModel, folder: Path) -> Iterator[list[str]]:
    """A worker until the block ends; gives what it tells of itself.

    Raises:
        Exception: whatever ended the worker before.
    """
    studio = open_studio(database, model, folder)
    told: list[str] = []
    stop = threading.Event()
    ended: list[Exception] = []

    def work() -> None:
        try:
            Worker(database, Books(studio), on_notice=told.append).run(stop.is_set, until_done=False)
        except Exception as error:  # noqa: BLE001  (raised where the block ends)
            ended.append(error)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()
    if ended:
        raise ended[0]
