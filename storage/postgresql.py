"""What is particular to PostgreSQL: connections, transactions, and what its errors mean to a person."""

from math import ceil
from typing import TYPE_CHECKING, cast

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from storyloom.memory.errors import InvalidText, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

# Any number will do, as long as every Storyloom takes the same.
_SCHEMA_LOCK = 0x53746F72796C6F6F
# A server that vanished without a word is given up after this.
_SILENCE_MILLISECONDS = 30_000
_LEAST_CONNECT_SECONDS = 2

_SAME_MOMENT = "was changed by somebody else at the same moment, and this change was not saved. Try again."
# By PostgreSQL's own codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_MEANING = {
    "55P03": "is locked: another program has been writing to it for too long. "
    "Try again when it has finished.",
    "40P01": _SAME_MOMENT,
    "40001": _SAME_MOMENT,
    "53100": "can't grow: the server's disk is full. Free some space and try again; "
    "what was saved before is safe.",
    "53200": "can't be used: the server is out of memory. Try again, or give it more.",
    "53300": "takes no more connections. Close another program that uses it, or raise the server's "
    "max_connections.",
    "57014": "took too long over this. Try again, or raise the server's statement_timeout.",
    "25006": "can't be written to: the server allows reading only. Name the main server in "
    "STORYLOOM_DATABASE_URL.",
    "42501": "doesn't allow this user to do that. Make the user the database's owner; should the extension "
    "be what is missing, have an administrator run CREATE EXTENSION vector in this database.",
    "0A000": "can't be set up: its server lacks pgvector. Install it there, and try again.",
    "58030": "can't be read or written: the server's disk reports an error. Check the disk and try again.",
    "XX001": "is damaged. Restore it from a copy; stories that can still be read can be exported to .json "
    "first.",
    "XX002": "has a damaged index. Run REINDEX DATABASE on it, and try again.",
}


def open_engines(url: URL, *, busy_seconds: float) -> tuple[Engine, Engine]:
    """Engines for readers and for writers on the database that ``url`` names.

    Raises:
        StoreUnavailable: the extra ``postgres`` is missing.
    """
    try:
        import pgvector  # noqa: F401
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StoreUnavailable(
            "PostgreSQL needs packages that aren't installed: python -m pip install 'storyloom[postgres]'."
        ) from error
    options = {
        "application_name": "storyloom",
        "connect_timeout": max(_LEAST_CONNECT_SECONDS, ceil(busy_seconds)),
        "tcp_user_timeout": _SILENCE_MILLISECONDS,
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,  # the server may have been started anew meanwhile
        connect_args={name: value for name, value in options.items() if name not in url.query},
    )
    wait = max(1, round(busy_seconds * 1000))  # 0 would wait for ever

    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        _prepare(cast("psycopg.Connection[object]", connection), wait)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "handle_error", _explain)
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return reader, engine


def hold_schema(connection: Connection) -> None:
    """Keep others from changing the schema until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})


def problems(connection: Connection) -> list[str]:
    """What PostgreSQL knows to be wrong with the database; empty when it is well."""
    damaged = text("SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()")
    invalid = text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1")
    unchecked = text(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE NOT convalidated ORDER BY 1, 2"
    )
    found = [f"damaged: {count} pages" for (count,) in connection.execute(damaged) if count]
    found += [f"the index {name} is unfinished" for (name,) in connection.execute(invalid)]
    found += [
        f"rows of table {table} may break the rule {name}" for table, name in connection.execute(unchecked)
    ]
    return found


def location(url: URL) -> str:
    """Server and database; never the password."""
    server = f"{url.host or url.query.get('host') or 'localhost'}{f':{url.port}' if url.port else ''}"
    return f"{url.database or url.username or ''} on {server}"


def _prepare(connection: "psycopg.Connection[object]", wait_milliseconds: int) -> None:
    """Make a new connection fit for use."""
    from psycopg.types.string import StrDumperUnknown

    class TextDumper(StrDumperUnknown):
        """PostgreSQL's text can hold any character but NUL: the usual one stands in for it."""

        def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
            return super().dump(obj.replace("\0", "\ufffd"))

    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"The database {connection.info.dbname} keeps text as {encoding}, which can't hold every "
            "language. Make one with: createdb --encoding UTF8 --template template0 NAME."
        )
    connection.adapters.register_dumper(str, TextDumper)
    connection.autocommit = True
    connection.execute(f"SET lock_timeout = {wait_milliseconds}")
    connection.autocommit = False


def _explain(context: ExceptionContext) -> Exception | None:
    """The one place where the driver's errors become ours; ``None`` leaves an error as it is."""
    error = context.original_exception
    if isinstance(error, UnicodeEncodeError):
        return InvalidText(
            "The text can't be saved: it holds half of a two-part character. Take the odd characters out."
        )
    if context.is_pre_ping or not isinstance(context.sqlalchemy_exception, DBAPIError):
        return None  # a dead connection of the pool is replaced by itself
    code: str | None = getattr(error, "sqlstate", None)
    where = location(context.engine.url) if context.engine else ""
    if code in _MEANING:
        return StoreUnavailable(f"The database {where} {_MEANING[code]}")
    if isinstance(context.sqlalchemy_exception, OperationalError):
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        return StoreUnavailable(
            f"The database {where} can't be reached: {reason}. Look whether the server runs and "
            "STORYLOOM_DATABASE_URL is right, and try again."
        )
    return None
