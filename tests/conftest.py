"""What every test shares: a data folder of its own, and the starter's weights fetched once."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storyloom.generators.cores import calm_openmp

if TYPE_CHECKING:
    from tests.postgresql import PostgresqlServer

ROOT = Path(__file__).resolve().parent.parent

# Set before any library reads it: no test may look for a hub, waiting threads sleep soon, and tests that run
# side by side take a core each: with two, small tensors took twenty times as long.
calm_openmp()
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_ANALYTICS_ENABLED="False")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers come last: in a process that has driven one, no test can run an event loop of its own."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh data folder, so that no test sees a person's stories."""
    folder = tmp_path / "home"
    monkeypatch.setenv("STORYLOOM_HOME", str(folder))
    for name in [name for name in os.environ if name.startswith("STORYLOOM_") and name != "STORYLOOM_HOME"]:
        monkeypatch.delenv(name)
    # Tests run side by side, and two threads of an engine wait for each other beside another busy process.
    monkeypatch.setenv("STORYLOOM_THREADS", "1")
    return folder


@pytest.fixture(scope="session")
def starter_weights() -> Path:
    """The starter's weights, fetched once into the git-ignored build folder and kept there."""
    from storyloom.generators.weights import pull_starter

    return pull_starter(ROOT / "build" / "models", lambda _done, _total: None)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that nobody has written to."""
    from storyloom.storage.database import Database

    file = tmp_path_factory.mktemp("migrated") / "stories.sqlite3"
    Database(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def database_file(tmp_path: Path, migrated_file: Path) -> Path:
    """A fresh copy of it: to migrate takes as long as a test."""
    return Path(shutil.copy(migrated_file, tmp_path / "stories.sqlite3"))


@pytest.fixture(scope="session")
def postgresql_server() -> "Iterator[PostgresqlServer]":
    """A real PostgreSQL server, started when the first test asks for it."""
    # Here, because the kernels' tests run in environments that have no driver.
    from tests.postgresql import running_server

    with running_server() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql_server: "PostgresqlServer") -> Iterator[str]:
    """The URL of a fresh PostgreSQL database with all tables and no rows."""
    name = postgresql_server.create()
    yield postgresql_server.url(name)
    postgresql_server.drop(name)
