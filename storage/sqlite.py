"""What is particular to SQLite: connections, transactions, and what its errors mean to a person."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, ExceptionContext, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from storyloom.memory.errors import InvalidText, StoreUnavailable

# The execution option that names the statement which begins a transaction: "BEGIN" reads one snapshot,
# "BEGIN IMMEDIATE" also takes the write lock at once, so that a unit of work never has to be tried again.
_BEGIN_OPTION = "storyloom_begin"
_PAUSE_SECONDS = 0.02

_MEANING = {
    sqlite3.SQLITE_BUSY: "is locked: another program has been writing to it for too long. "
    "Try again when it has finished.",
    sqlite3.SQLITE_LOCKED: "is locked by another part of this program. Try again.",
    sqlite3.SQLITE_FULL: "can't grow: the disk is full. Free some space and try again; "
    "what was saved before is safe.",
    sqlite3.SQLITE_READONLY: "can't be written to. Allow writing to the file and its folder, or name "
    "another file in STORYLOOM_DATABASE_URL.",
    sqlite3.SQLITE_CANTOPEN: "can't be opened. Look whether the path is right and its folder can be "
    "written to, or name another file in STORYLOOM_DATABASE_URL.",
    sqlite3.SQLITE_PERM: "may not be opened by you. Change the file's permissions, or name another file "
    "in STORYLOOM_DATABASE_URL.",
    sqlite3.SQLITE_NOTADB: "is not a database: the file is damaged or something else. Restore it from a "
    "copy, or name another file in STORYLOOM_DATABASE_URL.",
    sqlite3.SQLITE_CORRUPT: "is damaged. Restore it from a copy, or name another file in "
    "STORYLOOM_DATABASE_URL; stories that can still be read can be exported to .json first.",
    sqlite3.SQLITE_IOERR: "can't be read or written: the disk reports an error. "
    "Check the disk and try again.",
}


def open_engines(url: URL, *, busy_seconds: float) -> tuple[Engine, Engine]:
    """Engines for readers and for writers on the file that ``url`` names; its folder is made when missing.

    Raises:
        StoreUnavailable: no file is named, its folder can't be made, or it can't be read or written.
    """
    if not url.database or url.database == ":memory:":
        raise StoreUnavailable("Stories need a file to live in: name one, as in sqlite:///stories.sqlite3.")
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"The folder for the database can't be made: {path.parent} ({error.strerror}). "
            "Set STORYLOOM_HOME to a folder that can be written to."
        ) from error
    engine = create_engine(url, connect_args={"timeout": busy_seconds})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _explain)
    _use_write_ahead_log(engine, busy_seconds)
    event.listen(engine, "do_connect", _make_no_file)
    return engine, engine.execution_options(**{_BEGIN_OPTION: "BEGIN IMMEDIATE"})


def hold_schema(connection: Connection) -> None:
    """Nothing is left to hold: the writer's transaction began with the lock on the whole file."""


def location(url: URL) -> str:
    """The file."""
    return url.database or ""


def problems(connection: Connection) -> list[str]:
    """What SQLite's own checks find wrong with the file; empty when it is well."""
    found = [
        f"damaged: {row[0]}" for row in connection.exec_driver_sql("PRAGMA integrity_check") if row[0] != "ok"
    ]
    found += [
        f"row {row[1]} of table {row[0]} refers to a missing row of {row[2]}"
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
    ]
    try:
        connection.exec_driver_sql("INSERT INTO passage_fts(passage_fts, rank) VALUES ('integrity-check', 1)")
    except StoreUnavailable:
        found.append("the full-text index doesn't agree with the passages")
    return found


def _make_no_file(
    _dialect: Dialect, _entry: ConnectionPoolEntry, arguments: list[Any], options: dict[str, Any]
) -> None:
    """Open only a file that is there: where one was moved away, an empty one would take its place."""
    if not options.get("uri"):
        arguments[0] = f"{Path(arguments[0]).absolute().as_uri()}?mode=rw"
        options["uri"] = True


def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver must begin no transaction by itself; _begin does, and SQLAlchemy commits.
    connection.isolation_level = None
    with closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN_OPTION, "BEGIN"))


def _use_write_ahead_log(engine: Engine, busy_seconds: float) -> None:
    """Switch the file to WAL, which lasts; SQLite doesn't wait for other openers here, so this does."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            with closing(engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.DatabaseError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                engine.dispose()
                raise _unavailable(error, engine) from error
            time.sleep(_PAUSE_SECONDS)


def _explain(context: ExceptionContext) -> Exception | None:
    """The one place where the driver's errors become ours; ``None`` leaves an error as it is."""
    error = context.original_exception
    if isinstance(error, UnicodeEncodeError):
        return InvalidText(
            "The text can't be saved: it holds half of a two-part character. Take the odd characters out."
        )
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.IntegrityError):
        return None
    # An error in our own SQL is a fault to be found, not a state of the file to be told about.
    return None if _code(error) == sqlite3.SQLITE_ERROR else _unavailable(error, context.engine)


def _unavailable(error: sqlite3.Error, engine: Engine | None) -> StoreUnavailable:
    """What a driver's error means, in words that say what to do."""
    meaning = _MEANING.get(_code(error), f"can't be used: {error}. Run `storyloom doctor` to check it.")
    return StoreUnavailable(f"The database {engine.url.database if engine else ''} {meaning}")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; errors that the driver raises by itself have none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
