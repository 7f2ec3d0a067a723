"""Running a batch: its file's stories into the queue, each once, and watched until they are written."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from storyloom.app.batch.engines import Engine
from storyloom.app.batch.snapshot import ENDED, Snapshot, Watch
from storyloom.app.shelf import Shelf, new_id
from storyloom.app.studio import Studio
from storyloom.memory.errors import BatchChanged, StepConflict, StoreUnavailable
from storyloom.memory.orders import Batch, Order, Task, TaskState, queued
from storyloom.storage.database import utc_now
from storyloom.storage.unit_of_work import UnitOfWork

# A watcher looks so often, and for a tenth of the time at most: a queue of thousands takes longer to read.
_LOOK_SECONDS = 0.25
_LOOKING_SHARE = 0.1
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """A batch in the queue.

    Attributes:
        batch: the batch.
        keys: its stories, in the order of the file.
        notices: what a person should know of it.
    """

    batch: Batch
    keys: tuple[str, ...]
    notices: tuple[str, ...]


def enqueue(shelf: Shelf, name: str, orders: Mapping[str, Order]) -> Enqueued:
    """Queue what a batch's file asks for, as much of it as isn't queued, written or done yet.

    A story keeps its id as long as its key stays. One that failed or was cancelled is tried again, one
    that was deleted is written anew, and one that the file names no more waits no longer.

    Args:
        shelf: whose stories these will be.
        name: the batch's.
        orders: its stories by their keys, in the order of the file, without ids.

    Raises:
        BatchChanged: a story that was begun is asked for differently now; nothing was queued.
    """
    try:
        return _enqueued(shelf, name, orders)
    except StepConflict:  # another process queued the batch at this moment, and now it is there
        return _enqueued(shelf, name, orders)


def run(
    engine: Engine,
    watch: Watch,
    batch: Batch,
    *,
    stopping: Callable[[], bool],
    on_snapshot: Callable[[Snapshot], None],
) -> Snapshot:
    """Let an engine write a batch, and tell how it goes until the engine's end.

    Args:
        engine: does the work.
        watch: of the batch.
        batch: what is written.
        stopping: asked between two looks; True stops the engine.
        on_snapshot: hears every snapshot, the first from before the start.

    Returns:
        The last snapshot.

    Raises:
        StoreUnavailable: the database can't be read; what is committed stands.
    """
    on_snapshot(watch.take())
    engine.start(batch)
    try:
        while engine.working():
            if stopping():
                engine.stop()
            started = time.monotonic()
            with suppress(StoreUnavailable):  # the workers wait for a database that is away, or end
                on_snapshot(watch.take())
            taken = time.monotonic() - started
            time.sleep(max(_LOOK_SECONDS, taken / _LOOKING_SHARE))
    except BaseException:
        engine.stop()
        raise
    engine.close()
    last = watch.take()
    on_snapshot(last)
    return last


def export_missing(studio: Studio, snapshot: Snapshot) -> list[Path]:
    """Write the files of stories that are done again where they are missing; which were written.

    Raises:
        StoryloomError, OSError: a file can't be written.
    """
    missing = [
        (story.task.order.story_id, Path(file))
        for story in snapshot.stories
        if story.task.state is TaskState.DONE
        for file in story.task.order.exports
        if not Path(file).exists()
    ]
    for story_id, file in missing:
        file.parent.mkdir(parents=True, exist_ok=True)
        studio.export(story_id, file)
    return [file for _, file in missing]


def _enqueued(shelf: Shelf, name: str, orders: Mapping[str, Order]) -> Enqueued:
    with shelf.database.unit_of_work() as work:
        batch = work.tasks.batch(shelf.owner, name)
        if batch is None:
            batch = Batch(id=new_id(), owner=shelf.owner, name=name, created_at=utc_now())
        known = {task.key: task for task in work.tasks.of_batch(batch.id)}
        changed = [key for key, task in known.items() if not _fits(work, task, orders.get(key))]
        if changed:
            raise _changed(changed)
        fresh = [
            queued(
                batch,
                task_id=new_id(),
                key=key,
                position=place,
                order=replace(order, story_id=new_id()),
                at=utc_now(),
            )
            for place, (key, order) in enumerate(orders.items())
            if key not in known
        ]
        work.tasks.add(batch, fresh)
        for key, task in known.items():
            if key in orders:
                _renew(work, task, orders[key])
        notices = _let_go(work, [task for key, task in known.items() if key not in orders])
        work.commit()
    return Enqueued(batch=batch, keys=tuple(orders), notices=notices)


def _fits(work: UnitOfWork, task: Task, asked: Order | None) -> bool:
    """Whether a task can stand for what is asked: nothing was begun, or nothing but its files changed."""
    given = task.order
    if asked is None or replace(asked, story_id=given.story_id, exports=given.exports) == given:
        return True
    return task.state is not TaskState.RUNNING and not work.stories.exists(given.story_id)


def _renew(work: UnitOfWork, task: Task, asked: Order) -> None:
    """Bring a known task up to what the file asks for now."""
    order = replace(asked, story_id=task.order.story_id)
    if order != task.order:
        work.tasks.replace(task.id, order)
    if task.state in ENDED:
        work.tasks.requeue(task.id, done=not work.stories.exists(order.story_id))


def _let_go(work: UnitOfWork, gone: Sequence[Task]) -> tuple[str, ...]:
    """End the stories that the file names no more; what is written of them stays."""
    if not gone:
        return ()
    for task in gone:
        work.tasks.cancel(task.id)
    return (
        f"The file no longer names {_named(task.key for task in gone)}: no more is written there, and what "
        "is written stays.",
    )


def _changed(keys: Sequence[str]) -> BatchChanged:
    return BatchChanged(
        f"The file asks for another text under {_named(keys)} than the one that was begun there. Give the "
        "new text a key of its own, or delete the old story (`storyloom list` shows the ids); nothing was "
        "queued."
    )


def _named(keys: Iterable[str]) -> str:
    named = list(keys)
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(repr(key) for key in named[:_MOST_NAMED]) + more
