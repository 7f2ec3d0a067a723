"""Batches for the stand-in model, and what must hold of one that was written to its end."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from storyloom.memory.orders import Batch, Order, Task, TaskState, queued
from storyloom.memory.story import PassageKind, Step
from storyloom.storage.database import Database

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
BATCH = "b-winter"
PATIENCE_SECONDS = 300.0


def enqueue(database: Database, stories: int, *, paragraphs: int, model: str, folder: Path) -> list[Order]:
    """Queue a batch; each story is exported at its end."""
    now = datetime.now(UTC)
    batch = Batch(id=BATCH, owner="local", name="winter", created_at=now)
    orders = [
        Order(
            story_id=f"winter{place:06}",
            premise=PREMISE,
            model=model,
            seed=place,
            paragraphs=paragraphs,
            exports=(str(folder / f"{place}.md"),),
        )
        for place in range(stories)
    ]
    tasks = [
        queued(batch, task_id=f"t{place}", key=f"k{place}", position=place, order=order, at=now)
        for place, order in enumerate(orders)
    ]
    with database.unit_of_work() as work:
        work.tasks.add(batch, tasks)
        work.commit()
    return orders


def tasks_of(database: Database) -> list[Task]:
    """The batch's tasks as they stand."""
    with database.unit_of_work(write=False) as work:
        return work.tasks.of_batch(BATCH)


def steps_of(database: Database, order: Order) -> list[Step]:
    """What is committed of an order's story."""
    with database.unit_of_work(write=False) as work:
        if not work.stories.exists(order.story_id):
            return []
        return work.steps.path(work.strands.main(order.story_id).id)


def wait_for(holds: Callable[[], bool], what: str) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def is_done(database: Database) -> bool:
    """Whether every task of the batch is done."""
    return all(task.state is TaskState.DONE for task in tasks_of(database))


class Ledger:
    """What was seen committed. Nothing of it may change or go."""

    def __init__(self, database: Database, orders: Sequence[Order]) -> None:
        self._database = database
        self._orders = orders
        self._seen: dict[str, list[Step]] = {}

    def look(self) -> int:
        """Compare with what was seen before, to the letter, and count the committed steps."""
        for order in self._orders:
            before = self._seen.get(order.story_id, [])
            now = steps_of(self._database, order)
            assert now[: len(before)] == before, f"what was committed of {order.story_id} is another text"
            self._seen[order.story_id] = now
        return sum(map(len, self._seen.values()))


def assert_whole(database: Database, url: str, orders: Sequence[Order]) -> None:
    """Every story is there from its first step to its last, once; the database is well."""
    assert [(task.key, task.state, task.error) for task in tasks_of(database)] == [
        (f"k{place}", TaskState.DONE, "") for place in range(len(orders))
    ]
    for order in orders:
        assert order.paragraphs is not None
        places = list(range(1, order.paragraphs + 1))
        steps = steps_of(database, order)
        assert [step.depth for step in steps] == places
        assert len({step.paragraph for step in steps}) == len(steps)
        with database.unit_of_work(write=False) as work:
            strand_id = work.strands.main(order.story_id).id
            passages = [
                passage
                for passage in work.passages.of_strand(strand_id)
                if passage.kind is PassageKind.PARAGRAPH
            ]
            explained = [depth for depth, _ in work.provenance.of_strand(strand_id)]
        assert [passage.depth for passage in passages] == places
        assert [passage.text for passage in passages] == [step.paragraph for step in steps]
        assert explained == places
        assert _jobs_done(url, strand_id) == places
        exported = Path(order.exports[0]).read_text(encoding="utf-8")
        assert all(exported.count(step.paragraph) == 1 for step in steps)
    assert database.check() == []


def _jobs_done(url: str, strand_id: str) -> list[int]:
    """Depths of the strand's jobs that ended with a committed step."""
    place = make_url(url)
    if place.get_backend_name() == "postgresql":
        place = place.set(drivername="postgresql+psycopg")
    engine = create_engine(place)
    query = text("SELECT depth FROM job WHERE strand_id = :strand AND state = 'done' ORDER BY depth")
    with engine.connect() as connection:
        found = [int(depth) for (depth,) in connection.execute(query, {"strand": strand_id})]
    engine.dispose()
    return found
