import threading
from pathlib import Path

import pytest

from storyloom.memory.errors import InvalidSetting, StoreUnavailable
from storyloom.storage.database import Database


def pragma(database: Database, name: str) -> object:
    with database._engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_a_fresh_database_is_made_with_its_folders_and_is_well(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "folder with 100% ünïcode" / "stories.sqlite3"
    database = Database(f"sqlite:///{file}")
    assert file.exists()
    assert database.check() == []
    assert database.location == str(file)
    database.close()
    database.close()


def test_every_commit_reaches_the_disk_and_references_are_held(database: Database) -> None:
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "busy_timeout") == 10_000


def test_many_threads_open_the_same_fresh_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'stories.sqlite3'}"
    problems: list[object] = []

    def open_and_check() -> None:
        try:
            opened = Database(url)
            problems.extend(opened.check())
            opened.close()
        except StoreUnavailable as error:
            problems.append(error)

    threads = [threading.Thread(target=open_and_check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


@pytest.mark.parametrize("url", ["", "no url", "sqlite"])
def test_a_url_that_cant_be_read_is_told_with_an_example(url: str) -> None:
    with pytest.raises(InvalidSetting, match="sqlite:///"):
        Database(url)


def test_another_kind_of_database_is_named() -> None:
    with pytest.raises(InvalidSetting, match=r"'mysql'.*SQLite only"):
        Database("mysql://localhost/stories")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="need a file"):
        Database(url)


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
