"""What a person gives on the command line, before anything is done with it."""

import sys
from pathlib import Path

from storyloom.memory.errors import InvalidText

# A page of memory is the longest text that any command takes; more is a mistake.
_MOST_BYTES = 4_000_000


def text(value: str, what: str) -> str:
    """A text given as it is, as ``@FILE``, or as ``-`` for standard input.

    Args:
        value: the argument.
        what: its name, for errors.

    Raises:
        InvalidText: the file can't be read, is too large, or isn't UTF-8.
    """
    if value == "-":
        return _decoded(sys.stdin.buffer.read(_MOST_BYTES + 1), what, "standard input")
    if not value.startswith("@"):
        return spoken(value, what)
    path = Path(value[1:]).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidText(
            f"The {what} can't be read from {str(path)!r}: {reason}. Give a file's name after the @; a text "
            "that itself begins with @ can come through standard input, as -."
        ) from error
    return _decoded(data, what, str(path))


def spoken(value: str, what: str) -> str:
    """A text given as it is, refused when the shell's bytes weren't UTF-8.

    Raises:
        InvalidText: it isn't UTF-8.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidText(
            f"The {what} isn't valid UTF-8 text. Save it as UTF-8 in a file and give the file as @FILE, "
            "or set the terminal to UTF-8."
        ) from error
    return value


def _decoded(data: bytes, what: str, source: str) -> str:
    if len(data) > _MOST_BYTES:
        raise InvalidText(
            f"The {what} in {source} is larger than {_MOST_BYTES:,} bytes. Give a shorter text."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidText(f"The {what} in {source} isn't UTF-8 text. Save it as UTF-8.") from error
