"""Two texts side by side with the words marked that only one of them has. Knows no component."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape

# Comparing takes the square of the words; and where little is alike, all would be marked.
_MOST_WORDS = 1_500
_LEAST_ALIKE = 0.4


def marked(left: str, right: str) -> tuple[str, str] | None:
    """Both texts as HTML, what differs marked.

    Returns:
        The two, or None where they are too long to be compared or have too little in common.
    """
    words, others = _words(left), _words(right)
    if max(len(words), len(others)) > _MOST_WORDS:
        return None
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    if matcher.ratio() < _LEAST_ALIKE:
        return None
    codes = matcher.get_opcodes()
    return (
        "".join(_run(words[first:last], kind != "equal") for kind, first, last, _, _ in codes),
        "".join(_run(others[first:last], kind != "equal") for kind, _, _, first, last in codes),
    )


def _words(text: str) -> list[str]:
    """The words, each with the white space behind it."""
    return re.findall(r"\S+\s*|\s+", text)


def _run(words: Sequence[str], is_marked: bool) -> str:
    text = "".join(words)
    core = text.rstrip()
    if not is_marked or not core:
        return escape(text)
    return f"<mark>{escape(core)}</mark>{escape(text[len(core) :])}"
