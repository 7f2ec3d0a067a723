"""What is particular to SQLite, and errors of the file and the disk in sentences that say what to do."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from storyloom.memory.errors import InvalidText, StoreUnavailable
from storyloom.memory.story import Story
from storyloom.storage.database import Database


@pytest.fixture
def database_url(database_file: Path) -> str:
    return f"sqlite:///{database_file}"


def pragma(database: Database, name: str) -> object:
    with database._engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@contextmanager
def other_writer(file: Path) -> Iterator[None]:
    """Another program in the middle of a write."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_every_commit_reaches_the_disk_and_references_are_held(database: Database) -> None:
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "busy_timeout") == 10_000


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "stories.sqlite3"
    file.write_bytes(b"This is a letter to my aunt. " * 200)
    with pytest.raises(StoreUnavailable, match=r"stories\.sqlite3 is not a database.*Restore it"):
        Database(f"sqlite:///{file}")


def test_a_damaged_database(database_file: Path) -> None:
    content = bytearray(database_file.read_bytes())
    content[200:] = b"\xff" * (len(content) - 200)
    database_file.write_bytes(content)
    with pytest.raises(StoreUnavailable, match=r"is damaged\. Restore it from a copy"):
        Database(f"sqlite:///{database_file}")


def test_a_folder_that_cant_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match=r"folder for the database can't be made.*STORYLOOM_HOME"):
        Database(f"sqlite:///{tmp_path / 'file' / 'stories.sqlite3'}")


def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"can't be opened.*STORYLOOM_DATABASE_URL"):
        Database(f"sqlite:///{tmp_path}")


def test_a_database_that_may_not_be_written(database_file: Path, new_story: Callable[..., Story]) -> None:
    database = Database(f"sqlite:///{database_file}")
    event.listen(
        database._engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = ON")
    )
    database._engine.dispose()
    with (
        pytest.raises(StoreUnavailable, match=r"can't be written to\. Allow writing"),
        database.unit_of_work() as work,
    ):
        work.stories.add(new_story())
    database.close()


def test_a_locked_database_is_waited_for_and_then_told(
    database_file: Path, new_story: Callable[..., Story]
) -> None:
    database = Database(f"sqlite:///{database_file}", busy_seconds=0.05)
    with other_writer(database_file):
        with (
            pytest.raises(StoreUnavailable, match="is locked: another program"),
            database.unit_of_work() as work,
        ):
            work.stories.add(new_story())
        with database.unit_of_work(write=False) as work:  # readers never wait
            assert work.stories.list("local") == []
    with database.unit_of_work() as work:  # and the connection is fit for use again
        work.stories.add(new_story())
        work.commit()
    database.close()


def test_opening_a_fresh_file_that_somebody_holds(tmp_path: Path) -> None:
    file = tmp_path / "stories.sqlite3"
    with (
        other_writer(file),
        pytest.raises(StoreUnavailable, match="is locked"),
    ):
        Database(f"sqlite:///{file}", busy_seconds=0.05)


def test_a_file_that_was_moved_away_is_told_and_no_empty_one_takes_its_place(
    database: Database, database_file: Path
) -> None:
    away = database_file.rename(database_file.with_suffix(".away"))
    database.close()  # an open connection would follow the file
    with pytest.raises(StoreUnavailable, match="can't be opened"), database.unit_of_work() as work:
        work.stories.list("local")
    assert not database_file.exists()
    away.rename(database_file)
    assert database.check() == []


def test_a_full_disk_keeps_what_was_there(
    database: Database, story: Story, new_story: Callable[..., Story]
) -> None:
    event.listen(
        database._engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 60")
    )
    database._engine.dispose()
    with (
        pytest.raises(StoreUnavailable, match=r"the disk is full\. Free some space"),
        database.unit_of_work() as work,
    ):
        work.stories.add(new_story(premise="x" * 1_000_000))
    with database.unit_of_work(write=False) as work:
        assert [found.id for found in work.stories.list("local")] == [story.id]
    assert database.check() == []


def test_half_a_character_is_the_persons_to_mend(database: Database, new_story: Callable[..., Story]) -> None:
    with (
        pytest.raises(InvalidText, match="half of a two-part character"),
        database.unit_of_work() as work,
    ):
        work.stories.add(new_story(premise="\ud83d"))


def test_a_fault_in_our_own_sql_isnt_blamed_on_the_file(database: Database) -> None:
    with database._engine.connect() as connection, pytest.raises(OperationalError, match="no such table"):
        connection.execute(text("SELECT * FROM nowhere"))


def test_the_doctor_hears_of_missing_rows(database: Database) -> None:
    with database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.commit()
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(
            "INSERT INTO revision(id, story_id, subject, old, new, created_at) "
            "VALUES ('r', 'gone', 's', '', '', '2024-01-01')"
        )
        connection.commit()
    assert database.check() == ["row 1 of table revision refers to a missing row of story"]


def test_the_doctor_hears_of_an_untrue_full_text_index(database: Database) -> None:
    with database._writer.begin() as connection:
        connection.exec_driver_sql("INSERT INTO passage_fts(rowid, strand_id, text) VALUES (7, 'x', 'ghost')")
    assert database.check() == ["the full-text index doesn't agree with the passages"]
