from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from storyloom.memory.errors import StrandNotFound
from storyloom.memory.story import Note, Origin, ShortMemory, Story, Strand
from storyloom.storage.database import Database

Grow = Callable[..., None]
Branch = Callable[..., Strand]
MEMORY = ShortMemory((Note("She left.", 3, Origin.PERSON, pinned=True),))


def test_strands_come_back_oldest_first_with_their_fields(
    database: Database, story: Story, grow: Grow, branch: Branch
) -> None:
    grow("main", 1, 3)
    second = branch("zz", "main", 3, name="Darker", memory=MEMORY)
    third = branch("aa", "zz", 2)
    with database.unit_of_work(write=False) as work:
        main = work.strands.main(story.id)
        assert main.id == "main"
        assert work.strands.of_story(story.id) == [main, second, third]
        assert work.strands.get("zz") == second
        assert work.strands.step_counts(story.id) == {"main": 3, "zz": 0, "aa": 0}


@pytest.mark.parametrize("reference", ["branch-one", "branch-o", "BRANCH  one!"])
def test_a_strand_is_found_by_id_prefix_or_name(
    database: Database, story: Story, grow: Grow, branch: Branch, reference: str
) -> None:
    grow("main", 1, 1)
    wanted = branch("branch-one", "main", 1, name="Branch one!")
    branch("branch-two", "main", 1)
    with database.unit_of_work(write=False) as work:
        assert work.strands.find(story.id, reference) == wanted


@pytest.mark.parametrize("reference", ["nothing", "", "bra", "x" * 999])
def test_an_unknown_strand_is_told(
    database: Database, story: Story, grow: Grow, branch: Branch, reference: str
) -> None:
    grow("main", 1, 1)
    branch("branch-one", "main", 1)
    with (
        database.unit_of_work(write=False) as work,
        pytest.raises(StrandNotFound, match="storyloom branches"),
    ):
        work.strands.find(story.id, reference)


def test_an_ambiguous_strand_names_the_candidates(
    database: Database, story: Story, grow: Grow, branch: Branch
) -> None:
    grow("main", 1, 1)
    branch("branch-one", "main", 1)
    branch("branch-two", "main", 1)
    with (
        database.unit_of_work(write=False) as work,
        pytest.raises(StrandNotFound, match="branch-one, branch-two"),
    ):
        work.strands.find(story.id, "branch")


@pytest.mark.parametrize("depth", [-1, 4, 10**9])
def test_a_fork_needs_a_step_to_fork_from(story: Story, grow: Grow, branch: Branch, depth: int) -> None:
    assert story
    grow("main", 1, 3)
    with pytest.raises(StrandNotFound, match=r"no step .* the strand has 3"):
        branch("side", "main", depth)


def test_a_fork_before_the_first_step_is_a_fresh_start(
    database: Database, story: Story, grow: Grow, branch: Branch
) -> None:
    assert story
    grow("main", 1, 3)
    branch("side", "main", 0)
    with database.unit_of_work(write=False) as work:
        assert work.steps.head("side") is None
        assert work.steps.depth("side") == 0


def test_a_branch_stays_in_its_story(
    database: Database, story: Story, new_story: Callable[..., Story]
) -> None:
    other = new_story()
    with database.unit_of_work() as work:
        work.stories.add(other)
        with pytest.raises(StrandNotFound, match="belongs to another story"):
            work.strands.add(
                Strand(id="side", story_id=other.id, parent_id="main", created_at=story.created_at)
            )


def test_a_story_has_one_main_strand(database: Database, story: Story) -> None:
    with database.unit_of_work() as work, pytest.raises(IntegrityError):
        work.strands.add(Strand(id="second", story_id=story.id, created_at=story.created_at))


def test_unknown_ids_are_told(database: Database) -> None:
    with database.unit_of_work() as work:
        for ask in (work.strands.get, work.strands.main, work.steps.depth, work.steps.segments):
            with pytest.raises(StrandNotFound):
                ask("nothing")
        with pytest.raises(StrandNotFound):
            work.strands.set_memory("nothing", None)


def test_memory_is_set_and_cleared(database: Database, story: Story) -> None:
    with database.unit_of_work() as work:
        work.strands.set_memory("main", MEMORY)
        work.commit()
    with database.unit_of_work() as work:
        strand = work.strands.get("main")
        assert strand.memory == MEMORY
        work.strands.set_memory("main", None)
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.strands.main(story.id) == replace(strand, memory=None)


def test_an_archived_strand_keeps_everything_and_comes_back(
    database: Database, story: Story, grow: Grow, branch: Branch
) -> None:
    grow("main", 1, 2)
    side = branch("side", "main", 1, name="Darker", memory=MEMORY)
    grow("side", 2, 3)
    fresh = branch("fresh", "side", 3)
    for archived in (True, False):
        with database.unit_of_work() as work:
            work.strands.set_archived("side", archived)
            work.commit()
        with database.unit_of_work(write=False) as work:
            assert work.strands.get("side") == replace(side, archived=archived)
            assert [one.id for one in work.strands.of_story(story.id)] == ["main", "side", "fresh"]
            assert work.strands.find(story.id, "darker").id == "side"
            assert [step.strand_id for step in work.steps.path(fresh.id)] == ["main", "side", "side"]
    with database.unit_of_work() as work, pytest.raises(StrandNotFound):
        work.strands.set_archived("nothing-like-it", True)


def test_a_strand_is_named_and_loses_its_name(database: Database, story: Story) -> None:
    for name in ("The other door", ""):
        with database.unit_of_work() as work:
            work.strands.set_name("main", name)
            work.commit()
        with database.unit_of_work(write=False) as work:
            assert work.strands.main(story.id).name == name
    with database.unit_of_work() as work, pytest.raises(StrandNotFound):
        work.strands.set_name("nothing-like-it", "x")
