from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storyloom.app.batch.engines import LocalEngine
from storyloom.app.batch.running import Enqueued, enqueue, export_missing, run
from storyloom.app.batch.snapshot import Snapshot, Watch
from storyloom.app.books import Books
from storyloom.app.events import Listener
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.memory.errors import BatchChanged, StoreUnavailable
from storyloom.memory.orders import Batch, Order, Task, TaskState
from storyloom.memory.story import Step
from storyloom.storage.database import Database


def orders(*keys: str, paragraphs: int = 2) -> dict[str, Order]:
    return {
        key: Order(story_id="", premise=f"Mara keeps the {key} lamp.", seed=3, paragraphs=paragraphs)
        for key in keys
    }


@pytest.fixture
def shelf(database: Database) -> Shelf:
    return Shelf(database, "local")


@pytest.fixture
def write(shelf: Shelf, studio: Studio) -> Callable[..., Snapshot]:
    """Writes a batch to its end; gives its last snapshot."""

    def end(given: Enqueued, *, workers: int = 1) -> Snapshot:
        engine = LocalEngine(shelf.database, Books(studio), workers=workers, on_notice=lambda _text: None)
        watch = Watch(shelf.database, given.batch, given.keys)
        return run(engine, watch, given.batch, stopping=lambda: False, on_snapshot=lambda _snapshot: None)

    return end


def tasks(shelf: Shelf, name: str = "lamps") -> dict[str, Task]:
    with shelf.database.unit_of_work(write=False) as work:
        batch = work.tasks.batch(shelf.owner, name)
        assert batch is not None
        return {task.key: task for task in work.tasks.of_batch(batch.id)}


def paragraphs(studio: Studio, task: Task) -> list[str]:
    return [step.paragraph for step in studio.show(task.order.story_id).steps]


def test_several_workers_write_every_story_once(
    shelf: Shelf, studio: Studio, write: Callable[..., Snapshot]
) -> None:
    given = enqueue(shelf, "lamps", orders("red", "green", "blue"))
    last = write(given, workers=2)
    assert last.ended
    assert [(story.task.key, story.task.state, story.steps) for story in last.stories] == [
        ("red", TaskState.DONE, 2),
        ("green", TaskState.DONE, 2),
        ("blue", TaskState.DONE, 2),
    ]
    assert len({task.order.story_id for task in tasks(shelf).values()}) == 3
    assert len(studio.stories()) == 3


def test_queued_again_nothing_is_new_and_nothing_is_redone(
    shelf: Shelf, studio: Studio, write: Callable[..., Snapshot]
) -> None:
    first = enqueue(shelf, "lamps", orders("red"))
    write(first)
    before = tasks(shelf)
    told = paragraphs(studio, before["red"])
    again = enqueue(shelf, "lamps", orders("red", "green"))
    assert again.batch == first.batch
    assert again.notices == ()
    write(again)
    after = tasks(shelf)
    assert after["red"] == before["red"]
    assert paragraphs(studio, after["red"]) == told
    assert after["green"].state is TaskState.DONE


def test_owners_and_names_keep_batches_apart(shelf: Shelf) -> None:
    ids = {
        enqueue(one, name, orders("red")).batch.id
        for one in (shelf, shelf.of_owner("mara"))
        for name in ("lamps", "doors")
    }
    assert len(ids) == 4


def test_an_order_changes_until_it_is_begun(
    shelf: Shelf, studio: Studio, write: Callable[..., Snapshot]
) -> None:
    enqueue(shelf, "lamps", orders("red", paragraphs=5))
    kept = tasks(shelf)["red"].order.story_id
    given = enqueue(shelf, "lamps", orders("red", paragraphs=1))
    assert tasks(shelf)["red"].order.paragraphs == 1
    assert tasks(shelf)["red"].order.story_id == kept
    write(given)
    with pytest.raises(BatchChanged, match="'red'"):
        enqueue(shelf, "lamps", orders("red", "green", paragraphs=3))
    assert set(tasks(shelf)) == {"red"}
    studio.delete(kept)
    write(enqueue(shelf, "lamps", orders("red", paragraphs=3)))
    assert len(paragraphs(studio, tasks(shelf)["red"])) == 3


def test_a_running_order_cant_change(shelf: Shelf) -> None:
    enqueue(shelf, "lamps", orders("red"))
    with shelf.database.unit_of_work() as work:
        work.tasks.claim("w", 60.0)
        work.commit()
    with pytest.raises(BatchChanged, match="key of its own"):
        enqueue(shelf, "lamps", orders("red", paragraphs=3))
    enqueue(shelf, "lamps", orders("red"))
    assert tasks(shelf)["red"].state is TaskState.RUNNING


def test_a_deleted_story_is_written_anew(
    shelf: Shelf, studio: Studio, write: Callable[..., Snapshot]
) -> None:
    write(enqueue(shelf, "lamps", orders("red")))
    red = tasks(shelf)["red"]
    told = paragraphs(studio, red)
    studio.delete(red.order.story_id)
    assert write(enqueue(shelf, "lamps", orders("red"))).stories[0].steps == 2
    assert paragraphs(studio, tasks(shelf)["red"]) == told  # equal orders, equal text


@pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.CANCELLED])
def test_what_failed_is_tried_again(shelf: Shelf, state: TaskState) -> None:
    enqueue(shelf, "lamps", orders("red"))
    with shelf.database.unit_of_work() as work:
        task = work.tasks.claim("w", 60.0)
        assert task is not None
        work.tasks.finish(task.id, "w", state, "The server is away.")
        work.commit()
    enqueue(shelf, "lamps", orders("red"))
    again = tasks(shelf)["red"]
    assert (again.state, again.error, again.attempts) == (TaskState.QUEUED, "", 0)


def test_stories_that_left_the_file_wait_no_longer_and_can_come_back(
    shelf: Shelf, studio: Studio, write: Callable[..., Snapshot]
) -> None:
    write(enqueue(shelf, "lamps", orders("red")))
    enqueue(shelf, "lamps", orders("red", "green"))
    given = enqueue(shelf, "lamps", orders("blue"))
    (notice,) = given.notices
    assert "'red', 'green'" in notice
    assert given.keys == ("blue",)
    write(given)
    states = {key: task.state for key, task in tasks(shelf).items()}
    assert states == {"red": TaskState.DONE, "green": TaskState.CANCELLED, "blue": TaskState.DONE}
    assert len(paragraphs(studio, tasks(shelf)["red"])) == 2
    write(enqueue(shelf, "lamps", orders("red", "green", "blue")))
    assert tasks(shelf)["green"].state is TaskState.DONE


def test_exports_may_change_and_missing_ones_are_written_again(
    shelf: Shelf, studio: Studio, write: Callable[..., Snapshot], tmp_path: Path
) -> None:
    first, second = tmp_path / "red.md", tmp_path / "books" / "red.txt"

    def to(*files: Path) -> dict[str, Order]:
        premise = "Mara keeps the red lamp."
        return {
            "red": Order(
                story_id="", premise=premise, seed=3, paragraphs=1, exports=tuple(str(file) for file in files)
            )
        }

    done = write(enqueue(shelf, "lamps", to(first)))
    assert first.is_file()
    assert export_missing(studio, done) == []
    first.unlink()
    given = enqueue(shelf, "lamps", to(first, second))
    again = Watch(shelf.database, given.batch, given.keys).take()
    assert again.ended
    assert export_missing(studio, again) == [first, second]
    assert paragraphs(studio, tasks(shelf)["red"])[0] in second.read_text(encoding="utf-8")


def test_a_stop_puts_stories_back_and_the_next_run_goes_on(shelf: Shelf, studio: Studio) -> None:
    given = enqueue(shelf, "lamps", orders("red", "green", paragraphs=300))
    watch = Watch(shelf.database, given.batch, given.keys)
    steps = [0]
    for _ in range(2):
        seen: list[Snapshot] = []
        engine = LocalEngine(shelf.database, Books(studio), workers=2, on_notice=lambda _text: None)

        def grown(seen: list[Snapshot] = seen) -> bool:
            return bool(seen) and seen[-1].stories[0].steps > steps[-1]

        last = run(engine, watch, given.batch, stopping=grown, on_snapshot=seen.append)
        assert not last.ended
        assert [story.task.state for story in last.stories] == [TaskState.QUEUED] * 2
        assert last.stories[0].steps == len(paragraphs(studio, last.stories[0].task))
        steps.append(last.stories[0].steps)
    assert 0 < steps[1] < steps[2]


def test_a_batch_outlives_a_database_that_cant_be_read_for_a_while(
    shelf: Shelf, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = enqueue(shelf, "lamps", orders("red"))
    watch = Watch(shelf.database, given.batch, given.keys)
    take, looks = watch.take, iter(range(1_000))

    def sometimes() -> Snapshot:
        if next(looks) == 1:
            raise StoreUnavailable("The database is away.")
        return take()

    monkeypatch.setattr(watch, "take", sometimes)
    engine = LocalEngine(shelf.database, Books(studio), workers=1, on_notice=lambda _text: None)
    assert run(engine, watch, given.batch, stopping=lambda: False, on_snapshot=lambda _snapshot: None).ended


def test_notices_name_their_story(shelf: Shelf, studio: Studio) -> None:
    class Noticing(Books):
        def write(self, order: Order, listener: Listener) -> Iterator[Step]:
            listener.on_notice("The outline was shortened.")
            return super().write(order, listener)

    given = enqueue(shelf, "lamps", orders("red", paragraphs=1))
    heard: list[str] = []
    engine = LocalEngine(shelf.database, Noticing(studio), workers=1, on_notice=heard.append)
    engine.start(given.batch)
    engine.close()
    assert "red: The outline was shortened." in heard


def test_what_ends_a_thread_ends_the_batch(
    shelf: Shelf, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_named: object) -> None:
        raise ZeroDivisionError("a fault in the program")

    monkeypatch.setattr("storyloom.app.workers.Worker.run", broken)
    batch: Batch = enqueue(shelf, "lamps", orders("red")).batch
    engine = LocalEngine(shelf.database, Books(studio), workers=2, on_notice=lambda _text: None)
    engine.start(batch)
    with pytest.raises(ZeroDivisionError):
        engine.close()
    assert not engine.working()
