"""A database with a story in it, for the tests of the rooms above storage."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storyloom.app.beginning import Beginning
from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.events import Listener
from storyloom.app.recurrence import Recurrence
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.memory.ports import TextModel
from storyloom.memory.recall import RecallRule
from storyloom.memory.story import Mode, Story, Strand
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel, WordEmbedder


@pytest.fixture
def database(database_file: Path) -> Iterator[Database]:
    """An empty database of its own."""
    opened = Database(f"sqlite:///{database_file}")
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


@pytest.fixture
def model() -> InstantModel:
    """The stand-in that writes."""
    return InstantModel()


@pytest.fixture
def studio(database: Database, model: InstantModel, tmp_path: Path) -> Studio:
    """A studio whose model and embedder need no weights."""
    return open_studio(database, model, tmp_path)


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Files of a story with so many steps, for ``import_file``; written once."""
    folder = tmp_path_factory.mktemp("told")
    database = Database(f"sqlite:///{folder / 'told.db'}")
    studio = open_studio(database, InstantModel(), folder)
    premise = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
    story = studio.begin(Beginning(premise=premise, seed=7), Listener()).story.id
    files = {}
    for depth in range(1, 13):
        list(studio.write(story, Listener()))
        files[depth] = studio.export(story, folder / f"{depth}.json")
    database.close()
    return files.__getitem__


def open_studio(database: Database, model: TextModel, folder: Path) -> Studio:
    """A studio in a folder."""
    embedder = WordEmbedder()
    return Studio(
        shelf=Shelf(database, "local"),
        recurrence=Recurrence(database=database, embedder=embedder, rule=RecallRule()),
        castings=Castings(
            load=lambda _spec: model,
            embedder=embedder,
            templates=Templates(folder / "templates"),
            writer="instant",
            others={},
            profile=None,
        ),
        embedding=Embedding(database, embedder),
        language="en",
        trash=folder / "trash",
        presets=folder / "presets",
    )
