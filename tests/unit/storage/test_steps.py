from collections.abc import Callable
from dataclasses import replace

import pytest

from storyloom.memory.errors import StepConflict, StrandNotFound
from storyloom.memory.measures import StepMeasure
from storyloom.memory.story import Note, Origin, Passage, Plan, Segment, ShortMemory, Step, Story, Strand
from storyloom.memory.text import count_words
from storyloom.storage.database import Database

NewStep = Callable[..., Step]
Grow = Callable[..., None]
Branch = Callable[..., Strand]


@pytest.fixture
def forked(story: Story, grow: Grow, branch: Branch) -> None:
    """Main 1 to 6, "side" from 4 with 5 and 6, "early" from side's inherited step 2 with 3."""
    assert story
    grow("main", 1, 6)
    branch("side", "main", 4)
    grow("side", 5, 6)
    branch("early", "side", 2)
    grow("early", 3, 3)


def test_every_field_of_a_step_comes_back(database: Database, story: Story, new_step: NewStep) -> None:
    assert story
    step = new_step("main", 1, paragraph="He said: “لا”, then 鐘\n\tand left.\u200f")
    with database.unit_of_work() as work:
        work.steps.append(step)
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.steps.head("main") == step
        assert work.steps.at("main", 1) == step


def test_an_empty_strand_has_no_head(database: Database, story: Story) -> None:
    assert story
    with database.unit_of_work(write=False) as work:
        assert work.steps.head("main") is None
        assert work.steps.depth("main") == 0
        assert work.steps.segments("main") == (Segment("main", 0),)
        assert work.steps.path("main") == []
        assert work.steps.paragraphs("main") == []
        assert work.steps.recent_plans("main", 5) == []
        assert work.steps.words("main") == 0
        with pytest.raises(StrandNotFound, match="no step yet"):
            work.steps.at("main", 1)


@pytest.mark.usefixtures("forked")
def test_words_are_summed_through_ancestry(database: Database) -> None:
    with database.unit_of_work() as work:
        work.steps.set_paragraph("main", 5, "Four words stand here.")
        work.steps.set_paragraph("main", 2, "Two words.")
        for strand, depths in (("main", 6), ("side", 6), ("early", 3)):
            told = work.steps.paragraphs(strand)
            assert len(told) == depths
            assert work.steps.words(strand) == sum(count_words(text) for _, text in told)


@pytest.mark.usefixtures("forked")
def test_a_branch_reads_through_its_ancestry(database: Database) -> None:
    with database.unit_of_work(write=False) as work:
        assert work.steps.segments("side") == (Segment("side", 6), Segment("main", 4))
        assert work.steps.segments("early") == (Segment("early", 3), Segment("main", 2))
        assert [(step.strand_id, step.depth) for step in work.steps.path("early")] == [
            ("main", 1),
            ("main", 2),
            ("early", 3),
        ]
        assert [step.depth for step in work.steps.path("side", first=4, last=5)] == [4, 5]
        assert work.steps.at("side", 4).strand_id == "main"
        assert work.steps.at("side", 5).strand_id == "side"
        assert work.steps.paragraphs("side", first=4) == [
            (4, "Paragraph 4 of main."),
            (5, "Paragraph 5 of side."),
            (6, "Paragraph 6 of side."),
        ]


@pytest.mark.usefixtures("forked")
def test_a_fresh_branch_ends_where_it_forked(database: Database, branch: Branch) -> None:
    branch("fresh", "side", 5)
    with database.unit_of_work(write=False) as work:
        assert work.steps.segments("fresh") == (
            Segment("fresh", 5),
            Segment("side", 5),
            Segment("main", 4),
        )
        head = work.steps.head("fresh")
        assert head is not None
        assert (head.strand_id, head.depth) == ("side", 5)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("depth", [-1, 0, 7, 10**12])
def test_a_depth_that_isnt_there_is_told(database: Database, depth: int) -> None:
    with (
        database.unit_of_work(write=False) as work,
        pytest.raises(StrandNotFound, match=r"steps 1 to 6"),
    ):
        work.steps.at("side", depth)


@pytest.mark.usefixtures("forked")
def test_recent_plans_are_the_followed_ones_newest_first(database: Database, new_step: NewStep) -> None:
    with database.unit_of_work() as work:
        work.steps.append(new_step("side", 7, plan="The last plan"))
        assert work.steps.recent_plans("side", 4) == ["The last plan", "Plan 6", "Plan 5", "Plan 4"]
        assert len(work.steps.recent_plans("side", 100)) == 7


@pytest.mark.usefixtures("forked")
def test_measures_are_told_through_ancestry(database: Database) -> None:
    with database.unit_of_work(write=False) as work:
        whole = work.steps.measures("side")
        assert whole == [
            StepMeasure(depth, memory_words=4, seconds=1.25, completion_tokens=130) for depth in range(1, 7)
        ]
        assert work.steps.measures("side", first=4) == whole[3:]


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("depth", [1, 6, 8, 0, -3])
def test_only_the_next_step_can_be_appended(database: Database, new_step: NewStep, depth: int) -> None:
    with (
        database.unit_of_work() as work,
        pytest.raises(StepConflict, match=r"has 6 steps.*continue from the new last step"),
    ):
        work.steps.append(new_step("side", depth))


def test_the_database_itself_refuses_a_doubled_step(
    database: Database, story: Story, grow: Grow, new_step: NewStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a writer that read the head before another committed, which no write lock would allow."""
    assert story
    grow("main", 1, 2)
    monkeypatch.setattr("storyloom.storage.ancestry.head_depth", lambda *_: 1)
    with database.unit_of_work() as work, pytest.raises(StepConflict):
        work.steps.append(new_step("main", 2))


def test_an_unknown_strand_takes_no_step(database: Database, new_step: NewStep) -> None:
    with database.unit_of_work() as work, pytest.raises(StrandNotFound):
        work.steps.append(new_step("nothing", 1))


@pytest.mark.usefixtures("forked")
def test_a_step_is_edited_in_place(database: Database) -> None:
    memory = ShortMemory((Note("Edited.", 6, Origin.PERSON),))
    plans = (Plan("Only one", Origin.PERSON),)
    with database.unit_of_work() as work:
        before = work.steps.at("side", 6)
        work.steps.set_memory("side", 6, memory)
        work.steps.set_plans("side", 6, plans)
        work.steps.set_paragraph("side", 6, "A zebra, two zebras.")
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.steps.at("side", 6) == replace(
            before,
            memory=memory,
            memory_origin=Origin.PERSON,
            plans=plans,
            paragraph="A zebra, two zebras.",
            paragraph_origin=Origin.PERSON,
        )
        assert work.steps.at("main", 6).paragraph == "Paragraph 6 of main."
    assert database.check() == []


@pytest.mark.usefixtures("forked")
def test_an_edited_paragraph_is_found_by_its_new_words_and_loses_its_vector(database: Database) -> None:
    with database.unit_of_work() as work:
        work.passages.set_vectors(
            [
                Passage(
                    strand_id="side", depth=5, text="Paragraph 5 of side.", vector=(1.0, 0.0), embedder="e"
                ),
                Passage(
                    strand_id="side", depth=6, text="Paragraph 6 of side.", vector=(0.0, 1.0), embedder="e"
                ),
            ]
        )
        work.commit()
    with database.unit_of_work() as work:
        work.steps.set_paragraph("side", 5, "A zebra.")
        work.commit()
    with database.unit_of_work(write=False) as work:
        segments = work.steps.segments("side")
        found = work.passages.search(
            terms={"zebra": 1.0, "paragraph": 1.0},
            vector=[1.0, 0.0],
            embedder="e",
            segments=segments,
            before=99,
            limit=9,
        )
        by_depth = {candidate.depth: candidate for candidate in found}
        assert by_depth[5].text == "A zebra."
        assert by_depth[5].bm25 > 0
        assert by_depth[5].likeness is None
        assert by_depth[6].likeness == 0.0
        assert [gap.depth for gap in work.passages.missing_vectors(segments, embedder="e", limit=1)] == [5]


@pytest.mark.usefixtures("forked")
def test_an_inherited_step_isnt_edited_from_a_branch(database: Database) -> None:
    with database.unit_of_work() as work:
        with pytest.raises(StrandNotFound, match=r"no step 2 of its own"):
            work.steps.set_paragraph("side", 2, "x")
        with pytest.raises(StrandNotFound, match=r"no step 2 of its own"):
            work.steps.set_memory("side", 2, ShortMemory())
        with pytest.raises(StrandNotFound, match=r"no step 2 of its own"):
            work.steps.set_plans("side", 2, ())
