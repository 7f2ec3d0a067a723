"""A clock jumps: a living worker may be taken for dead, and nothing is doubled all the same."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storyloom.storage.database import Database, utc_now
from tests.crash.batches import Ledger, assert_whole, enqueue, is_done, tasks_of, wait_for
from tests.crash.in_threads import working
from tests.crash.slow_model import SlowModel

pytestmark = pytest.mark.crash

SLOW = "scripted:0.02"
MODEL = SlowModel(SLOW, 0.02)
HOUR = timedelta(hours=1)


@dataclass
class Clock:
    """A machine's clock, and how far it is off."""

    off: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.off


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def elsewhere(url: str, clock: Clock) -> Iterator[Database]:
    """The same stories, seen from a machine whose clock jumps."""
    with closing(Database(url, clock=clock)) as opened:
        yield opened


def test_a_clock_that_jumps_ahead_and_back_doubles_nothing(
    url: str, database: Database, elsewhere: Database, clock: Clock, tmp_path: Path
) -> None:
    orders = enqueue(database, 1, paragraphs=6, model=SLOW, folder=tmp_path)
    ledger = Ledger(database, orders)
    with working(database, MODEL, tmp_path):
        wait_for(lambda: ledger.look() == 1, "a step")
        living = tasks_of(database)[0].worker
        clock.off = HOUR
        with working(elsewhere, MODEL, tmp_path):
            wait_for(lambda: tasks_of(database)[0].worker != living, "the task's other worker")
            clock.off = timedelta(0)
            wait_for(lambda: is_done(database), "the end")
    ledger.look()
    assert_whole(database, url, orders)


def test_a_clock_that_jumped_back_keeps_a_dead_worker_alive_until_it_is_right(
    url: str, database: Database, elsewhere: Database, clock: Clock, tmp_path: Path
) -> None:
    orders = enqueue(database, 1, paragraphs=2, model=SLOW, folder=tmp_path)
    with database.unit_of_work() as work:
        assert work.tasks.claim("dead", 0.5) is not None
        work.commit()
    clock.off = -HOUR
    with working(elsewhere, MODEL, tmp_path):
        time.sleep(1.0)
        assert tasks_of(database)[0].worker == "dead"
        clock.off = timedelta(0)
        wait_for(lambda: is_done(database), "the end")
    assert_whole(database, url, orders)
