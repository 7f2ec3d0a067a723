"""The disk is full, the database is locked, or it is away: the work waits, and goes on when that is over."""

import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import Pool

from storyloom.memory.orders import TaskState
from storyloom.storage.database import Database
from tests.crash.batches import Ledger, assert_whole, enqueue, is_done, steps_of, tasks_of, wait_for
from tests.crash.in_threads import working
from tests.crash.slow_model import SlowModel
from tests.crash.workers import Workers
from tests.postgresql import running_server

pytestmark = pytest.mark.crash

SLOW = "scripted:0.02"
MODEL = SlowModel(SLOW, 0.02)
NO_LIMIT = 2**30


@dataclass
class Disk:
    """How many pages SQLite's file may have."""

    pages: int = NO_LIMIT


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Bounds every SQLite file of this process."""
    bounds = Disk()

    def bound(connection: DBAPIConnection, *_: object) -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute(f"PRAGMA max_page_count = {bounds.pages}")

    event.listen(Pool, "checkout", bound)
    yield bounds
    event.remove(Pool, "checkout", bound)


def test_a_full_disk_pauses_a_task_and_room_lets_it_go_on(
    disk: Disk, url: str, database: Database, tmp_path: Path
) -> None:
    orders = enqueue(database, 1, paragraphs=4, model=SLOW, folder=tmp_path)
    ledger = Ledger(database, orders)
    with working(database, MODEL, tmp_path):
        wait_for(lambda: ledger.look() == 2, "two steps")
        disk.pages = 1  # SQLite takes it for as many as there are
        wait_for(lambda: tasks_of(database)[0].state is TaskState.QUEUED, "the task's pause")
        (paused,) = tasks_of(database)
        assert "the disk is full" in paused.error
        assert paused.attempts > 0
        disk.pages = NO_LIMIT
        wait_for(lambda: is_done(database), "the end")
    ledger.look()
    assert_whole(database, url, orders)


def test_a_disk_that_takes_nothing_is_waited_for(
    url: str, database: Database, workers: Workers, tmp_path: Path
) -> None:
    orders = enqueue(database, 1, paragraphs=4, model=SLOW, folder=tmp_path)
    ledger = Ledger(database, orders)
    pid = workers.start()
    wait_for(lambda: ledger.look() == 2, "two steps")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    known = ledger.look()
    time.sleep(1.5)
    assert ledger.look() <= known + 1  # a commit may have been under way
    assert pid in workers.living()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    workers.wait()
    ledger.look()
    assert_whole(database, url, orders)


def test_a_locked_database_is_waited_for(url: str, database: Database, tmp_path: Path) -> None:
    orders = enqueue(database, 1, paragraphs=4, model=SLOW, folder=tmp_path)
    ledger = Ledger(database, orders)
    impatient = Database(url, busy_seconds=0.2)
    with closing(impatient), working(impatient, MODEL, tmp_path):
        wait_for(lambda: ledger.look() == 2, "two steps")
        with locked(database.location):
            known = ledger.look()
            time.sleep(1.5)
            assert ledger.look() == known
        wait_for(lambda: is_done(database), "the end")
    ledger.look()
    assert_whole(database, url, orders)


@pytest.mark.usefixtures("whole")
def test_workers_wait_for_a_database_that_is_locked_for_half_a_minute(
    url: str, database: Database, workers: Workers, tmp_path: Path
) -> None:
    orders = enqueue(database, 2, paragraphs=4, model=SLOW, folder=tmp_path)
    ledger = Ledger(database, orders)
    started = [workers.start() for _ in orders]
    wait_for(lambda: ledger.look() >= 2, "two steps")
    with locked(database.location):
        known = ledger.look()
        time.sleep(30.0)
        assert ledger.look() == known
        assert workers.living() == started
    workers.wait()
    ledger.look()
    assert_whole(database, url, orders)


@contextmanager
def locked(file: str) -> Iterator[None]:
    """Another program holds the file's lock until the block ends."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=10.0)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")


@pytest.fixture(params=["file", "folder"])
def place(request: pytest.FixtureRequest, database: Database, home: Path) -> Path:
    """What is moved; the folder in the whole form only."""
    if request.param == "folder":
        request.getfixturevalue("whole")
        return home
    return Path(database.location)


def test_a_database_that_is_moved_away_and_back_is_waited_for(
    place: Path, url: str, database: Database, tmp_path: Path
) -> None:
    orders = enqueue(database, 1, paragraphs=4, model=SLOW, folder=tmp_path)
    away = place.with_name("away")
    used = Database(url)
    with closing(used), working(used, MODEL, tmp_path) as told:
        wait_for(lambda: len(steps_of(database, orders[0])) == 2, "two steps")
        known = steps_of(database, orders[0])
        place.rename(away)
        used.close()  # open connections would follow the file
        time.sleep(1.0)
        assert not place.exists()
        away.rename(place)
        wait_for(lambda: is_done(database), "the end")
    assert "can't be opened" in told[0]
    assert steps_of(database, orders[0])[: len(known)] == known
    assert_whole(database, url, orders)


@pytest.mark.usefixtures("whole")
def test_a_server_that_is_stopped_and_started_is_waited_for(workers: Workers, tmp_path: Path) -> None:
    with running_server() as server:
        url = server.url(server.create())
        with closing(Database(url)) as database:
            orders = enqueue(database, 2, paragraphs=6, model=SLOW, folder=tmp_path)
            ledger = Ledger(database, orders)
            started = [workers.start(STORYLOOM_DATABASE_URL=url) for _ in orders]
            wait_for(lambda: ledger.look() >= 2, "two steps")
            with server.stopped():
                time.sleep(3.0)
                assert workers.living() == started
            workers.wait()
            ledger.look()
            assert_whole(database, url, orders)
    assert "The work goes on when it can be used again" in workers.said()
