"""A story as Markdown: its title as a heading and its paragraphs, with nothing in them read as markup."""

import re
from collections.abc import Mapping, Sequence

from storyloom.memory.story import Step, Story
from storyloom.memory.text import clean, joined

# Anywhere in a line: code, emphasis, links, HTML, entities, tables, formulas, strikethrough, superscript.
_INLINE = re.compile(r"([\\`*_\[\]<>&~|$^])")
# Where a line begins: headings, lists, quotes, rules, definitions, numbered lists.
_LINE_START = re.compile(r"^(?:([#+\-=:])|(\d{1,9})([.)]))")

# At a heading's end they would be its closing marks.
_CLOSING = re.compile(r"((?<![^ ])#+)$")


def render(story: Story, steps: Sequence[Step], chapters: Mapping[int, str]) -> str:
    """The book as CommonMark; premise, plans and memory are no part of it.

    Args:
        story: whose title is the first heading.
        steps: the paragraphs, oldest first.
        chapters: titles of chapters by the depth that begins them.
    """
    body = (
        part
        for step in steps
        for part in (_heading("##", chapters.get(step.depth, "")), _paragraph(step.paragraph))
    )
    return joined([_heading("#", story.title), *body]) + "\n"


def _heading(mark: str, title: str) -> str:
    text = _CLOSING.sub(r"\\\1", _escaped(" ".join(clean(title).split())))
    return f"{mark} {text}" if text else ""


def _paragraph(text: str) -> str:
    """Blank lines part paragraphs; a single line break stays a line break."""
    blocks = re.split(r"\n\s*\n", clean(text).strip())
    return joined("\\\n".join(_escaped(line.strip()) for line in block.split("\n")) for block in blocks)


def _escaped(line: str) -> str:
    return _LINE_START.sub(_escape_start, _INLINE.sub(r"\\\1", line))


def _escape_start(found: re.Match[str]) -> str:
    mark, number, dot = found.groups()
    return f"\\{mark}" if mark else f"{number}\\{dot}"
