"""What the job system costs a step, and how many steps a second a batch of instant stories makes.

Model and embedder are stand-ins that answer at once, so that everything measured is Storyloom's own.

Overhead: the same stories of 20 steps are written twice, one after another, once by ``studio.begin`` and
``studio.write`` alone and once as a queued batch by a worker: orders, leases, heartbeat, the look before each
commit, the book's planning. A story's first step is timed from the end of the story before, so that claiming
and finishing a task count in it. Each step is compared with the same step of the other way; told are the 50th
and 95th percentile of these differences, and the difference of the two ways' own 95th percentiles.

Throughput: a batch with 8 workers, as threads of one process and as Ray actors, on SQLite and on PostgreSQL
(which waits for its disk at each commit, as SQLite does). Steps a second are those between a quarter and nine
tenths of the batch, where every worker has begun and has work left; the seconds of the whole are told beside.

``STORIES=1000 make bench NAME=batch`` is the whole size. Prints one JSON line last.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg

from storyloom.app import wiring
from storyloom.app.batch import ray_engine
from storyloom.app.batch.engines import Engine, LocalEngine
from storyloom.app.batch.ray_engine import RayEngine, RayPlan
from storyloom.app.batch.ray_replica import Replica
from storyloom.app.batch.running import enqueue, run
from storyloom.app.batch.snapshot import Snapshot, Watch
from storyloom.app.beginning import Beginning
from storyloom.app.books import Books
from storyloom.app.events import Listener
from storyloom.app.settings import Settings, load_settings
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.workers import Worker
from storyloom.memory.orders import Batch, Order
from storyloom.memory.story import Step
from tests.postgresql import PostgresqlServer, running_server
from tests.stand_ins import InstantModel, WordEmbedder

STEPS = 20
MODEL = "scripted:instant"
WINDOW = (0.25, 0.9)


class InstantReplica(Replica):
    """A replica with the stand-ins, in the actor's process."""

    def write(self, batch: Batch) -> None:
        use_stand_ins()
        super().write(batch)


class TimedBooks(Books):
    """Notes the moment of each committed step."""

    def __init__(self, studio: Studio, moments: list[float]) -> None:
        super().__init__(studio)
        self._moments = moments

    def write(self, order: Order, listener: Listener) -> Iterator[Step]:
        for step in super().write(order, listener):
            self._moments.append(time.perf_counter())
            yield step


def use_stand_ins() -> None:
    vars(wiring).update(
        load_model=lambda _spec, **_settings: InstantModel(),
        MiniLMEmbedder=lambda **_settings: WordEmbedder(),
    )


def orders(stories: int, name: str) -> dict[str, Order]:
    return {
        f"{name}{place}": Order(
            story_id="", premise=f"Mara keeps lamp {place}.", model=MODEL, seed=place, paragraphs=STEPS
        )
        for place in range(stories)
    }


def milliseconds(moments: list[float]) -> list[float]:
    return [(after - before) * 1000 for before, after in pairwise(moments)]


def alone(studio: Studio, wanted: dict[str, Order]) -> list[float]:
    """Milliseconds of each step without a queue."""
    moments = [time.perf_counter()]
    for order in wanted.values():
        beginning = Beginning(premise=order.premise, seed=order.seed)
        story = studio.begin(beginning, Listener(), model=MODEL).story
        for _ in studio.write(story.id, Listener(), paragraphs=STEPS):
            moments.append(time.perf_counter())
    return milliseconds(moments)


def queued(shelf: Shelf, studio: Studio, wanted: dict[str, Order], name: str) -> list[float]:
    """Milliseconds of each step by a worker."""
    batch = enqueue(shelf, name, wanted).batch
    moments = [time.perf_counter()]
    worker = Worker(shelf.database, TimedBooks(studio, moments), batch_id=batch.id)
    worker.run(lambda: False, until_done=True)
    return milliseconds(moments)


def overhead(settings: Settings, stories: int) -> dict[str, float]:
    with wiring.open_works(settings) as (shelf, studio):
        alone(studio, orders(1, "warm"))
        plain: list[float] = []
        through: list[float] = []
        for turn in range(stories):  # in turns, so that both meet the machine alike
            wanted = orders(1, f"t{turn}-")
            plain += alone(studio, wanted)
            through += queued(shelf, studio, wanted, f"turn {turn}")
    differences = [after - before for before, after in zip(plain, through, strict=True)]
    return {
        "steps": len(differences),
        "alone_p50_ms": round(median(plain), 2),
        "alone_p95_ms": round(p95(plain), 2),
        "queued_p50_ms": round(median(through), 2),
        "queued_p95_ms": round(p95(through), 2),
        "overhead_p50_ms": round(median(differences), 2),
        "overhead_p95_ms": round(p95(differences), 2),
        "p95_difference_ms": round(p95(through) - p95(plain), 2),
    }


def p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


def throughput(settings: Settings, stories: int, crew: Callable[[Shelf, Studio], Engine]) -> dict[str, float]:
    looks: list[tuple[float, int]] = []

    def look(snapshot: Snapshot) -> None:
        looks.append((time.perf_counter(), sum(story.steps for story in snapshot.stories)))

    with wiring.open_works(settings) as (shelf, studio):
        given = enqueue(shelf, "batch", orders(stories, "b"))
        watch = Watch(shelf.database, given.batch, given.keys)
        started = time.perf_counter()
        last = run(crew(shelf, studio), watch, given.batch, stopping=lambda: False, on_snapshot=look)
    wrong = [story.task.key for story in last.stories if story.steps != STEPS]
    assert last.ended
    assert not wrong, f"not {STEPS} steps: {wrong}"
    begun, nearly_done = (
        next(look for look in looks if look[1] >= part * stories * STEPS) for part in WINDOW
    )
    return {
        "steps_per_second": round((nearly_done[1] - begun[1]) / (nearly_done[0] - begun[0]), 1),
        "seconds_in_all": round(looks[-1][0] - started, 1),
    }


def local(workers: int) -> Callable[[Shelf, Studio], Engine]:
    return lambda shelf, studio: LocalEngine(shelf.database, Books(studio), workers=workers, on_notice=tell)


def on_ray(settings: Settings, workers: int) -> Callable[[Shelf, Studio], Engine]:
    plan = RayPlan(workers=workers, stories=1)
    return lambda _shelf, _studio: RayEngine(settings, [MODEL], plan, on_notice=tell)


def tell(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def durable_server() -> Iterator[PostgresqlServer]:
    """The tests' own PostgreSQL, which here waits for its disk."""
    with running_server() as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = on")
            connection.execute("ALTER SYSTEM SET full_page_writes = on")
            connection.execute("SELECT pg_reload_conf()")
        yield server


def measure(stories: int, workers: int, turns: int) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "stories": stories,
        "steps_a_story": STEPS,
        "workers": workers,
        "cpus": os.cpu_count(),
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, durable_server() as server:
        files = iter(range(100))

        def fresh(kind: str) -> Settings:
            home = Path(folder) / f"home{next(files)}"
            home.mkdir()
            url = "" if kind == "sqlite" else server.url(server.create())
            return load_settings(
                home=home, database_url=url, model=MODEL, models={}, profile="small", slots=workers
            )

        for kind in ("sqlite", "postgresql"):
            figures[kind] = {"overhead": overhead(fresh(kind), turns)}
            tell(f"{kind}: {figures[kind]}")
            figures[kind]["local"] = throughput(fresh(kind), stories, local(workers))
            tell(f"{kind}, threads: {figures[kind]['local']}")
            settings = fresh(kind)
            figures[kind]["ray"] = throughput(settings, stories, on_ray(settings, workers))
            tell(f"{kind}, Ray: {figures[kind]['ray']}")
            rates = [figures[kind][way]["steps_per_second"] for way in ("local", "ray")]
            figures[kind]["ray_over_local"] = round(rates[1] / rates[0], 2)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stories", type=int, default=int(os.environ.get("STORIES", "30")))
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--turns", type=int, default=6, help="stories of the overhead's measurement")
    arguments = parser.parse_args()
    use_stand_ins()
    vars(ray_engine).update(Replica=InstantReplica)
    print(json.dumps({"bench": "batch", **measure(arguments.stories, arguments.workers, arguments.turns)}))


if __name__ == "__main__":
    main()
