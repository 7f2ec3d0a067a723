"""``batch`` as its user has it: a file is planned, written, stopped, run again, and reported on."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storyloom.app.settings import load_settings
from storyloom.app.wiring import open_works
from storyloom.memory.orders import Task
from storyloom.storage.database import Database

PARAGRAPHS = 2
# Seconds a word: slow enough to be met in the middle of a paragraph.
SLOW = 0.01
PATIENCE_SECONDS = 120.0
MAIN = "from storyloom.ui.cli import main; main()"

Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def file(tmp_path: Path, script: Callable[..., str]) -> Callable[..., Path]:
    """Writes a batch's file: three stories, each by a script that tells other paragraphs."""

    def make(head: str = "", *, delay: float = 0.0, keys: str = "lamp clock ferry") -> Path:
        stories = "\n".join(
            f"  - {{key: {key}, premise: Mara keeps the {key}., model: '{script(seed, delay=delay)}'}}"
            for seed, key in enumerate(keys.split())
        )
        path = tmp_path / "lamps.yaml"
        path.write_text(
            f"{head}\ndefaults:\n  paragraphs: {PARAGRAPHS}\n  export: out/{{key}}.md\nstories:\n{stories}\n"
        )
        return path

    return make


def tasks() -> list[Task]:
    with closing(Database(load_settings().url)) as database, database.unit_of_work(write=False) as work:
        batch = work.tasks.batch("local", "lamps")
        return work.tasks.of_batch(batch.id) if batch else []


def depths() -> dict[str, list[int]]:
    """The places of each story's steps; no paragraph stands twice."""
    found = {}
    with open_works(load_settings()) as (_, studio):
        for task in tasks():
            steps = studio.show(task.order.story_id).steps
            assert len({step.paragraph for step in steps}) == len(steps)
            found[task.key] = [step.depth for step in steps]
    return found


def events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def whole(*keys: str) -> dict[str, list[int]]:
    return {key: list(range(1, PARAGRAPHS + 1)) for key in keys}


def test_a_batch_is_written_and_run_again(cli: Any, file: Callable[..., Path], tmp_path: Path) -> None:
    batch = str(file())
    heard = events(cli("batch", batch, "--json").stdout)
    assert heard[-1]["event"] == "report"
    assert heard[-1]["totals"]["done"] == 3
    assert sum(one["event"] == "step" for one in heard) == 3 * PARAGRAPHS
    assert depths() == whole("lamp", "clock", "ferry")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clock.md", "ferry.md", "lamp.md"]

    (tmp_path / "out" / "ferry.md").unlink()
    heard = events(cli("batch", batch, "--json", "--report", str(tmp_path / "report.md")).stdout)
    assert [one["event"] for one in heard] == ["notice", "report"]
    assert (tmp_path / "out" / "ferry.md").exists()
    assert "| ferry | done |" in (tmp_path / "report.md").read_text()

    file(keys="lamp clock ferry orchard")
    said = cli("batch", batch)
    assert "orchard: done" in said.stderr
    assert "4 of 4 stories done" in said.stdout
    assert depths() == whole("lamp", "clock", "ferry", "orchard")


def test_a_plan_queues_nothing_and_knows_its_time_once_it_was_measured(
    cli: Any, file: Callable[..., Path]
) -> None:
    batch = str(file(keys="lamp"))
    [plan] = events(cli("batch", batch, "--dry-run", "--json").stdout)
    assert (plan["totals"]["steps"], plan["totals"]["seconds"]) == (PARAGRAPHS, None)
    assert plan["stories"][0]["tokens"]["prompt"] > 0
    assert tasks() == []
    cli("batch", batch)
    [plan] = events(cli("batch", batch, "--dry-run", "--json").stdout)
    assert plan["totals"]["seconds"] is not None
    assert "1 story: 2 paragraphs" in cli("batch", batch, "--dry-run").stdout


def test_every_problem_of_the_file_is_told_with_its_line(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "lamps.yaml"
    path.write_text("stories:\n  - premise: Mara.\n    paragraph: 3\n  - words: many\n")
    told = cli("batch", str(path), code=1).stderr.splitlines()
    assert [line.split(": ")[1] for line in told] == ["lamps.yaml:3", "lamps.yaml:4"]


def test_a_begun_story_isnt_changed_silently(cli: Any, file: Callable[..., Path]) -> None:
    batch = file()
    cli("batch", str(batch))
    batch.write_text(batch.read_text().replace("keeps the clock", "sells the clock"))
    assert "'clock'" in cli("batch", str(batch), code=1).stderr
    assert depths() == whole("lamp", "clock", "ferry")


def test_a_reproducible_batch_has_one_worker(cli: Any, file: Callable[..., Path]) -> None:
    told = cli("batch", str(file("reproducible: true")), "--workers", "2", code=1).stderr
    assert "Give --workers 1" in told


def test_a_stopped_batch_goes_on(cli: Any, file: Callable[..., Path], spawn: Spawn) -> None:
    batch = str(file(delay=SLOW))
    process = spawn("batch", batch, "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "step":
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert b"Go on with: storyloom batch" in told
    before = sum(map(len, depths().values()))
    assert 0 < before < 3 * PARAGRAPHS
    heard = events(cli("batch", batch, "--json").stdout)
    assert sum(one["event"] == "step" for one in heard) == 3 * PARAGRAPHS - before
    assert depths() == whole("lamp", "clock", "ferry")


def test_two_processes_write_one_batch(file: Callable[..., Path], spawn: Spawn) -> None:
    batch = str(file(delay=SLOW / 5, keys="lamp clock ferry orchard"))
    both = [spawn("batch", batch, "--workers", "1", "--json") for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE_SECONDS) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert [events(out.decode())[-1]["totals"]["done"] for out, _ in said] == [4, 4]
    assert depths() == whole("lamp", "clock", "ferry", "orchard")


@pytest.mark.model
def test_the_starter_writes_a_batch(home: Path, starter_weights: Path, tmp_path: Path) -> None:
    home.mkdir(parents=True)
    (home / "models").symlink_to(starter_weights.parent)
    path = tmp_path / "lamps.yaml"
    path.write_text(
        "defaults: {model: starter, paragraphs: 2, export: '{key}.md'}\n"
        "stories:\n"
        "  - premise: Mara keeps a lighthouse on a cliff and finds a door in the sea.\n"
        "  - premise: Otto mends the only clock of the valley, and it begins to speak.\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "batch", str(path), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = events(done.stdout)[-1]
    assert [story["steps"] for story in report["stories"]] == [2, 2]
    assert all(100 < story["words"] < 500 for story in report["stories"])
    assert all(0 < story["seconds"] < time.monotonic() - started for story in report["stories"])
    assert all((tmp_path / f"{story['key']}.md").read_text() for story in report["stories"])
