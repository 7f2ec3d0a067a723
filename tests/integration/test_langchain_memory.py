"""LangChain's own standard tests, held against a story's recall as retriever and its documents as store."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from storyloom.app import wiring
from storyloom.app.events import Listener
from storyloom.app.langchain import StoryRetriever, StoryStore
from storyloom.app.settings import Settings
from storyloom.app.shelf import Shelf
from storyloom.storage.database import Database
from tests.stand_ins import WordEmbedder

BOOK = "# The Lamp\n\n" + "\n\n".join(
    f"Mara lights the {name} lamp." for name in ("red", "old", "last", "tin")
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one story of a few paragraphs."""
    home = tmp_path_factory.mktemp("told")
    book = home / "book.md"
    book.write_text(BOOK)
    settings = Settings(home=home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "MiniLMEmbedder", lambda **_: WordEmbedder())
        with wiring.open_studio(settings) as studio:
            studio.import_file(book, Listener())
    return home


@pytest.fixture
def shelf(told: Path, tmp_path: Path) -> Iterator[Shelf]:
    """The same, for one test."""
    home = shutil.copytree(told, tmp_path / "home")
    database = Database(Settings(home=home).url)
    yield Shelf(database, "local")
    database.close()


# The suites' asynchronous tests need the mark, and can't be overridden to get it one by one.
@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*is marked with '@pytest.mark.asyncio' but:pytest.PytestWarning")
class TestRetriever(RetrieversIntegrationTests):
    """Asked as LangChain expects."""

    @pytest.fixture(autouse=True)
    def _shelf(self, shelf: Shelf) -> None:
        self.shelf = shelf

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return StoryRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"shelf": self.shelf, "embedder": WordEmbedder(), "story": "The Lamp"}

    @property
    def retriever_query_example(self) -> str:
        return "Which lamp does Mara light?"


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*is marked with '@pytest.mark.asyncio' but:pytest.PytestWarning")
class TestStore(VectorStoreIntegrationTests):
    """Filled, searched and emptied as LangChain expects."""

    @pytest.fixture
    def vectorstore(self, shelf: Shelf) -> StoryStore:
        return StoryStore(shelf, "The Lamp", self.get_embeddings())
