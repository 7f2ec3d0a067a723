"""Commands as processes: stopped, killed in the middle of a step, and two at once."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storyloom.app.settings import load_settings
from storyloom.app.wiring import open_studio
from storyloom.memory.story import JobState

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."
# A word each quarter of a second: a paragraph that lasts until somebody ends it.
SLOW = 0.25
PATIENCE_SECONDS = 120.0

Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def story(cli: Any, script: Callable[..., str]) -> str:
    """Id of a story of one step."""
    document = cli.json("write", PREMISE, "--paragraphs", "1", "--model", script())
    return str(document["story"]["id"])


def wait_for(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds, however slow the machine is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def lease(home: Path) -> tuple[str, str] | None:
    """Journal and end of the lease of the step that is being written."""
    with closing(sqlite3.connect(home / "storyloom.db")) as connection:
        row = connection.execute("SELECT journal, lease_until FROM job WHERE state = 'running'").fetchone()
    return (str(row[0]), str(row[1])) if row else None


def journalled(home: Path) -> str:
    """The words that came so far of the paragraph that is being written."""
    held = lease(home)
    return held[0] if held else ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_paragraph_keeps_its_words_beside_the_story(
    number: signal.Signals,
    code: int,
    cli: Any,
    script: Callable[..., str],
    spawn: Spawn,
    story: str,
    home: Path,
) -> None:
    process = spawn("continue", story, "--plan", "Mara waits.", "--model", script(2, delay=SLOW), "--json")
    wait_for(lambda: len(journalled(home).split()) > 3, "words in the journal")
    os.kill(process.pid, number)
    out, err = process.communicate()
    assert process.returncode == code, err.decode()
    told = err.decode().strip().splitlines()[-1]
    assert "0 of 1 paragraphs" in told
    assert "paragraph in flight" in told
    assert json.loads(out)["steps"] == []
    (journal,) = cli.json("show", story, "--journal")["journals"]
    assert (journal["depth"], journal["plan"], journal["state"]) == (2, "Mara waits.", "interrupted")
    assert len(journal["text"].split()) > 3
    assert len(cli.json("show", story)["steps"]) == 1
    assert "--journal" in cli("show", story).stderr
    assert journal["text"] in cli("show", story, "--journal").stdout
    # The place is free at once, and once it is filled the journal is history.
    cli("continue", story, "--model", script(3))
    assert "--journal" not in cli("show", story).stderr


def test_a_signal_before_any_word_stops_at_once(
    cli: Any, script: Callable[..., str], spawn: Spawn, story: str, home: Path
) -> None:
    endless = script(2, delay=PATIENCE_SECONDS)
    process = spawn("continue", story, "--plan", "Mara waits.", "--model", endless)
    wait_for(lambda: lease(home) is not None, "a running job")
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_SECONDS / 2)
    assert process.returncode == 130
    assert "0 of 1 paragraphs" in err.decode()
    assert cli.json("show", story, "--journal") == {"journals": []}
    assert len(cli.json("show", story)["steps"]) == 1


def test_a_kill_loses_no_step_and_doubles_none(
    cli: Any, script: Callable[..., str], spawn: Spawn, story: str, home: Path
) -> None:
    process = spawn("continue", story, "--plan", "Mara waits.", "--model", script(2, delay=SLOW))
    wait_for(lambda: len(journalled(home).split()) > 3, "words in the journal")
    process.kill()
    process.communicate()
    held = lease(home)
    assert held is not None
    words, until = held
    # The dead process's lease ends within five seconds, whoever waits for it.
    assert datetime.fromisoformat(until).replace(tzinfo=UTC) < datetime.now(UTC) + timedelta(seconds=5)
    done = cli("continue", story, "--paragraphs", "3", "--model", script(3), "--json")
    assert [step["depth"] for step in json.loads(done.stdout)["steps"]] == [2, 3, 4]
    steps = cli.json("show", story)["steps"]
    assert [step["depth"] for step in steps] == [1, 2, 3, 4]
    assert len({step["paragraph"] for step in steps}) == 4
    (journal,) = cli.json("show", story, "--journal")["journals"]
    assert journal["text"].startswith(words)
    assert all(journal["text"] not in step["paragraph"] for step in steps)
    with open_studio(load_settings()) as studio:
        assert [job.state for job in studio.interrupted(story)] == [JobState.INTERRUPTED]


def test_two_at_once_share_the_strand(cli: Any, script: Callable[..., str], spawn: Spawn, story: str) -> None:
    both = [
        spawn("continue", story, "--paragraphs", "3", "--json", "--model", script(seed, delay=0.002))
        for seed in (2, 3)
    ]
    written = []
    for process in both:
        out, err = process.communicate()
        assert process.returncode == 0, err.decode()
        written.append(json.loads(out)["steps"])
    assert [len(steps) for steps in written] == [3, 3]
    steps = cli.json("show", story)["steps"]
    assert [step["depth"] for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    told = sorted((step for steps in written for step in steps), key=lambda step: step["depth"])
    assert told == steps[1:]
    assert len({step["paragraph"] for step in steps}) == 7
