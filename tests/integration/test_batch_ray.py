"""Batches on a real local Ray: whole whatever is lost, and nothing of it left behind."""

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storyloom.app import wiring
from storyloom.app.batch import ray_engine
from storyloom.app.batch.ray_engine import RayEngine, RayPlan
from storyloom.app.batch.ray_replica import Replica
from storyloom.app.batch.running import Enqueued, enqueue, run
from storyloom.app.batch.snapshot import Snapshot, Watch
from storyloom.app.settings import load_settings
from storyloom.app.shelf import Shelf
from storyloom.memory.errors import EngineUnavailable, InvalidSetting, ModelUnavailable
from storyloom.memory.orders import Order, TaskState
from storyloom.storage.database import Database
from tests.stand_ins import WordEmbedder

PARAGRAPHS = 3
# Seconds a word: slow enough to be met in the middle of a paragraph.
SLOW = 0.004


def embedder(**_settings: Any) -> WordEmbedder:
    """The stand-in for MiniLM, whose load takes seconds."""
    return WordEmbedder()


class LightReplica(Replica):
    """A replica without MiniLM, in the actor's process."""

    def write(self, batch: Any) -> None:
        vars(wiring).update(MiniLMEmbedder=embedder)
        super().write(batch)


class HopelessReplica(Replica):
    """A replica whose process dies whenever it works."""

    def write(self, batch: Any) -> None:  # noqa: ARG002
        os.kill(os.getpid(), signal.SIGKILL)


class RefusingReplica(Replica):
    """A replica that can't work."""

    def write(self, batch: Any) -> None:  # noqa: ARG002
        raise ModelUnavailable("The weights are away.")


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "Replica", LightReplica)


@pytest.fixture(scope="module", autouse=True)
def token() -> Iterator[None]:
    """A secret of the tests' own: Ray would write one into the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield


@pytest.fixture(scope="module")
def cluster(token: None) -> Iterator[str]:  # noqa: ARG001  (it must know the secret)
    """The address of a Ray that was started by itself, as on the machines of a cluster."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        options = (
            "--head --block --port=0 --num-cpus=4 --object-store-memory=80000000 --include-dashboard=false "
            f"--disable-usage-stats --temp-dir={folder}"
        )
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options.split()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as head:
            assert head.stdout is not None
            yield next(
                found.group(1) for line in head.stdout if (found := re.search(r"--address='(.*)'", line))
            )
            head.stdout.close()
            head.terminate()


@pytest.fixture
def postgresql(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stories in a database that the machines of a cluster can share."""
    monkeypatch.setenv("STORYLOOM_DATABASE_URL", postgresql_url)


@pytest.fixture
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    if "postgresql" in request.fixturenames:
        request.getfixturevalue("postgresql")
    with closing(Database(load_settings().url)) as database:
        yield Shelf(database, "local")


def queue(shelf: Shelf, model: str, stories: int) -> Enqueued:
    orders = {
        f"k{place}": Order(
            story_id="", premise=f"Mara keeps lamp {place}.", model=model, seed=place, paragraphs=PARAGRAPHS
        )
        for place in range(stories)
    }
    return enqueue(shelf, "lamps", orders)


def engine(model: str, heard: list[str], workers: int = 2, **plan: Any) -> RayEngine:
    return RayEngine(
        load_settings(), [model], RayPlan(workers=workers, stories=1, **plan), on_notice=heard.append
    )


def write(
    shelf: Shelf, given: Enqueued, crew: RayEngine, on_snapshot: Callable[[Snapshot], None], **stop: Any
) -> Snapshot:
    watch = Watch(shelf.database, given.batch, given.keys)
    stopping = stop.get("stopping", lambda: False)
    return run(crew, watch, given.batch, stopping=stopping, on_snapshot=on_snapshot)


def told(shelf: Shelf, snapshot: Snapshot) -> dict[str, list[int]]:
    """The depths of each begun story's steps, whose paragraphs all differ."""
    found = {}
    with shelf.database.unit_of_work(write=False) as work:
        for story in snapshot.stories:
            if not story.steps:
                continue
            steps = work.steps.path(work.strands.main(story.task.order.story_id).id)
            assert len({step.paragraph for step in steps}) == len(steps)
            found[story.task.key] = [step.depth for step in steps]
    return found


def pids_of_writers(snapshot: Snapshot) -> list[int]:
    """A worker's name is its machine, its process and a number."""
    running = [story.task for story in snapshot.stories if story.task.state is TaskState.RUNNING]
    return [int(task.worker.split(":")[1]) for task in running]


def processes_of_ray() -> list[str]:
    """Command lines of all processes that this one's Ray has started."""
    listed = subprocess.run(["ps", "-eo", "ppid=,args="], capture_output=True, text=True, check=True)
    return [
        line for line in listed.stdout.splitlines() if line.split()[0] == str(os.getpid()) and "ray" in line
    ]


# Before any test starts one.
def test_a_cluster_that_isnt_there_is_told(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    given = queue(shelf, "starter", 1)
    monkeypatch.setenv("STORYLOOM_DATABASE_URL", "postgresql://localhost/stories")
    with pytest.raises(EngineUnavailable, match="Ray at auto can't be reached"):
        engine("starter", [], address="auto").start(given.batch)


def test_actors_write_a_batch_and_leave_nothing_behind(
    shelf: Shelf, script: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    model, handler = script(), signal.getsignal(signal.SIGTERM)
    heard: list[str] = []
    given = queue(shelf, model, 3)
    crew = engine(model, heard)
    seen: list[list[str]] = []

    def look(_snapshot: Snapshot) -> None:
        seen.append(processes_of_ray())
        assert signal.getsignal(signal.SIGTERM) is handler

    last = write(shelf, given, crew, look)
    assert last.ended
    assert told(shelf, last) == {"k0": [1, 2, 3], "k1": [1, 2, 3], "k2": [1, 2, 3]}
    assert len({story.task.worker.split(":")[1] for story in last.stories} - {str(os.getpid())}) > 0
    assert heard == []
    assert max(len(found) for found in seen) > 1
    assert seen[-1] == []
    assert list(Path("/tmp").glob("storyloom-*/session_*")) == []
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("postgresql")
def test_a_killed_actor_costs_no_step_and_doubles_none(
    cluster: str, shelf: Shelf, script: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    model = script(delay=SLOW)
    heard: list[str] = []
    killed: list[int] = []
    given = queue(shelf, model, 3)

    def kill_one(snapshot: Snapshot) -> None:
        if not killed and snapshot.stories[0].steps and pids_of_writers(snapshot):
            killed.extend(pids_of_writers(snapshot)[:1])
            os.kill(killed[0], signal.SIGKILL)

    last = write(shelf, given, engine(model, heard, address=cluster), kill_one)
    assert killed
    assert {story.task.state for story in last.stories} == {TaskState.DONE}
    assert told(shelf, last) == {"k0": [1, 2, 3], "k1": [1, 2, 3], "k2": [1, 2, 3]}
    assert [notice for notice in heard if "was lost, and another takes its place" in notice]
    assert shelf.database.check() == []
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("postgresql")
def test_a_stop_puts_the_stories_back(cluster: str, shelf: Shelf, script: Callable[..., str]) -> None:
    model = script(delay=SLOW)
    given = queue(shelf, model, 2)
    steps = [0]

    def count(snapshot: Snapshot) -> None:
        steps[0] = sum(story.steps for story in snapshot.stories)

    last = write(
        shelf, given, engine(model, [], workers=1, address=cluster), count, stopping=lambda: steps[0] > 0
    )
    assert {story.task.state for story in last.stories} == {TaskState.QUEUED}
    assert told(shelf, last)["k0"]


@pytest.mark.usefixtures("postgresql")
def test_an_actor_that_dies_again_and_again_is_given_up(
    cluster: str, shelf: Shelf, script: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "Replica", HopelessReplica)
    monkeypatch.setattr(ray_engine, "_MOST_LOSSES", 2)
    model = script()
    heard: list[str] = []
    given = queue(shelf, model, 1)
    with pytest.raises(EngineUnavailable, match="lost 3 times") as raised:
        write(shelf, given, engine(model, heard, workers=1, address=cluster), lambda _snapshot: None)
    assert "\n" not in str(raised.value)
    assert len(heard) == 2


@pytest.mark.usefixtures("postgresql")
def test_what_ends_an_actors_work_is_told_as_it_is(
    cluster: str, shelf: Shelf, script: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "Replica", RefusingReplica)
    model = script()
    given = queue(shelf, model, 1)
    with pytest.raises(ModelUnavailable) as raised:
        write(shelf, given, engine(model, [], workers=1, address=cluster), lambda _snapshot: None)
    assert str(raised.value) == "The weights are away."


def test_a_cluster_takes_no_sqlite() -> None:
    with pytest.raises(InvalidSetting, match="PostgreSQL"):
        engine("starter", [], address="auto")


def test_without_ray_the_extra_is_named(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'storyloom\[ray\]'"):
        engine("starter", []).start(queue(shelf, "starter", 1).batch)
