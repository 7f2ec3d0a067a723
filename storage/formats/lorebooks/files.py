"""Lorebooks and cards to and from files. What a file is, its content says; what it becomes, its suffix."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from storyloom.memory.errors import ImportRefused, InvalidSetting
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.files import write_text
from storyloom.storage.formats.lorebooks import book_settings, sillytavern
from storyloom.storage.formats.lorebooks.data import LARGEST_FILE, read_json
from storyloom.storage.formats.lorebooks.entries import lost

FORMATS = (sillytavern.NAME,)
_BY_SUFFIX = {".json": sillytavern.NAME}


def read_lorebook(file: Path, new_id: Callable[[], str]) -> Lorebook:
    """Everything about lore and characters that a file holds. Nothing in it is run, fetched or followed.

    Args:
        file: SillyTavern's world info, a character card, a NovelAI lorebook or story, or a KoboldAI save.
        new_id: makes an id for each entry and character; those of the file are only kept for its export.

    Returns:
        The lorebook; ``refused`` says what of it was left out.

    Raises:
        ImportRefused: the file can't be read, is too large, or is none of these.
    """
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            raise ImportRefused(
                f"It has {size / 2**20:,.0f} MB, and at most {LARGEST_FILE / 2**20:,.0f} MB are taken."
            )
        return _read(file.read_bytes(), new_id)
    except OSError as error:
        raise ImportRefused(
            f"{file} can't be read: {error.strerror}. Check the path and try again."
        ) from error
    except ImportRefused as error:
        raise ImportRefused(f"{file} can't be imported. {error}") from error


def write_lorebook(
    file: Path, lorebook: Lorebook, *, format: str = "", picture: Path | None = None
) -> tuple[str, ...]:
    """Write a lorebook in another program's form; missing folders are made.

    Args:
        file: where to; a file that is there is replaced once the new one is complete.
        lorebook: what to write.
        format: one of ``FORMATS``; by default what the suffix means.
        picture: for a card as .png, the PNG that it is put in; by default a plain one.

    Returns:
        What the form has no place for, a sentence each.

    Raises:
        InvalidSetting: neither ``format`` nor the suffix names a form, or the book doesn't fit it.
        ImportRefused: the picture can't be read.
        StoreUnavailable: the file can't be written.
    """
    name = format or _BY_SUFFIX.get(file.suffix.lower(), "")
    if name not in FORMATS:
        raise InvalidSetting(
            f"Lore can't be exported to {file.name!r} as {name!r}. The forms are {', '.join(FORMATS)}; "
            f"by itself a suffix means one where it is {', '.join(_BY_SUFFIX)}."
        )
    write_text(file, json.dumps(sillytavern.dump(lorebook), ensure_ascii=False, indent=2) + "\n")
    return (*lost(sillytavern.FORM, lorebook.entries), *book_settings.lost_settings(lorebook))


def _read(content: bytes, new_id: Callable[[], str]) -> Lorebook:
    data, remarks = read_json(content)
    if not isinstance(data, dict) or "entries" not in data:
        raise ImportRefused("It is no lorebook and no card of a kind that is known.")
    lorebook = sillytavern.read(data, new_id)
    return replace(lorebook, refused=remarks + lorebook.refused)
