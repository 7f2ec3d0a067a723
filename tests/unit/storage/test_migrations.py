import re
from collections.abc import Iterator
from pathlib import Path

import pgvector.sqlalchemy  # noqa: F401  (teaches SQLAlchemy to read the columns of vectors)
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, create_engine, inspect, text
from sqlalchemy.schema import SchemaItem

from storyloom.memory.errors import StoreUnavailable
from storyloom.storage import migrations
from storyloom.storage.database import Database
from storyloom.storage.tables import Row
from tests.postgresql import PostgresqlServer


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return ScriptDirectory.from_config(config)


def ours(item: SchemaItem, name: str | None, kind: str, _reflected: bool, _other: SchemaItem | None) -> bool:
    """The full-text index isn't SQLModel's: neither SQLite's tables for it nor PostgreSQL's column."""
    if kind == "table":
        return not str(name).startswith(("passage_fts", "sqlite_"))
    return not (isinstance(item, Column) and str(item) == "passage.words") and name != "ix_passage_words"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind that nothing was ever written to."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        name = server.create(empty=True)
        yield server.url(name)
        server.drop(name)


def test_head_is_the_newest_script_and_scripts_are_numbered_without_a_gap() -> None:
    assert script().get_current_head() == migrations.HEAD
    names = [found.revision for found in script().walk_revisions()]
    assert names == [f"{number:04}" for number in range(len(names), 0, -1)]


def test_the_migrated_schema_is_the_tables_schema(database: Database) -> None:
    with database._engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "include_object": ours}
        )
        assert compare_metadata(context, Row.metadata) == []


def test_the_migrated_tables_are_written_as_the_metadata_writes_them(
    database_file: Path, tmp_path: Path
) -> None:
    """Alembic's comparison doesn't see partial indexes, cascades and primary keys' names: the SQL does."""
    created = create_engine(f"sqlite:///{tmp_path / 'created.sqlite3'}")
    with created.begin() as connection:
        Row.metadata.create_all(connection)
        expected = statements(connection)
    created.dispose()
    opened = create_engine(f"sqlite:///{database_file}")
    with opened.connect() as connection:
        migrated = statements(connection)
    opened.dispose()
    assert migrated == expected


def statements(connection: Connection) -> dict[str, set[str]]:
    """The parts of each CREATE statement, in no order: the comma between two of them means nothing."""
    query = (
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'passage_fts%' "
        "AND name NOT LIKE 'alembic%' AND name NOT LIKE 'sqlite_%'"
    )
    # SQLite writes an added column on the line of the one before it. In brackets the order counts.
    between = re.compile(r"\n|\t|,(?![^(]*\))")
    return {
        row[0]: {part.strip() for part in between.split(row[1]) if part.strip()}
        for row in connection.execute(text(query))
    }


@pytest.mark.parametrize("revision", [found.revision for found in script().walk_revisions()])
def test_an_old_database_is_brought_up(empty_url: str, revision: str) -> None:
    """From nothing to an old revision, then opened: every old version still opens."""
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        upgrade_to(connection, revision)
    engine.dispose()
    opened = Database(empty_url)
    assert opened.check() == []
    opened.close()


def test_strands_kept_before_there_was_an_archive_are_in_none(empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        upgrade_to(connection, "0004")
        for statement in (
            "INSERT INTO story VALUES "
            "('a', 'local', 't', 't', '', 'novel', '', '', '', '', '{}', :now, :now, 1)",
            "INSERT INTO strand (id, story_id, fork_depth, name, created_at) VALUES ('m', 'a', 0, '', :now)",
            "INSERT INTO strand (id, story_id, parent_id, fork_depth, name, created_at) "
            "VALUES ('s', 'a', 'm', 0, 'Darker', :now)",
        ):
            connection.execute(text(statement), {"now": "2026-03-04 05:06:07.000000"})
    engine.dispose()
    opened = Database(empty_url)
    with opened.unit_of_work() as work:
        assert [(one.id, one.name, one.archived) for one in work.strands.of_story("a")] == [
            ("m", "", False),
            ("s", "Darker", False),
        ]
        work.strands.set_archived("s", True)
        work.commit()
    assert opened.check() == []
    opened.close()
    with engine.begin() as connection:  # and back: the strand stays, only the mark goes
        with Operations.context(MigrationContext.configure(connection)):
            script().get_revision("0005").module.downgrade()
        assert connection.execute(text("SELECT name FROM strand WHERE id = 's'")).scalar() == "Darker"
        assert "archived" not in {column["name"] for column in inspect(connection).get_columns("strand")}
    engine.dispose()


def upgrade_to(connection: Connection, revision: str) -> None:
    scripts = script()

    def steps(_heads: tuple[str, ...], _context: MigrationContext) -> list[RevisionStep]:
        wanted = reversed(list(scripts.iterate_revisions(revision, "base")))
        return [MigrationStep.upgrade_from_script(scripts.revision_map, found) for found in wanted]

    context = MigrationContext.configure(connection, opts={"fn": steps})
    with Operations.context(context):
        context.run_migrations()


def test_every_revision_can_be_taken_back(empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        upgrade_to(connection, migrations.HEAD)
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            for found in script().walk_revisions():
                found.module.downgrade()
        tables = inspect(connection).get_table_names()
    engine.dispose()
    assert set(tables) <= {"alembic_version"}


def test_a_newer_database_is_refused_and_left_alone(database: Database, database_url: str) -> None:
    with database._writer.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert "9999" in database.check()[0]
    with pytest.raises(StoreUnavailable, match=r"schema 9999.*up to 0005.*Update Storyloom"):
        Database(database_url)
    with database._engine.connect() as connection:
        assert migrations.stored_revision(connection) == "9999"


def test_another_programs_database_is_refused(empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE bookmarks (id INTEGER)"))
    engine.dispose()
    with pytest.raises(StoreUnavailable, match=r"another program.*'bookmarks'"):
        Database(empty_url)
