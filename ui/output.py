"""Plain output: text and JSON on stdout, everything else on stderr. Imports nothing heavy."""

import io
import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_GAP = "  "


def prepare() -> None:
    """Let no character stop the output: what a terminal can't show becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def say(text: str = "") -> None:
    """A line of the result."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def say_table(rows: Sequence[Sequence[str]], *, left: int) -> None:
    """Rows of equally many cells as lines, the first ``left`` columns aligned left, the others right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say(_GAP.join(cells).rstrip())


def note(text: str) -> None:
    """A line beside the result: progress, hints, warnings. Lost where it can't be written."""
    with outliving_the_disk():
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()


@contextmanager
def outliving_the_disk() -> Iterator[None]:
    """Lines in here are lost rather than end a long work, when the disk that keeps them is full or fails."""
    try:
        yield
    except BrokenPipeError:  # nobody reads any more
        raise
    except OSError:
        return


def problem(text: str) -> None:
    """What went wrong and what to do, as one paragraph."""
    note(f"storyloom: {' '.join(text.split())}")


def problems(lines: Sequence[str]) -> None:
    """Several things that went wrong, each as a line of its own."""
    for line in lines:
        problem(line)


def emit(document: dict[str, Any], *, indent: int | None = 2) -> None:
    """The one JSON document of a command, in UTF-8 whatever the terminal speaks; without indent a line."""
    text = json.dumps(document, ensure_ascii=False, indent=indent) + "\n"
    # Half of a two-part character can't be UTF-8; as an escape it is the same JSON.
    data = text.encode("utf-8", errors="backslashreplace")
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def printable(text: str) -> str:
    """Text that can't steer a terminal: no control characters but newline and tab."""
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"})
