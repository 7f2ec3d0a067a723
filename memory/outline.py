"""An outline as chapters: a line a chapter. Knows no model."""

import re

from storyloom.memory.text import count_words

# What stands before a line in a list: a bullet, or its number.
_LIST_MARK = re.compile(r"^\s*(?:[-–—*•#]+\s+|\d{1,4}[.):]\s*)")
_TITLE_WORDS = 8


def outline_chapters(outline: str, most: int) -> tuple[str, ...]:
    """What happens in each chapter, in the outline's own words.

    Args:
        outline: a line a chapter; empty lines don't count.
        most: how many chapters there may be; lines beyond them share one with their neighbours.
    """
    lines = [_LIST_MARK.sub("", line).strip() for line in outline.splitlines()]
    lines = [line for line in lines if line]
    chapters = min(len(lines), most)
    starts = [len(lines) * place // chapters for place in range(chapters)]
    return tuple(
        " ".join(lines[start:end]) for start, end in zip(starts, [*starts[1:], len(lines)], strict=False)
    )


def given_title(chapter: str) -> str:
    """The title that stands before a colon at a chapter's beginning; empty where there is none."""
    title, colon, text = chapter.partition(":")
    is_title = colon and text.strip() and 1 <= count_words(title) <= _TITLE_WORDS
    return title.strip() if is_title else ""
