"""A manuscript from plain text or Markdown: its paragraphs, and the headings that begin chapters.

Everything that is read stands in a paragraph, a heading or the title; no text is lost.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from storyloom.memory.errors import ImportRefused
from storyloom.memory.text import clean, joined, sentences, words
from storyloom.storage.formats.manuscript_headings import is_heading
from storyloom.storage.formats.manuscript_markdown import front_matter, markdown_pieces
from storyloom.storage.formats.manuscript_pieces import Piece
from storyloom.storage.formats.manuscript_plain import plain_pieces

MANUSCRIPT_SUFFIXES = (".txt", ".md", ".markdown")
LARGEST_MANUSCRIPT = 64 * 2**20
MOST_PARAGRAPHS = 200_000

_LONGEST_PARAGRAPH = 20_000  # characters; a longer one is parted between sentences
_LONGEST_HEADING = 300  # characters
_MOST_HEADINGS = 3  # in a row: a book's, a part's and a chapter's; more are a table of contents
_UNTITLED = "Untitled"
_BREAK = re.compile(r"[*\-_#~=•·⁂\u2013\u2014\s]+")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph; ``heading`` is the title of the chapter that it begins, if it begins one."""

    text: str
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Manuscript:
    """A text with its chapters."""

    title: str
    blocks: tuple[Block, ...]


def read_manuscript(file: Path) -> Manuscript:
    """Read a .txt or .md file: blank lines part paragraphs, headings begin chapters.

    A first heading above all others is the title, or what the head of a Markdown file says; without
    one the file's name is.

    Raises:
        ImportRefused: the file can't be read, is too large or empty, or isn't UTF-8 text.
    """
    text = clean(_read(file)).strip("\n")
    title = ""
    if file.suffix.lower() == ".txt":
        pieces = list(plain_pieces(text))
    else:
        title, text = front_matter(text)
        pieces = list(markdown_pieces(text))
    title, pieces = _title(title, pieces)
    blocks = tuple(_blocks(pieces))
    if not blocks:
        raise ImportRefused(f"{file} holds no paragraph, so there is nothing to import.")
    if len(blocks) > MOST_PARAGRAPHS:
        raise ImportRefused(
            f"{file} has {len(blocks):,} paragraphs, and at most {MOST_PARAGRAPHS:,} are taken. "
            "Import it in parts."
        )
    return Manuscript(title or " ".join(clean(file.stem).split()) or _UNTITLED, blocks)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_MANUSCRIPT + 1)
        if len(content) > LARGEST_MANUSCRIPT:
            raise ImportRefused(
                f"{file} is larger than {LARGEST_MANUSCRIPT // 2**20} MB. Import it in parts."
            )
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ImportRefused(
            f"{file} can't be read: {error.strerror}. Check the path and try again."
        ) from error
    except UnicodeDecodeError as error:
        raise ImportRefused(f"{file} isn't UTF-8 text. Save it as UTF-8 and import it again.") from error
    if "\0" in text:
        raise ImportRefused(f"{file} isn't text, or isn't UTF-8. Save it as UTF-8 text and import it again.")
    return text


def _title(given: str, pieces: list[Piece]) -> tuple[str, list[Piece]]:
    """The book's title, taken off: a first heading of a level that no other heading has."""
    levels = [piece.level for piece in pieces if piece.level]
    says_more = any(piece.text and not _BREAK.fullmatch(piece.text) for piece in pieces[1:])
    first = pieces[0] if says_more else Piece("")
    tops = first.level and levels.count(first.level) == 1 and min(levels) == first.level
    is_chapter = len(levels) == 1 and is_heading(first.text)
    another = given and words(given) != words(first.text)
    if not tops or is_chapter or another or len(first.text) > _LONGEST_HEADING:
        return given, pieces
    return first.text, pieces[1:]


def _blocks(pieces: Sequence[Piece]) -> Iterator[Block]:
    """Headings that follow each other are one; a scene break goes with the paragraph after it, if any."""
    headings: list[str] = []
    scene_break = ""
    for piece in pieces:
        if piece.level and len(piece.text) <= _LONGEST_HEADING:
            headings.append(piece.text)
            scene_break = ""  # a chapter's beginning says it already
        elif _BREAK.fullmatch(piece.text):
            scene_break = piece.text
        elif piece.text:
            if len(headings) > _MOST_HEADINGS:
                yield from map(Block, _parted("\n".join(headings[:-1])))
                headings = headings[-1:]
            for part in _parted(piece.text):
                yield Block(joined([scene_break, part]), " – ".join(headings))
                scene_break, headings = "", []
    yield from map(Block, _parted("\n".join(headings)))


def _parted(paragraph: str) -> Iterator[str]:
    """The paragraph, or its parts between lines or sentences where it is too long to be one."""
    if len(paragraph) <= _LONGEST_PARAGRAPH:
        if paragraph:
            yield paragraph
        return
    between = "\n" if "\n" in paragraph else " "
    part = ""
    for unit in paragraph.split("\n") if between == "\n" else _sentences(paragraph):
        for piece in _wrapped(unit):
            if part and len(part) + len(piece) >= _LONGEST_PARAGRAPH:
                yield part
                part = ""
            part = f"{part}{between}{piece}" if part else piece
    if part:
        yield part


def _sentences(text: str) -> Iterator[str]:
    for run in _wrapped(text, 10 * _LONGEST_PARAGRAPH):
        yield from sentences(run)


def _wrapped(text: str, width: int = _LONGEST_PARAGRAPH) -> list[str]:
    if len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_on_hyphens=False)
