from dataclasses import replace
from datetime import UTC, datetime, timedelta

from storyloom.app.batch.overview import Batches
from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.memory.orders import Batch, Order, Task, TaskState, queued
from storyloom.storage.database import Database

NOW = datetime(2025, 1, 2, tzinfo=UTC)
BATCH = Batch(id="batch", owner="local", name="lamps", created_at=NOW)
PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."


def add(database: Database, batch: Batch, *keys: str) -> list[Task]:
    tasks = [
        queued(
            batch,
            task_id=f"{batch.id}-{key}",
            key=key,
            position=place,
            order=Order(story_id=f"story-{key}", premise=PREMISE, paragraphs=3),
            at=NOW,
        )
        for place, key in enumerate(keys)
    ]
    with database.unit_of_work() as work:
        work.tasks.add(batch, tasks)
        work.commit()
    return tasks


def test_the_newest_batches_come_first_with_what_their_stories_have_come_to(
    studio: Studio, database: Database
) -> None:
    add(database, BATCH, "first", "second")
    for number in range(10):
        later = NOW + timedelta(days=number + 1)
        add(database, replace(BATCH, id=f"b{number}", name=f"n{number}", created_at=later), "one")
    begun = studio.begin(Beginning(id="story-one", premise=PREMISE, title="The Lamp"), Listener()).story
    list(studio.write(begun.id, Listener()))
    found = Batches(studio.shelf).overview()
    assert [one.batch.name for one in found.snapshots] == [f"n{number}" for number in reversed(range(10))]
    assert found.left_out == 1
    assert found.titles == {"story-one": "The Lamp"}
    assert found.snapshots[0].stories[0].steps == 1


def test_a_waiting_story_is_cancelled_at_once_and_a_running_one_soon(
    studio: Studio, database: Database
) -> None:
    add(database, BATCH, "first", "second")
    with database.unit_of_work() as work:
        running = work.tasks.claim("w", 60.0)
        work.commit()
    assert running is not None
    batches = Batches(studio.shelf)
    assert batches.cancel("batch-first")
    assert batches.cancel("batch-second")
    first, second = (story.task for story in batches.overview().snapshots[0].stories)
    assert (first.state, first.cancelling) == (TaskState.RUNNING, True)
    assert second.state is TaskState.CANCELLED
    assert not batches.cancel("batch-second")
    assert not batches.cancel("nothing")


def test_another_owner_sees_and_ends_nothing(database: Database) -> None:
    add(database, BATCH, "first")
    other = Batches(Shelf(database, "tom"))
    assert other.overview().snapshots == ()
    assert not other.cancel("batch-first")
    (snapshot,) = Batches(Shelf(database, "local")).overview().snapshots
    assert snapshot.count(TaskState.QUEUED) == 1
