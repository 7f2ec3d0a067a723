"""A database with a story in it, for the tests of the rooms above storage."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storyloom.memory.story import Mode, Story, Strand
from storyloom.storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database of its own."""
    opened = Database(f"sqlite:///{tmp_path / 'test.db'}")
    yield opened
    opened.close()


@pytest.fixture
def strand(database: Database) -> Strand:
    """The main strand of a story without steps."""
    now = datetime.now(UTC)
    story = Story(
        id="story0000001",
        owner="local",
        title="The Lamp",
        premise="Mara keeps a lighthouse on a cliff and finds a door in the sea.",
        mode=Mode.NOVEL,
        language="en",
        style="",
        outline="Mara finds a door. She opens it.",
        authors_note="",
        settings={"seed": 7, "model": "scripted:"},
        created_at=now,
        updated_at=now,
    )
    line = Strand(id="strand000001", story_id=story.id, created_at=now)
    with database.unit_of_work() as work:
        work.stories.add(story)
        work.strands.add(line)
        work.commit()
    return line
