"""Lorebooks and cards to and from files. What a file is, its content says; what it becomes, its suffix."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storyloom.memory.errors import ImportRefused, InvalidSetting
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.files import write_bytes
from storyloom.storage.formats.lorebooks import (
    book_settings,
    cards,
    character_book,
    losses,
    novelai,
    png,
    recognise,
    sillytavern,
)
from storyloom.storage.formats.lorebooks.data import LARGEST_FILE

FORMATS = (sillytavern.NAME, *cards.SPECS, novelai.NAME)
_BY_SUFFIX = {".json": sillytavern.NAME, ".png": "card-v3", ".lorebook": novelai.NAME}


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
        return recognise.read_content(_content(file), new_id)
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
    suffix = file.suffix.lower()
    name = format or _BY_SUFFIX.get(suffix, "")
    if name not in FORMATS:
        raise InvalidSetting(
            f"Lore can't be exported to {file.name!r} as {name!r}. The forms are {', '.join(FORMATS)}; "
            f"by itself a suffix means one where it is {', '.join(_BY_SUFFIX)}."
        )
    if (suffix == ".png" or picture is not None) and (suffix != ".png" or name not in cards.SPECS):
        raise InvalidSetting("Only a character card goes into a picture, and its file must end in .png.")
    if suffix == ".png":
        content = _card_picture(lorebook, name, picture)
    else:
        content = json.dumps(_dump(lorebook, name), ensure_ascii=False, indent=2).encode() + b"\n"
    write_bytes(file, content)
    return _lost(lorebook, name)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ImportRefused(f"It can't be read: {error.strerror}. Check the path and try again.") from error
    if len(content) > LARGEST_FILE:
        raise ImportRefused(f"It has more than {LARGEST_FILE / 2**20:,.0f} MB, and no more are taken.")
    return content


def _dump(lorebook: Lorebook, name: str) -> dict[str, Any]:
    if name in cards.SPECS:
        return cards.dump(lorebook, name)
    return novelai.dump(lorebook) if name == novelai.NAME else sillytavern.dump(lorebook)


def _card_picture(lorebook: Lorebook, name: str, picture: Path | None) -> bytes:
    """The picture with the card in it: V2 for every program, and V3 beside it where that is asked for."""
    versions = {"chara": "card-v2"} | ({"ccv3": "card-v3"} if name == "card-v3" else {})
    texts = {
        keyword: base64.b64encode(json.dumps(cards.dump(lorebook, version), ensure_ascii=False).encode())
        for keyword, version in versions.items()
    }
    if picture is None:
        return png.with_texts(png.plain_picture(), texts, without=())
    try:
        return png.with_texts(_content(picture), texts, without=recognise.CARD_KEYWORDS)
    except ImportRefused as error:
        raise ImportRefused(f"{picture} can't hold the card. {error}") from error


def _lost(lorebook: Lorebook, name: str) -> tuple[str, ...]:
    is_card, is_novelai = name in cards.SPECS, name == novelai.NAME
    form = character_book.FORM if is_card else novelai.form() if is_novelai else sillytavern.FORM
    written = lorebook.characters[:1] if is_card else ()
    back = None if is_novelai else book_settings.read_back(lorebook)
    return (
        *losses.of_entries(form, lorebook.entries),
        *losses.of_characters(written, lorebook.characters),
        *losses.of_settings(lorebook.settings, back),
        *losses.of_texts(lorebook, form.name, named=not is_novelai),
    )
