"""A file's JSON as plain data, bounded in size, depth and number of values. Knows no format."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from storyloom.memory.errors import ImportRefused
from storyloom.memory.text import clean
from storyloom.storage.formats.lorebooks.sentences import some

LARGEST_FILE = 64 * 2**20
_MOST_VALUES = 4_000_000  # a few hundred megabytes of memory
_DEEPEST = 100
_GREATEST_NUMBER = 2**63
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_json(content: bytes) -> tuple[Any, tuple[str, ...]]:
    """The data that a file's bytes hold, and what was lost on the way, a sentence each.

    Texts lose what can't be stored (NUL, lone surrogates, other control characters); numbers that are none
    or beyond 64 bits become None, as JSON writes them.

    Raises:
        ImportRefused: it is no JSON in UTF-8, or too much of it.
    """
    text = _decoded(content)
    # Counting what parts values bounds their number before any is built.
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        raise ImportRefused(f"The file has more than {_MOST_VALUES:,} values. Split it and import the parts.")
    doubled: dict[str, None] = {}

    def built(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            times = Counter(name for name, _ in pairs)
            doubled.update((clean(name)[:60], None) for name in found if times[name] > 1)
        return found

    try:
        data = json.loads(
            text,
            object_pairs_hook=built,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=lambda _: None,
        )
        cleaned = _cleaned(data, 1)
    except RecursionError as error:
        raise ImportRefused("The file's JSON is nested too deeply. No program writes such a book.") from error
    except ValueError as error:
        raise ImportRefused(f"The file is no JSON that can be read: {error}.") from error
    return cleaned, _told(list(doubled))


def _told(doubled: Sequence[str]) -> tuple[str, ...]:
    if not doubled:
        return ()
    return (
        f"A name stands more than once in one object of the file, and the last was taken: {some(doubled)}.",
    )


def _decoded(content: bytes) -> str:
    if content.startswith(_UTF_16):
        raise ImportRefused("The file is UTF-16 text. Save it as UTF-8 and import it again.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportRefused("The file isn't UTF-8 text, so it is no lorebook and no card.") from error


def _cleaned(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean(name): _cleaned(item, depth + 1) for name, item in value.items()}
    return value


def _whole(digits: str) -> int | None:
    number = int(digits) if len(digits) <= 20 else _GREATEST_NUMBER
    return number if -_GREATEST_NUMBER <= number < _GREATEST_NUMBER else None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None
