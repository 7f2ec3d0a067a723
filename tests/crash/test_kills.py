"""Workers are killed again and again: nothing that was committed is lost, changed or doubled."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from storyloom.app.leases import LEASE_SECONDS
from storyloom.app.settings import load_settings
from storyloom.memory.orders import Order
from storyloom.storage.database import Database, utc_now
from tests.crash.batches import Ledger, assert_whole, enqueue, is_done, steps_of, wait_for
from tests.crash.conftest import Report
from tests.crash.killing import Killing
from tests.crash.workers import Workers

pytestmark = pytest.mark.crash

SLOW = "scripted:0.02"  # seconds a sentence: half a second a step
STORIES = 6
SPARE = 2
STEPS_A_KILL = 3
FOR_A_BUSY_MACHINE = 5.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database's URL; PostgreSQL in the whole form only."""
    if request.param == "postgresql":
        request.getfixturevalue("whole")
        monkeypatch.setenv("STORYLOOM_DATABASE_URL", request.getfixturevalue("postgresql_url"))
    return load_settings().url


def test_kills_lose_and_double_nothing_and_others_go_on_soon(
    url: str, database: Database, workers: Workers, kills: int, tmp_path: Path, report: Report
) -> None:
    paragraphs = 4 + kills * STEPS_A_KILL // STORIES
    orders = enqueue(database, STORIES, paragraphs=paragraphs, model=SLOW, folder=tmp_path)
    ledger = Ledger(database, orders)
    for _ in range(STORIES + SPARE):
        workers.start()
    killing = Killing(database, ledger, seed=kills)
    killing.strike(workers, kills, pause=(0.1, 1.2))
    wait_for(lambda: is_done(database), "the batch's end")
    workers.wait()
    assert "Traceback" not in workers.said()
    ledger.look()
    assert_whole(database, url, orders)
    assert max(killing.resumed) < LEASE_SECONDS + FOR_A_BUSY_MACHINE
    report(killing.figures())


def test_the_words_of_a_killed_step_stand_in_its_journal(
    url: str, database: Database, workers: Workers, tmp_path: Path
) -> None:
    (order,) = enqueue(database, 1, paragraphs=1, model="scripted:0.2", folder=tmp_path)
    with closing(Database(url, clock=lambda: utc_now() + timedelta(minutes=1))) as later:
        pid = workers.start()
        wait_for(lambda: any(len(words.split()) > 1 for words in journals(later, order)), "words")
        (seen,) = journals(later, order)
        workers.kill(pid)
        (kept,) = journals(later, order)
    assert seen.lstrip().startswith("Mara ")
    assert kept.startswith(seen)
    assert steps_of(database, order) == []


def journals(database: Database, order: Order) -> list[str]:
    """The words of paragraphs that were broken off."""
    with database.unit_of_work(write=False) as work:
        if not work.stories.exists(order.story_id):
            return []
        return [job.journal for job in work.jobs.interrupted(work.strands.main(order.story_id).id)]
