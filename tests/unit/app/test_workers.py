"""Workers: a task is written to its end, goes back, or ends, and the queue always says which."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storyloom.app import workers
from storyloom.app.books import Books
from storyloom.app.events import Cancelled, Listener
from storyloom.app.studio import Studio
from storyloom.app.workers import MOST_TRIES, MOST_TRIES_AWAY, Worker, pause_seconds
from storyloom.memory.errors import (
    ImportRefused,
    InvalidSetting,
    InvalidText,
    ModelFailed,
    ModelUnavailable,
    PromptTooLong,
    StoreUnavailable,
    StoryloomError,
    StoryNotFound,
    UnsupportedRequest,
)
from storyloom.memory.orders import Batch, Order, Task, TaskState, queued
from storyloom.memory.story import Step
from storyloom.storage.database import Database, utc_now
from storyloom.storage.unit_of_work import UnitOfWork
from tests.stand_ins import InstantModel
from tests.unit.app.conftest import open_studio

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
PATIENCE_SECONDS = 30.0
Deed = Callable[[Listener], None]


def never() -> bool:
    return False


@dataclass
class Script:
    """Stands for ``Books``: each call of ``write`` does the next deeds, and yields a step after each."""

    tries: list[Sequence[Deed]]
    orders: list[Order] = field(default_factory=list)

    def write(self, order: Order, listener: Listener) -> Iterator[Step]:
        self.orders.append(order)
        for deed in self.tries.pop(0):
            deed(listener)
            yield STEP


STEP: Any = object()


def fine(_listener: Listener) -> None:
    """A step that comes to nothing bad."""


def failing(error: BaseException) -> Deed:
    def deed(_listener: Listener) -> None:
        raise error

    return deed


def writing_until_cancelled(listener: Listener) -> None:
    """A paragraph without an end."""
    waited = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.01)):
        if listener.cancelled():
            raise Cancelled("stopped")
        waited.wait(0.01)
    pytest.fail("nobody stopped the writing")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests wait for nothing."""
    monkeypatch.setattr(workers, "pause_seconds", lambda _attempt, _what: 0.0)
    monkeypatch.setattr(workers, "_POLL_SECONDS", 0.01)


@pytest.fixture
def batch(database: Database) -> Batch:
    """A batch of one task."""
    return enqueue(database, 1)


@pytest.fixture
def elsewhere(database: Database, model: InstantModel, tmp_path: Path) -> Iterator[tuple[Database, Studio]]:
    """Another machine on the same database, whose clock is a minute ahead: all others look dead to it."""
    ahead = Database(f"sqlite:///{database.location}", clock=lambda: utc_now() + timedelta(minutes=1))
    yield ahead, open_studio(ahead, model, tmp_path)
    ahead.close()


def enqueue(database: Database, tasks: int, **fields: Any) -> Batch:
    now = datetime.now(UTC)
    batch = Batch(id="b1", owner="local", name="winter", created_at=now)
    made = [
        queued(
            batch,
            task_id=f"t{number}",
            key=f"k{number}",
            position=number,
            order=Order(story_id=f"story{number:07}", premise=PREMISE, paragraphs=3, seed=7, **fields),
            at=now,
        )
        for number in range(tasks)
    ]
    with database.unit_of_work() as work:
        work.tasks.add(batch, made)
        work.commit()
    return batch


def task_of(database: Database, task_id: str = "t0") -> Task:
    with database.unit_of_work(write=False) as work:
        task = work.tasks.get(task_id)
    assert task is not None
    return task


def change(database: Database, action: Callable[[UnitOfWork], object]) -> None:
    with database.unit_of_work() as work:
        action(work)
        work.commit()


def taken_over(database: Database) -> None:
    """The worker's lease runs out, and another worker takes the task."""
    holder = task_of(database).worker

    def act(work: UnitOfWork) -> None:
        work.tasks.heartbeat("t0", holder, -1.0)
        assert work.tasks.claim("another", 60.0) is not None

    change(database, act)


def test_tasks_are_written_one_after_another_to_their_end(database: Database, studio: Studio) -> None:
    enqueue(database, 2)
    heard: list[tuple[str, TaskState]] = []
    worker = Worker(database, Books(studio), on_task=lambda task: heard.append((task.key, task.state)))
    worker.run(never, until_done=True)
    assert heard == [
        ("k0", TaskState.RUNNING),
        ("k0", TaskState.DONE),
        ("k1", TaskState.RUNNING),
        ("k1", TaskState.DONE),
    ]
    for task in (task_of(database), task_of(database, "t1")):
        assert [step.depth for step in studio.show(task.order.story_id).steps] == [1, 2, 3]


def test_workers_share_a_queue_and_no_story_is_written_twice(database: Database, studio: Studio) -> None:
    enqueue(database, 6)
    threads = [
        threading.Thread(
            target=Worker(database, Books(studio)).run, args=(never,), kwargs={"until_done": True}
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    with database.unit_of_work(write=False) as work:
        tasks = work.tasks.of_batch("b1")
    assert {task.state for task in tasks} == {TaskState.DONE}
    for task in tasks:
        assert [step.depth for step in studio.show(task.order.story_id).steps] == [1, 2, 3]


def test_only_the_batch_that_was_named_is_served(database: Database, batch: Batch) -> None:
    Worker(database, Script([]), batch_id="other").run(never, until_done=True)
    Worker(database, Script([]), owner="somebody").run(never, until_done=True)
    assert task_of(database).state is TaskState.QUEUED
    Worker(database, Script([[fine]]), owner="local", batch_id=batch.id).run(never, until_done=True)
    assert task_of(database).state is TaskState.DONE


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize(
    "error",
    [
        InvalidText("empty"),
        InvalidSetting("bad"),
        UnsupportedRequest("no schema"),
        ImportRefused("malformed"),
        PromptTooLong("too long"),
        StoryNotFound("somebody else's"),
    ],
)
def test_what_another_try_would_meet_again_fails_at_once(database: Database, error: Exception) -> None:
    Worker(database, Script([[failing(error)]])).run(never, until_done=True)
    task = task_of(database)
    assert (task.state, task.error) == (TaskState.FAILED, str(error))


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize(
    "error", [ModelFailed("cut"), ModelUnavailable("server down"), StoreUnavailable("disk full")]
)
def test_a_try_that_failed_is_made_again(database: Database, error: Exception) -> None:
    heard: list[tuple[TaskState, int, str]] = []
    script = Script([[failing(error)], [failing(error)], [fine, fine]])
    Worker(database, script, on_task=lambda task: heard.append((task.state, task.attempts, task.error))).run(
        never, until_done=True
    )
    assert heard == [
        (TaskState.RUNNING, 0, ""),
        (TaskState.QUEUED, 1, str(error)),
        (TaskState.RUNNING, 1, str(error)),
        (TaskState.QUEUED, 2, str(error)),
        (TaskState.RUNNING, 2, str(error)),
        (TaskState.DONE, 0, ""),
    ]


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize(
    ("error", "most"), [(ModelFailed("cut"), MOST_TRIES), (ModelUnavailable("cut"), MOST_TRIES_AWAY)]
)
def test_tries_without_a_step_between_them_come_to_an_end(
    database: Database, error: StoryloomError, most: int
) -> None:
    bad = [failing(error)]
    script = Script([*[bad] * (most - 1), [fine, *bad], *[bad] * (most - 1)])
    Worker(database, script).run(never, until_done=True)
    task = task_of(database)
    assert task.state is TaskState.FAILED
    assert task.error.startswith(f"cut That was try {most}")
    assert script.tries == []


@pytest.mark.usefixtures("batch")
def test_a_task_that_kills_its_workers_comes_to_an_end(database: Database) -> None:
    for _ in range(MOST_TRIES_AWAY):  # the first claim is of a task that nobody had
        change(database, lambda work: work.tasks.claim("one that dies", 0.0))
    script = Script([])
    Worker(database, script).run(never, until_done=True)
    task = task_of(database)
    assert task.state is TaskState.FAILED
    assert task.error == (
        "The worker that wrote it ended without a word. "
        f"That was try {MOST_TRIES_AWAY} without a paragraph between them."
    )
    assert script.orders == []


def test_a_fault_of_ours_fails_its_task_and_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    enqueue(database, 2)
    Worker(database, Script([[failing(RuntimeError("odd"))], [fine]])).run(never, until_done=True)
    task = task_of(database)
    assert (task.state, task.error) == (
        TaskState.FAILED,
        "Something unexpected went wrong: RuntimeError: odd",
    )
    assert task_of(database, "t1").state is TaskState.DONE
    assert "k0" in caplog.text


@pytest.mark.usefixtures("batch")
def test_a_stopped_worker_gives_its_task_back_uncounted(database: Database) -> None:
    stopped = threading.Event()

    def deed(listener: Listener) -> None:
        stopped.set()
        writing_until_cancelled(listener)

    Worker(database, Script([[deed]])).run(stopped.is_set, until_done=False)
    task = task_of(database)
    assert (task.state, task.attempts, task.error) == (TaskState.QUEUED, 0, "")


@pytest.mark.usefixtures("batch")
def test_an_interrupted_worker_gives_its_task_back(database: Database) -> None:
    with pytest.raises(KeyboardInterrupt):
        Worker(database, Script([[fine, failing(KeyboardInterrupt())]])).run(never, until_done=True)
    assert task_of(database).state is TaskState.QUEUED


@pytest.mark.usefixtures("batch")
def test_a_task_that_is_cancelled_ends_while_it_is_written(database: Database) -> None:
    def deed(listener: Listener) -> None:
        change(database, lambda work: work.tasks.cancel("t0"))
        writing_until_cancelled(listener)

    Worker(database, Script([[fine, deed]])).run(never, until_done=True)
    assert task_of(database).state is TaskState.CANCELLED


@pytest.mark.usefixtures("batch")
def test_a_worker_that_lost_its_lease_stops_and_leaves_the_task_alone(database: Database) -> None:
    stopped = threading.Event()

    def deed(listener: Listener) -> None:
        taken_over(database)
        try:
            writing_until_cancelled(listener)
        finally:
            stopped.set()

    Worker(database, Script([[deed]])).run(stopped.is_set, until_done=False)
    task = task_of(database)
    assert (task.state, task.worker) == (TaskState.RUNNING, "another")


def test_a_clock_ahead_takes_a_text_over_and_the_other_saves_nothing_more(
    database: Database, studio: Studio, elsewhere: tuple[Database, Studio]
) -> None:
    enqueue(database, 1)
    order = task_of(database).order
    theirs: list[Step] = []

    class Interrupted(Listener):
        def on_text(self, text: str) -> None:  # noqa: ARG002
            if not theirs:
                Worker(elsewhere[0], Books(elsewhere[1])).run(never, until_done=True)
                theirs.extend(elsewhere[1].show(order.story_id).steps)

    Worker(database, Books(studio), listener_of=lambda _task: Interrupted()).run(never, until_done=True)
    assert [step.depth for step in theirs] == [1, 2, 3]
    assert list(studio.show(order.story_id).steps) == theirs
    assert task_of(database).state is TaskState.DONE


def test_of_two_who_write_the_same_place_one_commits(
    database: Database, studio: Studio, elsewhere: tuple[Database, Studio]
) -> None:
    """Even with no task between them, each sure that the other is dead."""
    enqueue(database, 1)
    order = task_of(database).order
    theirs = Books(elsewhere[1]).write(order, Listener())
    met: list[Step] = []

    class Interrupted(Listener):
        def on_text(self, text: str) -> None:  # noqa: ARG002
            if not met:
                met.append(next(theirs))

    mine = list(Books(studio).write(order, Interrupted()))
    assert [step.depth for step in (*met, *mine)] == [1, 2, 3]
    assert list(studio.show(order.story_id).steps) == [*met, *mine]
    assert list(theirs) == []


@pytest.mark.usefixtures("batch")
def test_a_database_that_is_away_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[str] = []
    opened = database.unit_of_work
    away = iter([True] * 3)

    def unit_of_work(*, write: bool = True) -> UnitOfWork:
        if next(away, False):
            raise StoreUnavailable("The database is locked.")
        return opened(write=write)

    def deed(_listener: Listener) -> None:
        nonlocal away
        away = iter([True] * 3)  # gone again, as the task is done

    monkeypatch.setattr(database, "unit_of_work", unit_of_work)
    Worker(database, Script([[deed]]), on_notice=notices.append).run(never, until_done=True)
    monkeypatch.undo()
    assert task_of(database).state is TaskState.DONE
    assert notices == ["The database is locked. The work goes on when it can be used again."] * 2


@pytest.mark.usefixtures("batch")
def test_a_worker_can_be_stopped_while_the_database_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter([False] * 5)

    def unit_of_work(*, write: bool = True) -> UnitOfWork:
        raise StoreUnavailable(f"The database is locked ({write}).")

    monkeypatch.setattr(database, "unit_of_work", unit_of_work)
    Worker(database, Script([])).run(lambda: next(asked, True), until_done=True)
    monkeypatch.undo()
    assert task_of(database).state is TaskState.QUEUED


@pytest.mark.usefixtures("batch")
def test_a_dead_workers_task_is_taken_up(database: Database) -> None:
    def die(work: UnitOfWork) -> None:
        assert work.tasks.claim("dead", -1.0) is not None

    change(database, die)
    Worker(database, Script([[fine]])).run(never, until_done=True)
    assert task_of(database).state is TaskState.DONE


@pytest.mark.usefixtures("batch")
def test_a_failed_task_waits_before_its_next_try(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "pause_seconds", lambda attempt, what: 600.0 * attempt + len(what))
    stopped = threading.Event()

    def heard(task: Task) -> None:
        if task.state is TaskState.QUEUED:
            stopped.set()

    Worker(database, Script([[failing(ModelFailed("cut"))]]), on_task=heard).run(
        stopped.is_set, until_done=True
    )
    wait = task_of(database).not_before - datetime.now(UTC)
    assert timedelta(seconds=500) < wait <= timedelta(seconds=602)


def test_pauses_grow_to_a_minute_and_are_the_same_each_time() -> None:
    pauses = [pause_seconds(attempt, "t0") for attempt in range(1, 40)]
    assert pauses == [pause_seconds(attempt, "t0") for attempt in range(1, 40)]
    for attempt, pause in enumerate(pauses, start=1):
        longest = min(60.0, 2.0 ** (attempt - 1))
        assert longest / 2 <= pause <= longest
    assert len({pause_seconds(9, f"t{number}") for number in range(20)}) == 20
