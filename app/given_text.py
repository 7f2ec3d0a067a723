"""A person's text, made fit to store, or refused in a sentence. Knows no story."""

import re

from storyloom.memory.errors import InvalidText
from storyloom.memory.text import clean

LONGEST_PREMISE = 20_000
LONGEST_PLAN = 2_000
LONGEST_PARAGRAPH = 100_000
LONGEST_MEMORY = 400_000
LONGEST_TITLE = 300
LONGEST_STYLE = 2_000
LONGEST_OUTLINE = 20_000
# BCP 47's form; whether anybody speaks it is the model's affair.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")


def required(text: str, what: str, longest: int) -> str:
    """The text without control characters and white space around it.

    Raises:
        InvalidText: it is empty or longer than ``longest`` characters.
    """
    cleaned = optional(text, what, longest)
    if not cleaned:
        raise InvalidText(f"The {what} is empty. Write at least a few words.")
    return cleaned


def optional(text: str, what: str, longest: int) -> str:
    """As ``required``, and may be empty.

    Raises:
        InvalidText: it is longer than ``longest`` characters.
    """
    if len(text) > longest:
        raise InvalidText(
            f"The {what} has {len(text):,} characters, and at most {longest:,} can be used. Shorten it."
        )
    return clean(text).strip()


def checked_premise(text: str) -> str:
    """A premise that a story can start from.

    Raises:
        InvalidText: it is empty or too long.
    """
    return required(text, "premise", LONGEST_PREMISE)


def checked_language(tag: str) -> str:
    """A language tag in BCP 47's form; empty for none.

    Raises:
        InvalidText: it can't be one.
    """
    if tag and not _LANGUAGE.fullmatch(tag):
        raise InvalidText(f"{tag[:40]!r} is no language tag. Write one such as en, de or pt-BR.")
    return tag
