from datetime import UTC, datetime

import pytest

from storyloom.app.batch.report import MEASURED_WORDS, measured, report
from storyloom.app.books import Books
from storyloom.app.events import Listener
from storyloom.app.studio import Studio
from storyloom.memory.orders import Batch, Order, TaskState, queued
from storyloom.storage.database import Database

NOW = datetime(2025, 1, 2, tzinfo=UTC)
BATCH = Batch(id="batch", owner="local", name="lamps", created_at=NOW)


def queue(database: Database, **orders: Order) -> None:
    with database.unit_of_work() as work:
        work.tasks.add(
            BATCH,
            [
                queued(BATCH, task_id=key, key=key, position=place, order=order, at=NOW)
                for place, (key, order) in enumerate(orders.items())
            ],
        )
        work.commit()


def end(database: Database, state: TaskState, error: str = "") -> None:
    """The next task ends."""
    with database.unit_of_work() as work:
        task = work.tasks.claim("w", 60.0)
        assert task is not None
        assert work.tasks.finish(task.id, "w", state, error)
        work.commit()


def test_a_report_tells_what_was_asked_and_what_came(database: Database, studio: Studio) -> None:
    orders = {
        key: Order(story_id=f"story-{key}", premise=f"Mara keeps the {key} lamp.", seed=3, paragraphs=2)
        for key in ("red", "green", "blue")
    }
    queue(database, **orders)
    steps = list(Books(studio).write(orders["red"], Listener()))
    end(database, TaskState.DONE)
    next(Books(studio).write(orders["green"], Listener()))
    end(database, TaskState.FAILED, "The server is away.")
    found = report(database, BATCH, ["red", "green", "blue"])
    red, green, blue = found.stories
    assert red.story is not None
    assert red.story.id == "story-red"
    assert red.length_score == 100.0
    assert red.repetition == measured("\n\n".join(step.paragraph for step in steps))
    assert red.progress.seconds == pytest.approx(sum(step.seconds for step in steps))
    assert green.length_score == pytest.approx(50.0)
    assert green.progress.task.error == "The server is away."
    assert (blue.story, blue.repetition, blue.length_score) == (None, None, 0.0)
    assert found.failed == (green,)
    assert found.length_score == 100.0


def test_repetition_is_measured_at_a_fixed_length() -> None:
    fresh = " ".join(f"word{number}" for number in range(MEASURED_WORDS))
    assert measured(fresh).rep_4 == 0.0
    assert measured(fresh + " again" * 500) == measured(fresh)
    looping = measured("the lamp went out and came on again " * 10)
    assert looping.words == 80
    assert looping.rep_4 == pytest.approx(1 - 8 / 77)
    assert looping.rep_8 == pytest.approx(1 - 8 / 73)
    assert looping.distinct_2 == pytest.approx(8 / 79)
