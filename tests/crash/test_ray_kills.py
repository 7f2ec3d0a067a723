"""Ray's actors are killed again and again: nothing that was committed is lost, changed or doubled."""

from pathlib import Path

import pytest

from storyloom.storage.database import Database
from tests.crash.batches import Ledger, assert_whole, enqueue, is_done, wait_for
from tests.crash.conftest import Report
from tests.crash.killing import Killing
from tests.crash.ray_crew import ray_crew

pytestmark = pytest.mark.crash

SLOW = "scripted:0.1"  # seconds a sentence: an actor takes seconds to start, and a step takes as long
STORIES = 3
SPARE = 2


@pytest.mark.usefixtures("whole")
def test_killed_actors_lose_and_double_nothing(
    url: str,
    database: Database,
    kills: int,
    tmp_path: Path,
    report: Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kills //= 4
    orders = enqueue(database, STORIES, paragraphs=4 + 2 * kills, model=SLOW, folder=tmp_path)
    with database.unit_of_work(write=False) as work:
        batch = work.tasks.batch("local", "winter")
    assert batch is not None
    ledger = Ledger(database, orders)
    killing = Killing(database, ledger, seed=kills)
    with ray_crew(batch, STORIES + SPARE, SLOW, monkeypatch) as crew:
        killing.strike(crew, kills, pause=(2.0, 6.0))
        wait_for(lambda: is_done(database), "the batch's end")
        crew.ended.wait()
    ledger.look()
    assert_whole(database, url, orders)
    report(killing.figures())
