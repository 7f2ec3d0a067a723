import threading
from pathlib import Path

import pytest

from storyloom.memory.errors import InvalidSetting, StoreUnavailable
from storyloom.storage.database import Database


def test_a_fresh_database_is_made_with_its_folders_and_is_well(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "folder with 100% ünïcode" / "stories.sqlite3"
    database = Database(f"sqlite:///{file}")
    assert file.exists()
    assert database.check() == []
    assert database.location == str(file)
    database.close()
    database.close()


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
    with pytest.raises(InvalidSetting, match=r"'mysql'.*SQLite or PostgreSQL only"):
        Database("mysql://localhost/stories")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="need a file"):
        Database(url)
