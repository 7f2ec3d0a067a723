"""Opens the database, brings its schema up to date and hands out units of work."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from storyloom.memory.errors import InvalidSetting, StoreUnavailable
from storyloom.storage import migrations
from storyloom.storage.dialects import DIALECTS
from storyloom.storage.unit_of_work import UnitOfWork
from storyloom.storage.vectors import VectorCache

Clock = Callable[[], datetime]

_BUSY_SECONDS = 10.0
_EXAMPLES = "Write it as sqlite:////path/to/stories.sqlite3 or postgresql://user@host/stories."


def utc_now() -> datetime:
    """The moment, with its zone."""
    return datetime.now(UTC)


class Database:
    """A database of stories. Safe to share between threads; each process opens its own.

    Args:
        url: an SQLAlchemy URL, such as ``sqlite:////home/me/stories.sqlite3`` or
            ``postgresql://me@host/stories``.
        clock: tells the time for leases and versions.
        busy_seconds: how long to wait for another writer before giving up.

    Raises:
        InvalidSetting: the URL can't be read, or names a kind of database that isn't known.
        StoreUnavailable: the database can't be opened, is damaged, or a newer Storyloom wrote it.
    """

    def __init__(self, url: str, *, clock: Clock = utc_now, busy_seconds: float = _BUSY_SECONDS) -> None:
        parsed = _parsed(url)
        self._dialect = DIALECTS[parsed.get_backend_name()]
        self._engine, self._writer = self._dialect.open_engines(parsed, busy_seconds=busy_seconds)
        self._clock = clock
        self._vectors = VectorCache()
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def unit_of_work(self, *, write: bool = True) -> UnitOfWork:
        """A unit of work, for a ``with`` statement.

        Args:
            write: other writers of the same things wait for this one: on SQLite all of them, from the
                first statement on. ``False`` reads one snapshot, never waits for a writer, and can't be
                committed.
        """
        engine = self._writer if write else self._engine
        return UnitOfWork(engine, vectors=self._vectors, clock=self._clock, writes=write)

    def check(self) -> list[str]:
        """What is wrong with the database, one sentence a problem; empty when it is well."""
        with self._writer.connect() as connection:
            try:
                found = self._dialect.problems(connection)
                revision = migrations.stored_revision(connection)
            except StoreUnavailable as error:
                return [str(error)]
        if revision != migrations.HEAD:
            found.append(f"the schema is {revision}, and this Storyloom needs {migrations.HEAD}")
        return found

    @property
    def location(self) -> str:
        """Where the database is, for a person: a path, or a URL without its password."""
        return self._dialect.location(self._engine.url)

    def close(self) -> None:
        """Close every connection; calling it twice is harmless."""
        self._engine.dispose()

    def _migrate(self) -> None:
        with self._engine.connect() as connection:
            if _is_current(connection):
                return
        # The lock first: of two processes that open a fresh database, one waits and finds it ready.
        with self._writer.begin() as connection:
            self._dialect.hold_schema(connection)
            migrations.upgrade(connection)


def _is_current(connection: Connection) -> bool:
    return migrations.stored_revision(connection) == migrations.HEAD


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise InvalidSetting(f"The database URL {_shown(url)!r} can't be read. {_EXAMPLES}") from error
    if parsed.get_backend_name() not in DIALECTS:
        raise InvalidSetting(
            f"The database URL names {parsed.get_backend_name()!r}, and stories can be kept in SQLite or "
            f"PostgreSQL only. {_EXAMPLES}"
        )
    return parsed


def _shown(url: str) -> str:
    """A URL that can't be read, without what may be its password."""
    return re.sub(r":[^:/]*@", ":***@", url)
