"""A seeded batch that one worker writes comes out the same, killed on its way or not."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storyloom.app.settings import load_settings
from storyloom.memory.orders import Order, TaskState
from storyloom.memory.story import Step
from storyloom.storage.database import Database
from tests.crash.batches import assert_whole, enqueue, is_done, steps_of, tasks_of, wait_for
from tests.crash.conftest import Report
from tests.crash.workers import Workers, pid_of

pytestmark = pytest.mark.crash

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# Writes a batch of so many stories and paragraphs in a data folder of its own. Its worker is killed as often
# as pauses are given: so many seconds after the last step before it.
Write = Callable[..., list[list[Step]]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Gives what is told of each story, without what differs by the clock and by chance."""
    monkeypatch.setenv("STORYLOOM_REPRODUCIBLE", "1")

    def run(
        workers: Workers, home: str, *, size: tuple[int, int], model: str, kills: Sequence[float]
    ) -> list[list[Step]]:
        stories, paragraphs = size
        models = Path(load_settings().home) / "models"
        folder = tmp_path / home
        folder.mkdir()
        if models.exists():
            (folder / "models").symlink_to(models.resolve())
        monkeypatch.setenv("STORYLOOM_HOME", str(folder))
        url = load_settings().url
        with closing(Database(url)) as database:
            orders = enqueue(database, stories, paragraphs=paragraphs, model=model, folder=folder)
            kill_while_it_writes(workers, database, orders, kills)
            workers.start()
            workers.wait()
            assert_whole(database, url, orders)
            return [
                [
                    replace(step, strand_id="", seconds=0.0, created_at=LONG_AGO)
                    for step in steps_of(database, order)
                ]
                for order in orders
            ]

    return run


def kill_while_it_writes(
    workers: Workers, database: Database, orders: Sequence[Order], kills: Sequence[float]
) -> None:
    """Start one worker after another; each is killed in the middle of a step, the last ones near the end."""
    every = sum(order.paragraphs or 0 for order in orders) // (len(kills) + 1)
    for number, pause in enumerate(kills):
        pid = workers.start()
        wait_for(lambda pid=pid: holds(database, pid), "the worker's turn")  # type: ignore[misc]
        wait_for(lambda number=number: written(database, orders) >= number * every, "more steps")  # type: ignore[misc]
        time.sleep(pause)
        assert not is_done(database), "the batch was too short"
        workers.kill(pid)


def written(database: Database, orders: Sequence[Order]) -> int:
    """How many steps are committed."""
    return sum(len(steps_of(database, order)) for order in orders)


def holds(database: Database, pid: int) -> bool:
    """Whether the process holds a task."""
    return any(task.state is TaskState.RUNNING and pid_of(task) == pid for task in tasks_of(database))


def test_a_killed_batch_tells_what_an_undisturbed_one_tells(
    workers: Workers, write: Write, kills: int, report: Report
) -> None:
    chance = random.Random(kills)
    pauses = [chance.uniform(0.0, 0.5) for _ in range(2 + kills // 20)]
    size = (2, 2 + 2 * len(pauses))
    # A reply is a hash of prompt and seed: a prompt that was put together otherwise would show.
    plain = write(workers, "plain", size=size, model="scripted:0", kills=())
    disturbed = write(workers, "disturbed", size=size, model="scripted:0.02", kills=pauses)
    unnamed = [[replace(step, model="") for step in steps] for steps in disturbed]
    assert unnamed == [[replace(step, model="") for step in steps] for steps in plain]
    report(f"{len(pauses)} kills, {size[0] * size[1]} steps the same: plans, paragraphs, memory")


@pytest.mark.model
@pytest.mark.usefixtures("whole")
def test_a_killed_batch_of_the_starter_tells_what_an_undisturbed_one_tells(
    tmp_path: Path, home: Path, starter_weights: Path, write: Write, report: Report
) -> None:
    home.mkdir()
    (home / "models").symlink_to(starter_weights.parent)
    with closing(Workers(tmp_path, real=True)) as workers:
        plain = write(workers, "plain", size=(2, 3), model="starter", kills=())
        disturbed = write(workers, "disturbed", size=(2, 3), model="starter", kills=(2.0, 8.0, 14.0))
    assert disturbed == plain
    report("3 kills of the starter, 6 steps the same: plans, paragraphs, memory")
