"""Values to show, for the tests of the fronts."""

from datetime import UTC, datetime

import pytest

from storyloom.memory.story import Dropped, Mode, Note, Origin, Plan, ShortMemory, Step, Story

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def story() -> Story:
    """A story with everything filled in."""
    return Story(
        id="a1b2c3d4e5f6",
        owner="local",
        title="The Door in the Sea",
        premise="Mara finds a door.",
        mode=Mode.NOVEL,
        language="en",
        style="spare",
        outline="She opens it. It opens her.",
        authors_note="no dragons",
        settings={"model": "starter", "seed": 7},
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.fixture
def step() -> Step:
    """A step with something of every kind."""
    kept, left = Note("Mara found a door.", 0, pinned=True), Note("It rained.", 2)
    return Step(
        strand_id="5trand",
        depth=3,
        plan="Mara knocks.",
        plan_origin=Origin.PERSON,
        paragraph="Mara knocked, and the sea\nknocked back.",
        paragraph_origin=Origin.REPAIRED,
        memory=ShortMemory((kept, Note("Mara knocked.", 3, Origin.QUOTED))),
        memory_origin=Origin.QUOTED,
        added=(Note("Mara knocked.", 3, Origin.QUOTED),),
        dropped=(Dropped(left, "no longer matters"),),
        plans=(Plan("Open it."), Plan("Run."), Plan("Wait.", Origin.REPAIRED)),
        model="starter",
        seed=11,
        sampling={"temperature": 0.8},
        seconds=1.5,
        prompt_tokens=900,
        completion_tokens=140,
        created_at=NOW,
    )
