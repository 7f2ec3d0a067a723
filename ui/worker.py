"""``worker``: writes what is queued, until it is stopped."""

from typing import Any

import typer

from storyloom.app import weights
from storyloom.app.books import Books
from storyloom.app.offline import stay_offline
from storyloom.app.settings import Settings, load_settings
from storyloom.app.shelf import Shelf
from storyloom.app.wiring import open_works
from storyloom.app.workers import Worker
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.orders import Batch, Task, TaskState
from storyloom.ui import given, output
from storyloom.ui.fetching import fetch_missing
from storyloom.ui.stopping import Stop

_SAID = {
    TaskState.RUNNING: "is being written",
    TaskState.QUEUED: "is back in the queue",
    TaskState.DONE: "is done",
    TaskState.FAILED: "failed",
    TaskState.CANCELLED: "is cancelled",
}


def serve(*, batch: str | None, until_done: bool, as_json: bool) -> None:
    """Write the queue's texts, one after another."""
    settings = load_settings()
    with Stop() as stop, open_works(settings) as (shelf, studio):
        batch_id = None if batch is None else _batch(shelf, given.spoken(batch, "batch")).id
        specs = _models(settings, shelf, batch_id)
        stay_offline(specs)
        fetch_missing(settings, specs)
        studio.warm_up()
        worker = Worker(
            shelf.database,
            Books(studio),
            owner=shelf.owner,
            batch_id=batch_id,
            on_task=lambda task: _tell(task, as_json=as_json),
            on_notice=output.note,
        )
        output.note("Waiting for texts to write; Ctrl-C ends it.")
        stop.patient = True
        worker.run(lambda: stop.asked is not None, until_done=until_done)
        stop.patient = False
        if stop.asked is not None:
            output.note("Stopped; everything that was committed is kept, and the queue holds the rest.")
            raise typer.Exit(stop.exit_code)


def _batch(shelf: Shelf, name: str) -> Batch:
    """The owner's batch of this name.

    Raises:
        InvalidSetting: there is none.
    """
    with shelf.database.unit_of_work(write=False) as work:
        found = work.tasks.batch(shelf.owner, name)
        names = ", ".join(repr(batch.name) for batch in work.tasks.batches(shelf.owner))
    if found is None:
        raise InvalidSetting(
            f"There is no batch {name!r} in the queue. "
            + (f"These are there: {names}." if names else "`storyloom batch FILE` puts one there.")
        )
    return found


def _models(settings: Settings, shelf: Shelf, batch_id: str | None) -> list[str]:
    """SPECs of the models that the queue asks for now."""
    with shelf.database.unit_of_work(write=False) as work:
        batches = [batch.id for batch in work.tasks.batches(shelf.owner) if batch_id in {None, batch.id}]
        tasks = [task for known in batches for task in work.tasks.of_batch(known) if task.ended_at is None]
    return weights.asked(settings, (task.order for task in tasks))


def _tell(task: Task, *, as_json: bool) -> None:
    """A line of how a task stands."""
    with output.outliving_the_disk():
        (_say_as_json if as_json else _say)(task)


def _say(task: Task) -> None:
    """A line for a person."""
    why = f": {task.error}" if task.error and task.state is not TaskState.RUNNING else ""
    again = f" It is tried again after {task.not_before:%H:%M:%S} UTC." if _is_pausing(task) else ""
    output.say(f"{task.key} (story {task.order.story_id}) {_SAID[task.state]}{why}{again}")


def _say_as_json(task: Task) -> None:
    """A line for a program."""
    line: dict[str, Any] = {
        "task": task.id,
        "batch": task.batch_id,
        "key": task.key,
        "story": task.order.story_id,
        "state": task.state.value,
        "attempts": task.attempts,
        "error": task.error,
        "not_before": task.not_before.isoformat() if _is_pausing(task) else None,
    }
    output.emit(line, indent=None)


def _is_pausing(task: Task) -> bool:
    """Whether the last try failed and another one follows."""
    return task.state is TaskState.QUEUED and task.attempts > 0
