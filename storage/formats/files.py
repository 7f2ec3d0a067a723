"""Stories to and from files: the suffix names the form, and a file is written whole or not at all."""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from storyloom.memory.errors import ImportRefused, InvalidSetting, StoreUnavailable
from storyloom.memory.story import Step, Story
from storyloom.storage.formats import json_format, markdown, text
from storyloom.storage.unit_of_work import UnitOfWork

LARGEST_IMPORT = 512 * 2**20

_BOOKS: dict[str, Callable[[Story, Sequence[Step], Mapping[int, str]], str]] = {
    ".md": markdown.render,
    ".txt": text.render,
}
EXPORT_SUFFIXES = (*_BOOKS, ".json")


def write_story(work: UnitOfWork, story_id: str, strand_id: str | None, file: Path) -> Path:
    """Write a story to a file in the form that its suffix names; missing folders are made.

    Args:
        work: reads the story.
        story_id: the story.
        strand_id: the strand that becomes the book, the main one by default. A .json holds all strands.
        file: where to; a file that is there is replaced once the new one is complete.

    Returns:
        The file.

    Raises:
        InvalidSetting: the suffix names no form that is known.
        StoreUnavailable: the file can't be written.
        StoryNotFound, StrandNotFound: there is no such story or strand.
    """
    suffix = file.suffix.lower()
    if suffix == ".json":
        content = json_format.dump_story(work, story_id)
    elif suffix in _BOOKS:
        story = work.stories.get(story_id)
        strand_id = strand_id or work.strands.main(story_id).id
        chapters = {chapter.depth: chapter.title for chapter in work.chapters.path(strand_id)}
        content = _BOOKS[suffix](story, work.steps.path(strand_id), chapters)
    else:
        raise InvalidSetting(
            f"A story can't be exported to {file.name!r}: its suffix must be one of "
            f"{', '.join(EXPORT_SUFFIXES)}."
        )
    write_text(file, content)
    return file


def read_story(work: UnitOfWork, file: Path, *, owner: str) -> Story:
    """Bring a story in from a .json that ``write_story`` wrote; the ids are kept.

    Raises:
        ImportRefused: the file can't be read, is too large or malformed, or its story exists already.
    """
    if file.suffix.lower() != ".json":
        raise ImportRefused(
            f"{file.name!r} can't be imported: only .json files that Storyloom exported, .txt and .md can."
        )
    try:
        size = file.stat().st_size
        if size > LARGEST_IMPORT:
            raise ImportRefused(
                f"{file} is too large to import: it has {size / 2**20:,.0f} MB, and at most "
                f"{LARGEST_IMPORT / 2**20:,.0f} MB are taken."
            )
        content = file.read_bytes()
    except OSError as error:
        raise ImportRefused(
            f"{file} can't be read: {error.strerror}. Check the path and try again."
        ) from error
    try:
        return json_format.import_story(work, content.decode("utf-8"), owner=owner)
    except UnicodeDecodeError as error:
        raise ImportRefused(f"{file} is no story: it isn't UTF-8 text.") from error


def write_text(file: Path, content: str) -> None:
    """Write a file in UTF-8, whole or not at all.

    Raises:
        StoreUnavailable: the file can't be written.
    """
    write_bytes(file, content.encode("utf-8"))


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside it first, then in its place.

    Raises:
        StoreUnavailable: the file can't be written.
    """
    file = file.resolve()  # a link stays a link to the new content
    partial = file.with_name(f".{file.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"{file} can't be written: {error.strerror}. Nothing was changed; choose another place "
            "or make room."
        ) from error
