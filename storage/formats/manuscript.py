"""A manuscript from plain text or Markdown: its paragraphs, and the headings that begin chapters.

Everything that is read stands in a paragraph, a heading or the title; no text is lost.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from storyloom.memory.errors import ImportRefused
from storyloom.memory.text import clean, joined, sentences

MANUSCRIPT_SUFFIXES = (".txt", ".md", ".markdown")
LARGEST_MANUSCRIPT = 64 * 2**20
MOST_PARAGRAPHS = 200_000

_LONGEST_PARAGRAPH = 20_000  # characters; a longer one is parted between sentences
_LONGEST_HEADING = 12  # words
# The words that begin a part of a book; the first ones may be followed by any word ("Chapter the Last").
_CHAPTER = "chapter|kapitel|chapitre|capítulo|capitolo|hoofdstuk"
_KIND = f"{_CHAPTER}|book|part|volume|letter|act|canto|teil|buch|band|livre"
_COUNT = (
    r"\d{1,4}|[ivxlcdm]{1,8}|(?:the )?(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last)"
)
_ALONE = (
    "prologue|epilogue|preface|foreword|introduction|conclusion|afterword|interlude|"
    "prolog|epilog|vorwort|nachwort"
)
_HEADING = re.compile(
    rf"(?:{_CHAPTER})\s+\w+\b.*|(?:{_KIND})\s+(?:{_COUNT})\b.*|(?:{_ALONE})[.:]?"
    r"|[ivxlcdm]{1,8}\.?|\d{1,4}\.?|第.{1,9}[章节回卷部].*",
    re.IGNORECASE,
)
# Kinds of text in a paragraph without markup, and what stands for those that have no text.
_PLAIN = {"text": "", "text_special": "", "softbreak": " ", "hardbreak": "\n"}
_BREAK = re.compile(r"[*\-_#~=•·⁂\s]+")
_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")


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


@dataclass(frozen=True, slots=True)
class _Piece:
    """A heading of a level (1 is the highest), or a paragraph (level 0)."""

    text: str
    level: int = 0


def read_manuscript(file: Path) -> Manuscript:
    """Read a .txt or .md file: blank lines part paragraphs, headings begin chapters.

    A first heading above all others is the title; without one the file's name is. A file without
    blank lines has a paragraph a line.

    Raises:
        ImportRefused: the file can't be read, is too large or empty, or isn't UTF-8 text.
    """
    text = clean(_read(file)).strip()
    pieces = list(_markdown(text) if file.suffix.lower() != ".txt" else _plain(text))
    title, pieces = _title(pieces)
    blocks = tuple(_blocks(pieces))
    if not blocks:
        raise ImportRefused(f"{file} holds no paragraph, so there is nothing to import.")
    if len(blocks) > MOST_PARAGRAPHS:
        raise ImportRefused(
            f"{file} has {len(blocks):,} paragraphs, and at most {MOST_PARAGRAPHS:,} are taken. "
            "Import it in parts."
        )
    return Manuscript(title or file.stem, blocks)


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > LARGEST_MANUSCRIPT:
            raise ImportRefused(
                f"{file} is larger than {LARGEST_MANUSCRIPT // 2**20} MB. Import it in parts."
            )
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ImportRefused(
            f"{file} can't be read: {error.strerror}. Check the path and try again."
        ) from error
    except UnicodeDecodeError as error:
        raise ImportRefused(f"{file} isn't UTF-8 text. Save it as UTF-8 and import it again.") from error


def _plain(text: str) -> Iterator[_Piece]:
    parts = _BLANK_LINES.split(text)
    if len(parts) == 1:
        parts = text.split("\n")
    for part in parts:
        lines = " ".join(part.split())
        if lines:
            yield _Piece(lines, 1 if _is_heading(lines) else 0)


def _is_heading(line: str) -> bool:
    return len(line.split()) <= _LONGEST_HEADING and _HEADING.fullmatch(line) is not None


def _markdown(text: str) -> Iterator[_Piece]:
    """Headings and the source of every other block; markup inside a paragraph stays as it was written."""
    lines = text.split("\n")
    tokens = MarkdownIt("commonmark").parse(text)
    for place, token in enumerate(tokens):
        if token.level == 0 and token.type == "heading_open":
            yield _Piece(" ".join(tokens[place + 1].content.split()), int(token.tag[1:]))
        elif token.type == "paragraph_open" and token.level == 0:
            yield _Piece(_unwrapped(tokens[place + 1]))
        elif token.level == 0 and token.map and token.nesting != -1 and token.type != "inline":
            yield _Piece("\n".join(lines[token.map[0] : token.map[1]]).strip())


def _unwrapped(inline: Token) -> str:
    """A paragraph on one line, but for its hard line breaks; what was escaped is plain again."""
    children = inline.children or ()
    if any(child.type not in _PLAIN for child in children):
        return " ".join(inline.content.split())
    return "".join(_PLAIN[child.type] or child.content for child in children).strip()


def _title(pieces: list[_Piece]) -> tuple[str, list[_Piece]]:
    """The book's title, taken off: a first heading of a level that no other heading has."""
    levels = [piece.level for piece in pieces if piece.level]
    if pieces and pieces[0].level and levels.count(pieces[0].level) == 1 and min(levels) == pieces[0].level:
        return pieces[0].text, pieces[1:]
    return "", pieces


def _blocks(pieces: Iterable[_Piece]) -> Iterator[Block]:
    """Headings that follow each other are one; a scene break goes with the paragraph after it."""
    headings: list[str] = []
    held = ""
    for piece in pieces:
        if piece.level:
            if held:
                yield Block(held)
                held = ""
            headings.append(piece.text)
        elif _BREAK.fullmatch(piece.text):
            held = joined([held, piece.text])
        else:
            for part in _parted(piece.text):
                yield Block(joined([held, part]), " – ".join(headings))
                held, headings = "", []
    if held or headings:
        yield Block(held or " – ".join(headings), " – ".join(headings) if held else "")


def _parted(paragraph: str) -> Iterator[str]:
    """The paragraph, or its parts between sentences where it is too long to be one."""
    if len(paragraph) <= _LONGEST_PARAGRAPH:
        yield paragraph
        return
    part = ""
    for sentence in sentences(paragraph):
        for piece in textwrap.wrap(sentence, _LONGEST_PARAGRAPH):
            if part and len(part) + len(piece) >= _LONGEST_PARAGRAPH:
                yield part
                part = ""
            part = f"{part} {piece}".strip()
    if part:
        yield part
