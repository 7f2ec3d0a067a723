"""``storyloom batch`` is killed and run again: it goes on where it was, and ends with the same text."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storyloom.app.settings import load_settings
from storyloom.memory.orders import Task
from storyloom.memory.story import Step
from storyloom.storage.database import Database
from tests.crash.batches import steps_of, wait_for
from tests.crash.workers import Workers

pytestmark = pytest.mark.crash

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
BATCH = """
name: lamps
reproducible: true
defaults:
  model: scripted:0.02
  paragraphs: 3
  export: "{key}.md"
stories:
  - premise: Mara keeps a lighthouse and finds a door in the sea.
  - premise: Mara mends a clock that runs backwards.
"""
STEPS = 6


def tasks(database: Database) -> list[Task]:
    with database.unit_of_work(write=False) as work:
        found = work.tasks.batch("local", "lamps")
        return work.tasks.of_batch(found.id) if found else []


def steps(database: Database) -> list[list[Step]]:
    """What is told, without what differs by the clock, by chance and by the folder."""
    return [
        [
            replace(step, strand_id="", model="", seconds=0.0, created_at=LONG_AGO)
            for step in steps_of(database, order)
        ]
        for order in (task.order for task in tasks(database))
    ]


def test_a_batch_that_was_killed_three_times_ends_with_the_same_text(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for kills in ([], [0, 2, 4]):
        home = tmp_path / f"home-{len(kills)}"
        home.mkdir()
        monkeypatch.setenv("STORYLOOM_HOME", str(home))
        file = home / "lamps.yaml"
        file.write_text(BATCH, encoding="utf-8")
        with closing(Database(load_settings().url)) as database:
            for seen in kills:
                pid = workers.start("batch", str(file))
                wait_for(lambda seen=seen: sum(map(len, steps(database))) >= seen, "steps")  # type: ignore[misc]
                workers.kill(pid)
            workers.start("batch", str(file))
            workers.wait()
            told.append(steps(database))
            assert database.check() == []
            assert len(list(home.glob("*.md"))) == len(tasks(database))
    assert told[1] == told[0]
    assert sum(map(len, told[0])) == STEPS
