"""The headings and paragraphs of Markdown (CommonMark); markup inside a paragraph stays as it was written."""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from storyloom.storage.formats.manuscript_pieces import Piece

# Kinds of text in a paragraph without markup, and what stands for those that have no text.
_PLAIN = {"text": "", "text_special": "", "softbreak": " ", "hardbreak": "\n"}
_HARD_BREAK = re.compile(r"(?:(?<! ) {2,}|\\)\n")
_FRONT_MATTER = re.compile(
    r"---[ \t]*\n(?P<fields>[\w-]+[ \t]*:.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL
)
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(?P<title>.*?)[ \t]*$", re.MULTILINE | re.IGNORECASE)


def front_matter(text: str) -> tuple[str, str]:
    """The title that a file's head of fields gives, empty without one, and the text after the head."""
    found = _FRONT_MATTER.match(text)
    if found is None:
        return "", text
    title = _TITLE.search(found["fields"])
    return (title["title"].strip("\"'") if title else ""), text[found.end() :]


def markdown_pieces(text: str) -> Iterator[Piece]:
    """Headings, paragraphs, and the source of every other block."""
    lines = text.split("\n")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    read = 0
    for place, token in enumerate(tokens):
        if token.level or token.map is None or token.nesting == -1 or token.type == "inline":
            continue
        start, end = token.map
        yield from _source(lines[read:start])  # what makes no block, such as the targets of links
        read = end
        if token.type == "heading_open":
            yield Piece(" ".join(_unwrapped(tokens[place + 1]).split()), int(token.tag[1:]))
        elif token.type == "paragraph_open":
            yield Piece(_unwrapped(tokens[place + 1]))
        else:
            yield from _source(lines[start:end])
    yield from _source(lines[read:])


def _source(lines: list[str]) -> Iterator[Piece]:
    text = "\n".join(lines).strip()
    if text:
        yield Piece(text)


def _unwrapped(inline: Token) -> str:
    """A text on one line, but for its hard line breaks; what was escaped is plain again."""
    children = inline.children or ()
    if any(child.type not in _PLAIN for child in children):
        return "\n".join(" ".join(line.split()) for line in _HARD_BREAK.split(inline.content))
    return "".join(_PLAIN[child.type] or child.content for child in children).strip()
