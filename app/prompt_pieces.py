"""Which words of a step's prompt come from which of its slot records. Knows no storage and no model."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from storyloom.app.agents.calls import readable
from storyloom.app.templates import Templates
from storyloom.app.weaving import rebuild
from storyloom.memory.story import SlotRecord, Weaving

# Noncharacters: no text of a person or a model means anything by them, and no template trims them.
_BEGIN, _AFTER_PLACE, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_MARKED = re.compile(f"{_BEGIN}([0-9]+){_AFTER_PLACE}([^{_BEGIN}{_AFTER_PLACE}{_END}]*){_END}")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a prompt.

    Attributes:
        text: its words.
        place: the place of its record among the step's slot records; None for the template's own words.
    """

    text: str
    place: int | None = None


def pieces(records: Sequence[SlotRecord], weaving: Weaving, templates: Templates) -> tuple[Piece, ...] | None:
    """The prompt of a step's first call, as a person reads it, in pieces that together are the whole of it.

    Every record is marked, the prompt made again and the marks taken out: nothing is searched for, so that
    a text that stands in two slots is told apart.

    Returns:
        The pieces, or None where the template does more with a text than to place it.

    Raises:
        InvalidSetting: the template was a user's own, and what it includes is gone.
    """
    marks = [replace(record, text=marked(place, record.text)) for place, record in enumerate(records)]
    found = split(readable(rebuild(marks, weaving, templates)))
    whole = readable(rebuild(records, weaving, templates))
    return found if "".join(piece.text for piece in found) == whole else None


def marked(place: int, text: str) -> str:
    """The text with marks around it; white space at its edges, which a template may trim, stays outside."""
    core = text.strip()
    if not core:
        return text
    begin = text.index(core)
    return f"{text[:begin]}{_BEGIN}{place}{_AFTER_PLACE}{core}{_END}{text[begin + len(core) :]}"


def split(text: str) -> tuple[Piece, ...]:
    """The pieces of a text that ``marked`` texts stand in."""
    return tuple(_split(text))


def _split(text: str) -> Iterable[Piece]:
    done = 0
    for found in _MARKED.finditer(text):
        if found.start() > done:
            yield Piece(text[done : found.start()])
        yield Piece(found[2], int(found[1]))
        done = found.end()
    if done < len(text):
        yield Piece(text[done:])
