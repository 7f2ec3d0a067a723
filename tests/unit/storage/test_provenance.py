from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from storyloom.memory.measures import PromptTokens, SlotTokens
from storyloom.memory.story import Call, Provenance, Segment, Story, Strand
from storyloom.storage.database import Database

Grow = Callable[..., None]


def test_slots_and_calls_come_back_in_their_order(
    database: Database, story: Story, grow: Grow, provenance: Provenance
) -> None:
    assert story
    grow("main", 1, 4)
    with database.unit_of_work() as work:
        work.provenance.add("main", 2, provenance)
        work.provenance.add("main", 3, Provenance(slots=provenance.slots[:1], calls=()))
        work.provenance.add("main", 4, Provenance(slots=(), calls=(), weaving=provenance.weaving))
        work.commit()
    with database.unit_of_work(write=False) as work:
        assert work.provenance.get("main", 1) == Provenance(slots=(), calls=())
        assert work.provenance.get("main", 2) == provenance
        assert [depth for depth, _ in work.provenance.of_strand("main")] == [2, 3, 4]
        found = dict(work.provenance.of_strand("main"))
        assert found[2] == provenance
        assert found[3].weaving is None
        assert found[4].weaving == provenance.weaving


def test_tokens_are_told_along_the_ancestry_without_what_was_cut(
    database: Database, story: Story, grow: Grow, branch: Callable[..., Strand], provenance: Provenance
) -> None:
    assert story
    grow("main", 1, 4)
    branch("side", "main", 2)
    grow("side", 3, 3)
    premise, recalled = provenance.slots
    gone = replace(premise, slot="memory", tokens=0, cut=premise.text)
    with database.unit_of_work() as work:
        for strand, depth in (("main", 1), ("main", 2), ("main", 3), ("side", 3)):
            whole = Provenance(slots=(premise, gone, recalled), calls=(), weaving=provenance.weaving)
            work.provenance.add(strand, depth, whole)
        work.commit()
    with database.unit_of_work(write=False) as work:
        segments = work.steps.segments("side")
        assert segments == (Segment("side", 3), Segment("main", 2))
        slots, prompts = work.provenance.tokens(segments, first=2)
        every, _ = work.provenance.tokens(segments)
    assert sorted(slots, key=lambda slot: slot.depth) == [
        SlotTokens(2, "premise", "story:premise", 3),
        SlotTokens(2, "recall", "step:main:1", 3),
        SlotTokens(3, "premise", "story:premise", 3),
        SlotTokens(3, "recall", "step:main:1", 3),
    ]
    assert sorted(prompts, key=lambda prompt: prompt.depth) == [
        PromptTokens(2, 412, 7_000),
        PromptTokens(3, 412, 7_000),
    ]
    assert sorted(slot.depth for slot in every) == [1, 1, 2, 2, 3, 3]


def test_prompts_are_kept_small(database: Database, story: Story, grow: Grow) -> None:
    assert story
    grow("main", 1, 1)
    call = Call(
        agent="writer",
        model="m",
        prompt="the same long prompt " * 1000,
        reply="",
        prompt_tokens=1,
        completion_tokens=1,
        cached_tokens=0,
        seed=1,
        seconds=1.0,
    )
    with database.unit_of_work() as work:
        work.provenance.add("main", 1, Provenance(slots=(), calls=(call,)))
        work.commit()
    with database._engine.connect() as connection:
        assert connection.execute(text("SELECT length(prompt) FROM call")).scalar_one() < 500


def test_provenance_without_its_step_is_refused(
    database: Database, story: Story, provenance: Provenance
) -> None:
    assert story
    with database.unit_of_work() as work, pytest.raises(IntegrityError):
        work.provenance.add("main", 1, provenance)
