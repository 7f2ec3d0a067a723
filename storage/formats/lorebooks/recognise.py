"""Which program's form a file has, by its content alone."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import cards, character_book, koboldai, novelai, png, sillytavern
from storyloom.storage.formats.lorebooks.data import read_json

# In a card with both, V3 is the whole one and V2 a copy for older programs.
CARD_KEYWORDS = ("ccv3", "chara")
_KEYWORDS = (*CARD_KEYWORDS, "naidata")
_NOT_READ = {
    b"PK\x03\x04": "a zip archive (a .charx card or a backup). Export the card as PNG or JSON",
    b"\xff\xd8\xff": "a JPEG picture. Cards are PNG pictures or JSON",
    b"RIFF": "a WebP picture. Cards are PNG pictures or JSON",
}


def read_content(content: bytes, new_id: Callable[[], str]) -> Lorebook:
    """A file's bytes as a lorebook.

    Raises:
        ImportRefused: they are none, or can't be read.
    """
    if content.startswith(png.SIGNATURE):
        return _read_picture(content, new_id)
    for start, what in _NOT_READ.items():
        if content.startswith(start):
            raise ImportRefused(f"It is {what}.")
    return _read_json(content, new_id)


def _read_picture(content: bytes, new_id: Callable[[], str]) -> Lorebook:
    texts, wrong = png.read_texts(content, _KEYWORDS)
    reasons = list(wrong)
    for keyword in _KEYWORDS:
        if keyword in texts:
            try:
                found = _read_json(_unpacked(texts[keyword]), new_id)
            except ImportRefused as error:
                reasons.append(f"The picture's chunk “{keyword}” can't be read: {error}")
                continue
            return replace(found, refused=(*reasons, *found.refused))
    raise ImportRefused(" ".join(reasons) or "The picture holds no character card and no lorebook.")


def _read_json(content: bytes, new_id: Callable[[], str]) -> Lorebook:
    data, remarks = read_json(content)
    if not isinstance(data, Mapping):
        raise ImportRefused("It is JSON, but no lorebook and no card.")
    found = _reader(data)(data, new_id)
    return replace(found, refused=(*remarks, *found.refused))


def _reader(data: Mapping[str, Any]) -> Callable[[Mapping[str, Any], Callable[[], str]], Lorebook]:
    if novelai.is_lorebook(data):
        return novelai.read
    if data.get("spec") == "lorebook_v3":
        return lambda data, new_id: character_book.read(_inner(data), new_id)
    if cards.is_card(data):
        return cards.read
    if koboldai.is_save(data):
        return koboldai.read
    if "entries" in data:
        return character_book.read if _is_character_book(data["entries"]) else sillytavern.read
    raise ImportRefused(
        "It is JSON, but no lorebook: neither SillyTavern's world info, a character card, a NovelAI lorebook "
        "nor a KoboldAI save."
    )


def _inner(data: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = data.get("data")
    if not isinstance(inner, Mapping):
        raise ImportRefused("The lorebook can't be read: its “data” are no object.")
    return inner


def _is_character_book(entries: Any) -> bool:
    """Whether the entries are named as in a card: ``keys`` where world info has ``key``."""
    raws = entries.values() if isinstance(entries, Mapping) else entries if isinstance(entries, list) else ()
    first = next((raw for raw in raws if isinstance(raw, Mapping)), {})
    return "keys" in first and "key" not in first


def _unpacked(text: bytes) -> bytes:
    """Base64, also without its padding or with line breaks, as some programs write it."""
    packed = b"".join(text.split())
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise ImportRefused("It is no base64.") from error
