"""The layout of plain text: where its paragraphs, its chapters and its title are.

Blank lines part paragraphs. Where there are none, or where they part scenes of long lines, a line is a
paragraph. Lines that an editor broke are joined again; a break that it had no need of stays one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median_low

from storyloom.storage.formats.manuscript_headings import counting, is_heading
from storyloom.storage.formats.manuscript_pieces import Piece

# Editors break lines somewhere between these columns.
_NARROWEST, _WIDEST = 40, 120
_OUTLIERS = 0.05  # share of lines that may be longer than the width, such as addresses
_VERSE = 60  # characters; lines of verse are shorter on average
_LONGEST_TITLE = 20  # words
_SENTENCE_END = re.compile(r"""[.!?…。！？:"”»’'」』)\]*]$""")
_TITLE_END = re.compile(r"""[.…。,;:"”»’'」』]$""")


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines without a blank one between them, and how many blank ones stand before."""

    lines: tuple[str, ...]
    gap: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a text is set.

    Attributes:
        width: the column at which an editor broke its lines; 0 where it didn't.
        by_line: a line is a paragraph.
        is_one: it has no blank lines.
        gap: how many blank lines there are usually.
    """

    width: int
    by_line: bool
    is_one: bool
    gap: int


def plain_pieces(text: str) -> Iterator[Piece]:
    """The title (level 1), headings of chapters (level 2) and paragraphs of plain text, in order."""
    blocks = list(_blocks(text))
    layout = _layout(blocks)
    pieces: list[Piece] = []
    for place, block in enumerate(blocks):
        line = _joined(block.lines)
        if is_heading(line):
            pieces.append(Piece(line, 2))
        elif len(blocks) > 1 and len(block.lines) == 1 and _is_title(line) and not place:
            pieces.append(Piece(line, 1))
        elif len(block.lines) == 1 and _is_title(line) and block.gap > layout.gap:
            pieces.append(Piece(line, 2))
        else:
            pieces += (Piece(part, 2 if is_heading(part) else 0) for part in _parts(block, layout))
    numbers = counting([piece.text for piece in pieces])
    for place, piece in enumerate(pieces):
        yield Piece(piece.text, 2) if place in numbers else piece


def _blocks(text: str) -> Iterator[_Block]:
    lines: list[str] = []
    gap = after = 0
    for line in text.split("\n"):
        if line.strip():
            if after and lines:
                yield _Block(tuple(lines), gap)
                lines, gap = [], after
            after = 0
            lines.append(line.rstrip())
        else:
            after += 1
    if lines:
        yield _Block(tuple(lines), gap)


def _layout(blocks: list[_Block]) -> _Layout:
    width = _width(blocks)
    return _Layout(
        width=width,
        by_line=not width and _lines_are_paragraphs(blocks),
        is_one=len(blocks) == 1,
        gap=median_low([block.gap for block in blocks[1:]] or [1]),
    )


def _width(blocks: list[_Block]) -> int:
    """The column at which an editor broke the lines; 0 where it didn't."""
    breaks = [pair for block in blocks for pair in pairwise(block.lines)]
    if not breaks:
        return 0
    lengths = sorted(len(line) for block in blocks for line in block.lines)
    width = lengths[-1 - int(_OUTLIERS * len(lengths))]
    if not _NARROWEST <= width <= _WIDEST:
        return 0
    forced = sum(not _fits(pair, width) and not _SENTENCE_END.search(pair[0]) for pair in breaks)
    return width if 2 * forced >= len(breaks) else 0


def _fits(lines: tuple[str, str], width: int) -> bool:
    """Whether the next line's first word would have had room on this one."""
    line, following = lines
    return len(line) + 1 + len(following.split(maxsplit=1)[0]) <= width


def _parts(block: _Block, layout: _Layout) -> Iterator[str]:
    """The paragraphs of a block, each with the line breaks that were meant."""
    if layout.by_line:
        yield from (_joined([line]) for line in block.lines)
        return
    part = [block.lines[0]]
    indented = sum(line[0].isspace() for line in block.lines)
    for pair in pairwise(block.lines):
        begins = bool(layout.width) and 0 < indented < len(block.lines) and pair[1][0].isspace()
        meant = not layout.width or _fits(pair, layout.width)
        ends = layout.is_one and meant and _SENTENCE_END.search(pair[0]) is not None
        headed = len(part) == 1 and meant and is_heading(_joined(part))
        if begins or ends or headed:
            yield "".join(part).strip()
            part = [pair[1]]
        else:
            part += ["\n" if meant else " ", pair[1].strip()]
    yield "\n".join(_joined([line]) for line in "".join(part).split("\n"))


def _lines_are_paragraphs(blocks: list[_Block]) -> bool:
    """Whether blank lines part nothing smaller than scenes."""
    if len(blocks) == 1:
        return True
    several = [block for block in blocks if len(block.lines) > 1]
    length = fmean([len(line) for block in several for line in block.lines] or [0])
    return 2 * len(several) >= len(blocks) and length >= _VERSE


def _is_title(line: str) -> bool:
    """Whether a line by itself could be a title: it is short and no sentence."""
    named = any(char.isalpha() for char in line)
    plain = not _TITLE_END.search(line) or line.isupper()
    return named and plain and len(line.split()) <= _LONGEST_TITLE and len(line) <= 2 * _WIDEST


def _joined(lines: tuple[str, ...] | list[str]) -> str:
    return " ".join(" ".join(lines).split())
