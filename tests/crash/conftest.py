"""What the crash tests share: how many kills, workers to kill, and the figures they found."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storyloom.app.settings import load_settings
from storyloom.storage.database import Database
from tests.crash.workers import Workers

SHORT = 12

Report = Callable[[str], None]


@pytest.fixture(scope="session")
def kills() -> int:
    """How many workers a test kills: few by default, as many as CRASH_KILLS says in the whole form."""
    return int(os.environ.get("CRASH_KILLS", SHORT))


@pytest.fixture
def whole(kills: int) -> None:
    """Lets a test run in the whole form only."""
    if kills <= SHORT:
        pytest.skip("only in the whole form: make crash")


@pytest.fixture
def url() -> str:
    """Where the test's stories are: SQLite in its own data folder, where its workers look too."""
    return load_settings().url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """The test's own look at the stories."""
    with closing(Database(url)) as opened:
        yield opened


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Worker processes; those that are left end with the test."""
    with closing(Workers(tmp_path)) as started:
        yield started


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Takes a figure, for the summary at the end."""
    return lambda figure: record_property("figure", figure)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that the tests found."""
    for passed in terminalreporter.getreports("passed"):
        for _, figure in getattr(passed, "user_properties", ()):
            terminalreporter.write_line(f"{passed.nodeid.rpartition('::')[2]}: {figure}")
