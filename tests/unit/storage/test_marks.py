"""Proposals and stale marks: kept with their steps, seen through ancestry, taken along by a file."""

from collections.abc import Callable
from datetime import UTC, datetime

from storyloom.memory.story import Dropped, MemoryChange, Note, Stale, StalePart, Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.formats import json_format

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def mark(
    strand: str, depth: int, part: StalePart = StalePart.PAGE, cause: str = "step 1 was edited"
) -> Stale:
    return Stale(strand_id=strand, depth=depth, part=part, cause=cause, created_at=NOW)


def test_a_branch_sees_the_marks_of_what_it_shares_and_its_own(
    database: Database, story: Story, grow: Callable[..., None], branch: Callable[..., Strand]
) -> None:
    grow("main", 1, 6)
    branch("side", "main", 4)
    grow("side", 5, 6)
    shared, beyond, own = mark("main", 4), mark("main", 5), mark("side", 6, StalePart.NOTE)
    with database.unit_of_work() as work:
        work.stale.add([own, beyond, shared])
        work.stale.add([mark("main", 4, cause="another edit")])
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.stale.path(work.steps.segments("side")) == [shared, own]
        assert work.stale.path(work.steps.segments("main")) == [shared, beyond]
        exported = json_format.load_story(json_format.dump_story(work, story.id))
    assert set(exported.stale) == {shared, beyond, own}
    with database.unit_of_work() as work:
        work.stale.remove([shared])
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.stale.of_strand("main") == [beyond]


def test_a_proposal_waits_with_its_reasons_and_goes_with_its_decision(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    grow("main", 1, 3)
    proposal = MemoryChange(
        strand_id="main",
        depth=2,
        added=(Note("The key is lost.", 2),),
        dropped=(Dropped(Note("It rained.", 1), "the page was full"),),
    )
    with database.unit_of_work() as work:
        work.proposals.add(proposal)
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.proposals.of_strand("main") == [proposal]
        assert json_format.load_story(json_format.dump_story(work, story.id)).proposals == (proposal,)
    with database.unit_of_work() as work:
        work.proposals.remove([proposal])
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.proposals.of_strand("main") == []


def test_what_each_step_changed_is_read_through_ancestry(
    database: Database, story: Story, grow: Callable[..., None], branch: Callable[..., Strand]
) -> None:
    assert story
    grow("main", 1, 4)
    branch("side", "main", 2)
    grow("side", 3, 3)
    with database.unit_of_work(write=False) as work:
        changes = work.steps.memory_changes("side")
        steps = work.steps.path("side")
    assert [(one.strand_id, one.depth) for one in changes] == [("main", 1), ("main", 2), ("side", 3)]
    assert [one.added for one in changes] == [step.added for step in steps]
