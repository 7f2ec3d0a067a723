"""The schema's history, oldest first in ``versions/``, and the one function that brings a database up."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from storyloom.memory.errors import StoreUnavailable

# The newest revision in versions/. Kept here so that opening a database that is up to date need not
# import Alembic; a test holds it equal to what Alembic finds.
HEAD = "0005"


def stored_revision(connection: Connection) -> str | None:
    """The revision that the database says it has, or None when it is empty.

    Raises:
        StoreUnavailable: the database holds another program's tables.
    """
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return revision
    if tables:
        raise StoreUnavailable(
            f"The database at {connection.engine.url.database} belongs to another program: it holds the "
            f"table {tables[0]!r} and none of Storyloom's. Name another database in STORYLOOM_DATABASE_URL."
        )
    return None


def upgrade(connection: Connection) -> None:
    """Bring the schema to ``HEAD`` inside the connection's transaction, which must hold the write lock.

    Raises:
        StoreUnavailable: the database was written by a newer Storyloom, or by another program.
    """
    stored = stored_revision(connection)
    if stored == HEAD:
        return
    # Imported here: needed once in a database's life, and it costs start-up time.
    from alembic.config import Config
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    if stored is not None and stored not in {known.revision for known in script.walk_revisions()}:
        raise StoreUnavailable(
            f"The database at {connection.engine.url.database} has schema {stored}, and this Storyloom knows "
            f"schemas up to {HEAD}: a newer Storyloom wrote it. Update Storyloom, or name another database "
            "in STORYLOOM_DATABASE_URL; nothing was changed."
        )

    def missing_steps(heads: tuple[str, ...], _context: MigrationContext) -> list[RevisionStep]:
        missing = list(script.iterate_revisions(HEAD, heads[0] if heads else "base"))
        return [MigrationStep.upgrade_from_script(script.revision_map, known) for known in reversed(missing)]

    context = MigrationContext.configure(connection, opts={"fn": missing_steps})
    with Operations.context(context):
        context.run_migrations()
