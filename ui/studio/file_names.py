"""Texts about this machine's files for those who need not know where on it they are. Knows no component."""

import re
from collections.abc import Iterable
from pathlib import Path

# What is left once the known folders are gone; an address such as http://… isn't one.
_PATH = re.compile(r"(?<![\w./])/(?!/)(?:[^\s/'\"<>,;()]+/)*([^\s/'\"<>,;()]+)/?")


def bare(text: str, folders: Iterable[Path] = ()) -> str:
    """A text whose absolute paths are file names.

    Args:
        text: what is told.
        folders: those that may be named in it; a known one is recognised with blanks in its name too.
    """
    for folder in sorted(map(str, folders), key=len, reverse=True):
        text = text.replace(f"{folder}/", "").replace(folder, Path(folder).name)
    return _PATH.sub(r"\1", text)
