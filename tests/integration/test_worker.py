"""``worker`` as a process: it writes what is queued, is stopped, and is killed in the middle of a step."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storyloom.app.settings import load_settings
from storyloom.app.wiring import open_works
from storyloom.memory.orders import Batch, Order, Task, TaskState, queued
from storyloom.storage.database import Database

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."
PARAGRAPHS = 4
# Seconds a word: slow enough to be met in the middle of a paragraph, fast enough to wait for four.
SLOW = 0.01
PATIENCE_SECONDS = 120.0

Spawn = Callable[..., subprocess.Popen[bytes]]


def enqueue(model: str, tasks: int = 1, name: str = "winter") -> list[Order]:
    """Queue texts in the database that the command line uses."""
    now = datetime.now(UTC)
    batch = Batch(id=f"b-{name}", owner="local", name=name, created_at=now)
    orders = [
        Order(story_id=f"{name}{place:06}", premise=PREMISE, model=model, seed=place, paragraphs=PARAGRAPHS)
        for place in range(tasks)
    ]
    made = [
        queued(batch, task_id=f"{name}{place}", key=f"k{place}", position=place, order=order, at=now)
        for place, order in enumerate(orders)
    ]
    with closing(Database(load_settings().url)) as database, database.unit_of_work() as work:
        work.tasks.add(batch, made)
        work.commit()
    return orders


def task_of(task_id: str) -> Task:
    with closing(Database(load_settings().url)) as database, database.unit_of_work(write=False) as work:
        task = work.tasks.get(task_id)
    assert task is not None
    return task


def depths(story_id: str) -> list[int]:
    with open_works(load_settings()) as (_, studio):
        steps = studio.show(story_id).steps
    assert len({step.paragraph for step in steps}) == len(steps)
    return [step.depth for step in steps]


def asked(home: Path, query: str) -> int:
    """A number from the database, read beside whoever writes to it."""
    with closing(sqlite3.connect(home / "storyloom.db")) as connection:
        return int(connection.execute(query).fetchone()[0])


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def in_a_paragraph(home: Path, steps: int) -> bool:
    """Whether that many steps are committed and words of the next one have come."""
    words = "SELECT count(*) FROM job WHERE state = 'running' AND journal != ''"
    return asked(home, "SELECT count(*) FROM step") >= steps and asked(home, words) > 0


def test_a_worker_writes_what_is_queued_and_ends(cli: Any, script: Callable[..., str]) -> None:
    orders = enqueue(script(), tasks=2)
    lines = [json.loads(line) for line in cli("worker", "--until-done", "--json").stdout.splitlines()]
    assert [(line["key"], line["state"]) for line in lines] == [
        ("k0", "running"),
        ("k0", "done"),
        ("k1", "running"),
        ("k1", "done"),
    ]
    assert {line["story"] for line in lines} == {order.story_id for order in orders}
    for order in orders:
        assert depths(order.story_id) == [1, 2, 3, 4]
    assert cli("worker", "--until-done").stdout == ""


def test_a_worker_serves_the_batch_that_was_named(cli: Any, script: Callable[..., str]) -> None:
    enqueue(script(), name="winter")
    enqueue(script(), name="spring")
    shown = cli("worker", "--batch", "spring", "--until-done").stdout.splitlines()
    assert shown == [
        "k0 (story spring000000) is being written",
        "k0 (story spring000000) is done",
    ]
    assert task_of("winter0").state is TaskState.QUEUED
    refused = cli("worker", "--batch", "autumn", code=1)
    assert "no batch 'autumn'" in refused.stderr
    assert "'spring', 'winter'" in refused.stderr


def test_a_text_that_cant_be_written_is_told_and_the_next_one_comes(
    cli: Any, script: Callable[..., str]
) -> None:
    enqueue("nonsense:x", name="bad")
    enqueue(script(), name="good")
    shown = cli("worker", "--until-done").stdout.splitlines()
    assert shown[1].startswith("k0 (story bad000000) failed: ")
    assert "nonsense:x" in shown[1]
    assert shown[-1] == "k0 (story good000000) is done"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_gives_the_text_back_and_keeps_its_words(
    number: signal.Signals, code: int, cli: Any, script: Callable[..., str], spawn: Spawn, home: Path
) -> None:
    (order,) = enqueue(script(delay=SLOW))
    process = spawn("worker")
    wait_for(lambda: in_a_paragraph(home, 1), "words after a step")
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, err.decode()
    assert out.decode().splitlines()[-1] == f"k0 (story {order.story_id}) is back in the queue"
    task = task_of("winter0")
    assert (task.state, task.attempts) == (TaskState.QUEUED, 0)
    (journal,) = cli.json("show", order.story_id, "--journal")["journals"]
    assert journal["state"] == "interrupted"
    cli("worker", "--until-done")
    assert depths(order.story_id) == [1, 2, 3, 4]


def test_after_a_kill_another_worker_loses_no_step_and_doubles_none(
    cli: Any, script: Callable[..., str], spawn: Spawn, home: Path
) -> None:
    (order,) = enqueue(script(delay=SLOW))
    killed = spawn("worker")
    wait_for(lambda: in_a_paragraph(home, 2), "words after two steps")
    second = spawn("worker", "--until-done")
    killed.kill()
    killed.communicate()
    kept = cli.json("show", order.story_id)["steps"]
    died = task_of("winter0")
    assert died.state is TaskState.RUNNING
    assert (died.lease_until - datetime.now(UTC)).total_seconds() < 5
    _, err = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, err.decode()
    task = task_of("winter0")
    assert task.state is TaskState.DONE
    assert task.worker != died.worker
    assert depths(order.story_id) == [1, 2, 3, 4]
    assert cli.json("show", order.story_id)["steps"][: len(kept)] == kept
    with closing(Database(load_settings().url)) as database:
        assert database.check() == []
