import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storyloom.memory.errors import ImportRefused, InvalidSetting, StoreUnavailable, StoryNotFound
from storyloom.memory.story import Story, Strand
from storyloom.storage import formats
from storyloom.storage.database import Database
from storyloom.storage.formats import files


@pytest.fixture
def written(story: Story, grow: Callable[..., None], branch: Callable[..., Strand]) -> Story:
    grow("main", 1, 3)
    branch("side", "main", 1)
    grow("side", 2, 2)
    return story


@pytest.mark.parametrize("suffix", formats.EXPORT_SUFFIXES)
def test_the_suffix_names_the_form(database: Database, written: Story, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "new folder" / f"My book{suffix.upper()}"
    with database.unit_of_work(write=False) as work:
        assert formats.write_story(work, written.id, None, file) == file
        text = file.read_text(encoding="utf-8")
        assert "Paragraph 3 of main." in text
        assert ("Paragraph 2 of side." in text) == (suffix == ".json")
        formats.write_story(work, written.id, "side", file)
    assert "Paragraph 2 of side." in file.read_text(encoding="utf-8")
    assert os.listdir(file.parent) == [file.name]  # noqa: PTH208


@pytest.mark.parametrize("name", ["book", "book.pdf", "book.json.gz", ".json"])
def test_an_unknown_suffix_names_the_known(
    database: Database, written: Story, tmp_path: Path, name: str
) -> None:
    with (
        database.unit_of_work(write=False) as work,
        pytest.raises(InvalidSetting, match=r"\.md, \.txt, \.json"),
    ):
        formats.write_story(work, written.id, None, tmp_path / name)
    assert list(tmp_path.glob("book*")) == []


def test_an_unknown_story_makes_no_file(database: Database, tmp_path: Path) -> None:
    with database.unit_of_work(write=False) as work, pytest.raises(StoryNotFound):
        formats.write_story(work, "nothing", None, tmp_path / "book.md")
    assert not (tmp_path / "book.md").exists()


def test_a_written_story_is_read_back(database: Database, written: Story, tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    with database.unit_of_work() as work:
        formats.write_story(work, written.id, None, file)
        work.stories.delete(written.id)
        assert formats.read_story(work, file, owner="local").id == written.id
        assert work.steps.depth("side") == 2


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "book.txt"
    file.write_text("the old one")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match=r"book\.txt can't be written: No space left on device"):
        files.write_text(file, "the new one")
    assert file.read_text() == "the old one"
    assert [found.name for found in tmp_path.glob("*book*")] == ["book.txt"]


def test_a_place_that_cant_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.md").mkdir()
    for place in (tmp_path / "file" / "book.md", tmp_path / "folder.md"):
        with pytest.raises(StoreUnavailable, match=r"can't be written.*another place"):
            files.write_text(place, "text")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    files.write_text(tmp_path / "link.txt", "new\r\n")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_bytes() == b"new\r\n"


@pytest.mark.parametrize("name", ["book.md", "book", "book.docx"])
def test_only_json_is_imported(database: Database, tmp_path: Path, name: str) -> None:
    with database.unit_of_work() as work, pytest.raises(ImportRefused, match=r"only \.json"):
        formats.read_story(work, tmp_path / name, owner="local")


def test_files_that_cant_be_read_are_told(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.json").write_bytes(b"x" * 100_001)
    monkeypatch.setattr(files, "LARGEST_IMPORT", 100_000)
    with database.unit_of_work() as work:
        for name, reason in (
            ("gone.json", "can't be read: No such file"),
            ("folder.json", "can't be read: Is a directory"),
            ("binary.json", "isn't UTF-8"),
            ("large.json", "too large"),
        ):
            with pytest.raises(ImportRefused, match=reason):
                formats.read_story(work, tmp_path / name, owner="local")
