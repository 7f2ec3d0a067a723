"""Workers are killed again and again: nothing that was committed is lost, changed or doubled."""

from pathlib import Path

import pytest

from storyloom.app.leases import LEASE_SECONDS
from storyloom.app.settings import load_settings
from storyloom.storage.database import Database
from tests.crash.batches import Ledger, assert_whole, enqueue, is_done, wait_for
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
