"""What a manuscript is made of, whatever its form."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A heading of a level (1 is the highest), or a paragraph (level 0)."""

    text: str
    level: int = 0
