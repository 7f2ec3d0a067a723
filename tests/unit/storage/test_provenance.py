from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from storyloom.memory.story import Call, Provenance, Story
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
