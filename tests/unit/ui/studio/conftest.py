"""A house to call handlers with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.recurrence import Recurrence
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.memory.recall import RecallRule
from storyloom.storage.database import Database
from storyloom.ui.studio.place import House
from storyloom.ui.studio.writers import Writers
from tests.stand_ins import InstantModel, WordEmbedder


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house whose model and embedder need no weights."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    embedder = WordEmbedder()
    castings = Castings(
        load=lambda _spec: InstantModel(),
        embedder=embedder,
        templates=Templates(tmp_path / "templates"),
        writer="instant",
        others={},
        profile=None,
    )
    recurrence = Recurrence(database=database, embedder=embedder, rule=RecallRule())
    studio = Studio(
        shelf=Shelf(database, "local"),
        recurrence=recurrence,
        castings=castings,
        embedding=Embedding(database, embedder),
        language="en",
        trash=tmp_path / "trash",
        presets=tmp_path / "presets",
    )
    writers = Writers()
    yield House(studio, writers)
    writers.close()
    database.close()
