"""Cuts long texts into pieces that a search can tell apart. Joined again they are the text."""

from collections.abc import Iterator
from itertools import pairwise

from storyloom.memory.story import Passage
from storyloom.memory.text import count_words, sentence_starts

# Embedders of sentences read a few hundred tokens at most, and tell short texts apart better than long ones.
_PIECE_WORDS = 120
_LONGEST_WHOLE = 150
# For a text without sentences, such as a list of a thousand items.
_PIECE_CHARACTERS = 1_200


def pieces(text: str, language: str = "en") -> list[str]:
    """The text cut between sentences into pieces of about 120 words; ``"".join`` gives it back.

    A text that is little longer than a piece stays whole.
    """
    if count_words(text) <= _LONGEST_WHOLE and len(text) <= 2 * _PIECE_CHARACTERS:
        return [text]
    made: list[str] = []
    piece, length = "", 0
    for run in _runs(text, language):
        count = count_words(run)
        if piece and (length + count > _PIECE_WORDS or len(piece) + len(run) > 2 * _PIECE_CHARACTERS):
            made.append(piece)
            piece, length = "", 0
        piece += run
        length += count
    return [*made, piece]


def passages(whole: Passage, language: str = "en") -> list[Passage]:
    """The passages that a text is searched by, each with its part's number and none with a vector."""
    return [
        Passage(
            strand_id=whole.strand_id,
            depth=whole.depth,
            text=text,
            kind=whole.kind,
            source=whole.source,
            part=part,
        )
        for part, text in enumerate(pieces(whole.text, language))
    ]


def _runs(text: str, language: str) -> Iterator[str]:
    """Sentences with the white space after them; those that are far too long are cut."""
    bounds = [0, *sentence_starts(text, language)[1:], len(text)]
    for start, stop in pairwise(bounds):
        for cut in range(start, stop, _PIECE_CHARACTERS):
            yield text[cut : min(cut + _PIECE_CHARACTERS, stop)]
