"""Several processes on one database: nobody's step is lost or doubled, and a killed one leaves no harm."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storyloom.storage.database import Database
from tests.postgresql import PostgresqlServer

# What every process starts with; each test's own lines follow. ``ready`` waits for the test's word.
PREAMBLE = """
import sys
from datetime import UTC, datetime
from storyloom.memory.errors import StepConflict
from storyloom.memory.story import *
from storyloom.storage.database import Database

url = sys.argv[1]
NOW = datetime(2024, 1, 1, tzinfo=UTC)

def say(word):
    print(word, flush=True)

def ready():
    say("ready")
    sys.stdin.readline()

def step(depth, text):
    return Step(strand_id="main", depth=depth, plan="", plan_origin=Origin.MODEL, paragraph=text,
        paragraph_origin=Origin.MODEL, memory=ShortMemory(), memory_origin=Origin.MODEL, added=(), dropped=(),
        plans=(), model="m", seed=1, sampling={}, seconds=0.0, prompt_tokens=0, completion_tokens=0,
        created_at=NOW)

def write(work, depth, text):
    work.steps.append(step(depth, text))
    work.passages.add([Passage(strand_id="main", depth=depth, text=text, vector=(1.0,), embedder="e")])
"""

MAKE_STORY = """
database = Database(url)
with database.unit_of_work() as work:
    work.stories.add(Story(id="story", owner="local", title="T", premise="P", mode=Mode.NOVEL, language="en",
        style="", outline="", authors_note="", settings={}, created_at=NOW, updated_at=NOW))
    work.strands.add(Strand(id="main", story_id="story", created_at=NOW))
    work.commit()
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind that nothing was ever written to."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'stories.sqlite3'}"
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        name = server.create(empty=True)
        yield server.url(name)
        server.drop(name)


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    """Starts processes that run the given lines, and ends what a test left running."""
    started: list[subprocess.Popen[str]] = []

    def launch(lines: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + lines, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def story(start: Start) -> None:
    maker = start(MAKE_STORY)
    maker.communicate()
    assert maker.returncode == 0


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def race(start: Start, lines: str, count: int = 2) -> list[str]:
    """What each of ``count`` processes says after all of them were let go at once."""
    racers = [start(lines) for _ in range(count)]
    for racer in racers:
        assert heard(racer) == "ready"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate()[0].strip() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * count
    return sorted(said)


def test_processes_that_open_a_fresh_database_at_once_all_find_it_ready(start: Start) -> None:
    assert race(start, "ready()\nsay(Database(url).check())", count=4) == ["[]"] * 4


@pytest.mark.usefixtures("story")
def test_of_two_that_append_the_same_step_one_is_told(start: Start, url: str) -> None:
    lines = """
database = Database(url)
with database.unit_of_work(write=False) as work:
    depth = work.steps.depth("main") + 1
ready()
try:
    with database.unit_of_work() as work:
        write(work, depth, "A paragraph.")
        work.commit()
    say("written")
except StepConflict:
    say("conflict")
"""
    assert race(start, lines) == ["conflict", "written"]
    assert depth_and_problems(url) == (1, [])


@pytest.mark.usefixtures("story")
def test_of_many_that_claim_a_strand_one_wins(start: Start) -> None:
    lines = """
import os
database = Database(url)
ready()
with database.unit_of_work() as work:
    job = work.jobs.claim("main", str(os.getpid()), 600.0)
    work.commit()
say("claimed" if job else "held")
"""
    assert race(start, lines, count=4) == ["claimed", "held", "held", "held"]


@pytest.mark.usefixtures("story")
def test_many_writers_lose_and_double_nothing(start: Start, url: str) -> None:
    lines = """
database = Database(url)
ready()
done = 0
while done < 10:
    with database.unit_of_work(write=False) as work:
        depth = work.steps.depth("main") + 1
    try:
        with database.unit_of_work() as work:
            write(work, depth, f"Paragraph {depth}.")
            work.commit()
        done += 1
    except StepConflict:
        pass
say(done)
"""
    assert race(start, lines, count=3) == ["10"] * 3
    assert depth_and_problems(url) == (30, [])


@pytest.mark.usefixtures("story")
def test_a_process_killed_inside_a_transaction_leaves_no_trace_and_no_lock(start: Start, url: str) -> None:
    holder = start("""
database = Database(url)
with database.unit_of_work() as work:
    write(work, 1, "Half of a story. " * 100_000)
    ready()
""")
    assert heard(holder) == "ready"
    holder.kill()
    holder.wait()
    assert depth_and_problems(url) == (0, [])
    writer = start("""
database = Database(url, busy_seconds=0.0)
with database.unit_of_work() as work:
    write(work, 1, "A whole paragraph.")
    work.commit()
say("written")
""")
    assert heard(writer) == "written"
    assert depth_and_problems(url) == (1, [])


@pytest.mark.usefixtures("story")
def test_a_process_killed_between_commits_loses_none_of_them(start: Start, url: str) -> None:
    writer = start("""
database = Database(url)
depth = 0
while True:
    depth += 1
    with database.unit_of_work() as work:
        write(work, depth, f"Paragraph {depth}. " * 50)
        work.commit()
    say(depth)
""")
    while heard(writer) != "20":
        pass
    writer.kill()
    writer.wait()
    depth, problems = depth_and_problems(url)
    assert problems == []
    assert depth >= 20
    database = Database(url)
    with database.unit_of_work(write=False) as work:
        assert [found for found, _ in work.steps.paragraphs("main")] == list(range(1, depth + 1))
        assert [passage.depth for passage in work.passages.of_strand("main")] == list(range(1, depth + 1))
    database.close()


def depth_and_problems(url: str) -> tuple[int, list[str]]:
    database = Database(url)
    with database.unit_of_work(write=False) as work:
        depth = work.steps.depth("main")
    problems = database.check()
    database.close()
    return depth, problems
