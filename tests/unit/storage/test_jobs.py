from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import pytest

from storyloom.memory.errors import StrandNotFound
from storyloom.memory.story import Job, JobState, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.unit_of_work import UnitOfWork


class Clock(Protocol):
    def move(self, seconds: float) -> None: ...


def claim(work: UnitOfWork, worker: str, strand_id: str = "main", plan: str = "") -> Job:
    job = work.jobs.claim(strand_id, worker, 4.0, plan)
    assert job is not None
    return job


def test_a_claim_names_the_next_step_and_its_lease(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    grow("main", 1, 2)
    with database.unit_of_work() as work:
        job = claim(work, "w1", plan="Ring the bell.")
    assert (job.story_id, job.strand_id, job.depth) == (story.id, "main", 3)
    assert (job.state, job.worker, job.plan) == (JobState.RUNNING, "w1", "Ring the bell.")
    assert job.lease_until == job.created_at + timedelta(seconds=4)


@pytest.mark.usefixtures("story")
def test_a_strand_is_held_by_one_worker_while_it_lives(
    database: Database, grow: Callable[..., None], branch: Callable[..., Strand], clock: Clock
) -> None:
    grow("main", 1, 1)
    branch("side", "main", 1)
    with database.unit_of_work() as work:
        job = claim(work, "w1")
        assert work.jobs.claim("main", "w2", 4.0) is None
        assert claim(work, "w2", "side").depth == 2
        clock.move(3.9)
        assert work.jobs.heartbeat(job.id, "w1", 4.0)
        clock.move(3.9)
        assert work.jobs.claim("main", "w2", 4.0) is None
        assert not work.jobs.heartbeat(job.id, "w2", 4.0)
        assert work.jobs.finish(job.id, "w1", JobState.DONE)
        assert claim(work, "w2").depth == 2


@pytest.mark.usefixtures("story")
def test_a_dead_workers_place_is_free_and_its_words_are_offered(database: Database, clock: Clock) -> None:
    with database.unit_of_work() as work:
        dead = claim(work, "w1")
        assert work.jobs.write_journal(dead.id, "w1", "She opened")
        assert work.jobs.write_journal(dead.id, "w1", "She opened the door")
        assert work.jobs.interrupted("main") == []  # it lives
        clock.move(4.0)
        assert [(job.id, job.journal) for job in work.jobs.interrupted("main")] == [
            (dead.id, "She opened the door")
        ]
        claim(work, "w2")
        assert [job.state for job in work.jobs.interrupted("main")] == [JobState.INTERRUPTED]
        assert not work.jobs.heartbeat(dead.id, "w1", 4.0)
        work.jobs.dismiss(dead.id)
        assert work.jobs.interrupted("main") == []


@pytest.mark.usefixtures("story")
def test_a_step_that_was_committed_after_all_isnt_offered(database: Database, clock: Clock) -> None:
    with database.unit_of_work() as work:
        slow = claim(work, "w1")
        work.jobs.write_journal(slow.id, "w1", "She opened")
        clock.move(5.0)
        claim(work, "w2")
        assert work.jobs.finish(slow.id, "w1", JobState.DONE)
        assert work.jobs.interrupted("main") == []
        assert not work.jobs.finish(slow.id, "w1", JobState.FAILED, "late")
        assert not work.jobs.write_journal(slow.id, "w1", "late")


@pytest.mark.usefixtures("story")
def test_words_that_became_no_step_are_offered_newest_first(database: Database, clock: Clock) -> None:
    with database.unit_of_work() as work:
        for worker, state, words in (
            ("w1", JobState.FAILED, "first"),
            ("w2", JobState.INTERRUPTED, "second"),
            ("w3", JobState.DONE, "third"),
            ("w4", JobState.FAILED, ""),
        ):
            job = claim(work, worker)
            work.jobs.write_journal(job.id, worker, words)
            assert not work.jobs.finish(job.id, "somebody else", state)
            assert work.jobs.finish(job.id, worker, state, error="told")
            clock.move(1.0)
        offered = work.jobs.interrupted("main")
    assert [(job.journal, job.error) for job in offered] == [("second", "told"), ("first", "told")]


def test_only_a_strand_can_be_claimed(database: Database) -> None:
    with database.unit_of_work() as work, pytest.raises(StrandNotFound):
        work.jobs.claim("nothing", "w1", 4.0)
