"""Leases: one writer a strand, a journal that outlives it, and a place that frees itself."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from storyloom.app.events import Cancelled, Listener
from storyloom.app.leases import LEASE_SECONDS, Leases
from storyloom.memory.errors import ModelFailed
from storyloom.memory.story import JobState, Strand
from storyloom.storage.database import Database


class Waiting(Listener):
    """Notes that it had to wait, and stops when told to."""

    def __init__(self, *, stop: bool = False) -> None:
        self.waited = threading.Event()
        self._stop = stop

    def on_stage(self, stage: str, depth: int) -> None:  # noqa: ARG002
        if stage == "waiting":
            self.waited.set()

    def cancelled(self) -> bool:
        return self._stop


def test_a_second_writer_waits_until_the_first_is_done(database: Database, strand: Strand) -> None:
    leases, second = Leases(database), Waiting()
    order: list[str] = []

    def write() -> None:
        with Leases(database).hold(strand.id, "", second):
            order.append("second")

    with leases.hold(strand.id, "", Listener()) as lease:
        thread = threading.Thread(target=write)
        thread.start()
        assert second.waited.wait(10)
        order.append("first")
        with database.unit_of_work() as work:
            work.jobs.finish(lease.job.id, lease.job.worker, JobState.DONE)
            work.commit()
    thread.join(10)
    assert order == ["first", "second"]


def test_waiting_can_be_stopped(database: Database, strand: Strand) -> None:
    with (
        Leases(database).hold(strand.id, "", Listener()),
        pytest.raises(Cancelled),
        Leases(database).hold(strand.id, "", Waiting(stop=True)),
    ):
        pytest.fail("two writers hold one strand")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Cancelled("stopped"), JobState.INTERRUPTED),
        (ModelFailed("no words"), JobState.FAILED),
        (KeyboardInterrupt(), JobState.INTERRUPTED),
    ],
)
def test_words_of_a_broken_step_are_offered_back(
    database: Database, strand: Strand, error: BaseException, state: JobState
) -> None:
    def write() -> None:
        with Leases(database).hold(strand.id, "her plan", Listener()) as lease:
            lease.write("Mara opened ")
            lease.write("the door.")
            raise error

    with pytest.raises(type(error)):
        write()
    with database.unit_of_work(write=False) as work:
        (job,) = work.jobs.interrupted(strand.id)
    assert (job.journal, job.plan, job.state) == ("Mara opened the door.", "her plan", state)


def test_a_draw_that_was_thrown_away_is_not_offered(database: Database, strand: Strand) -> None:
    def write() -> None:
        with Leases(database).hold(strand.id, "", Listener()) as lease:
            lease.write("A loop. A loop.")
            lease.restart()
            lease.write("The sea.")
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        write()
    with database.unit_of_work(write=False) as work:
        (job,) = work.jobs.interrupted(strand.id)
    assert job.journal == "The sea."


def test_a_finished_step_leaves_nothing_to_offer(database: Database, strand: Strand) -> None:
    with Leases(database).hold(strand.id, "", Listener()) as lease:
        lease.write("The sea.")
        with database.unit_of_work() as work:
            work.jobs.finish(lease.job.id, lease.job.worker, JobState.DONE)
            work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.jobs.interrupted(strand.id) == []


def test_a_dead_holder_gives_way_within_five_seconds(database: Database, strand: Strand) -> None:
    """A holder that beats no more is a row whose time runs out; nothing else marks a dead process."""
    assert LEASE_SECONDS < 5
    with database.unit_of_work() as work:
        dead = work.jobs.claim(strand.id, "dead", LEASE_SECONDS, "")
        assert dead is not None
        work.jobs.write_journal(dead.id, "dead", "Half a")
        work.commit()
    assert dead.lease_until - datetime.now(UTC) < timedelta(seconds=5)
    with database.unit_of_work() as work:
        work.jobs.heartbeat(dead.id, "dead", -1.0)  # its time is over
        work.commit()
    with Leases(database).hold(strand.id, "", Listener()) as lease:
        assert lease.job.depth == dead.depth
    with database.unit_of_work(write=False) as work:
        assert [job.journal for job in work.jobs.interrupted(strand.id)] == ["Half a"]
