"""Neural states: kept with the steps that they follow, their bytes only where they are worth their room."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from storyloom.memory.errors import StrandNotFound
from storyloom.memory.neural import NeuralState, stays
from storyloom.memory.story import Story, Strand
from storyloom.storage.database import Database
from storyloom.storage.formats import json_format
from tests.unit.storage.conftest import START


def state(strand_id: str, depth: int, **fields: Any) -> NeuralState:
    values: dict[str, Any] = {
        "model": "hf:titans",
        "fingerprint": "f1",
        "digest": f"{strand_id}{depth}",
        "size": 5 * 10**9,  # more than 32 bits
        "seconds": 0.25,
        "created_at": START + timedelta(minutes=depth),
    }
    return NeuralState(strand_id=strand_id, depth=depth, **(values | fields))


def put(database: Database, *states: NeuralState, data: bytes | None = b"\x00\xff state") -> None:
    with database.unit_of_work() as work:
        for one in states:
            work.neural_states.put(one, data)
        work.commit()


def path(database: Database, strand_id: str, first: int = 1, last: int | None = None) -> list[NeuralState]:
    with database.unit_of_work(write=False) as work:
        return work.neural_states.path(strand_id, first, last)


def data(database: Database, of: NeuralState) -> bytes | None:
    with database.unit_of_work(write=False) as work:
        return work.neural_states.data(of)


def test_a_branch_sees_the_states_of_what_it_shares_and_its_own(
    database: Database, story: Story, grow: Callable[..., None], branch: Callable[..., Strand]
) -> None:
    assert story
    grow("main", 1, 4)
    branch("side", "main", 2)
    grow("side", 3, 4)
    of_main = [state("main", depth) for depth in (1, 2, 3, 4)]
    of_side = [state("side", depth) for depth in (3, 4)]
    put(database, *of_side, *of_main)
    assert path(database, "main") == of_main
    assert path(database, "side") == [*of_main[:2], *of_side]
    assert path(database, "side", 2, 3) == [of_main[1], of_side[0]]
    assert data(database, of_side[0]) == b"\x00\xff state"


def test_each_model_has_its_own_and_the_newest_comes_last(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    assert story
    grow("main", 1, 1)
    newer = state("main", 1, fingerprint="f0", created_at=START + timedelta(hours=1))
    put(database, newer, state("main", 1))
    assert path(database, "main") == [state("main", 1), newer]


def test_a_state_takes_the_place_of_what_was_read_before_an_edit(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    assert story
    grow("main", 1, 1)
    old, new = state("main", 1), state("main", 1, digest="edited")
    put(database, old)
    put(database, new, data=b"new")
    assert path(database, "main") == [new]
    assert (data(database, old), data(database, new)) == (None, b"new")
    with database.unit_of_work() as work:
        work.neural_states.remove([old])
        work.commit()
    assert path(database, "main") == [new]
    with database.unit_of_work() as work:
        work.neural_states.remove([new])
        work.commit()
    assert path(database, "main") == []


def test_thinning_out_leaves_what_is_known(
    database: Database, story: Story, grow: Callable[..., None], branch: Callable[..., Strand]
) -> None:
    assert story
    grow("main", 1, 20)
    branch("side", "main", 20)
    grow("side", 21, 21)
    put(database, *(state("main", depth, size=10) for depth in range(1, 21)), state("side", 21, size=10))
    with database.unit_of_work() as work:
        work.neural_states.thin_out("main", 20)
        work.commit()
    found = path(database, "side")
    assert [one.depth for one in found] == list(range(1, 22))
    assert [one.depth for one in found if one.is_kept] == [d for d in range(1, 22) if stays(d, 20, 10)]
    assert [one for one in found if data(database, one) is not None] == [one for one in found if one.is_kept]


def test_what_is_known_is_kept_without_the_memory(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    assert story
    grow("main", 1, 1)
    put(database, state("main", 1), data=None)
    assert path(database, "main") == [replace(state("main", 1), is_kept=False)]


def test_a_state_goes_with_its_story_and_none_comes_after(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    grow("main", 1, 2)
    put(database, state("main", 1))
    with database.unit_of_work() as work:
        work.stories.delete(story.id)
        work.commit()
    with database._engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM neural_state").scalar() == 0
    with pytest.raises(StrandNotFound, match="no step 2 any more"):
        put(database, state("main", 2))


def test_an_export_leaves_out_what_the_text_brings_back(
    database: Database, story: Story, grow: Callable[..., None]
) -> None:
    grow("main", 1, 2)
    put(database, state("main", 1))
    with database.unit_of_work(write=False) as work:
        document = json.loads(json_format.dump_story(work, story.id))
    assert "neural" not in json.dumps(document)
