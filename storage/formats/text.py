"""A story as plain text: its title and its paragraphs, a blank line between them.

One more stands before the title of a chapter, so that a reader and an import can tell it.
"""

from collections.abc import Mapping, Sequence

from storyloom.memory.story import Step, Story
from storyloom.memory.text import clean, joined


def render(story: Story, steps: Sequence[Step], chapters: Mapping[int, str]) -> str:
    """The book, without control characters; premise, plans and memory are no part of it.

    Args:
        story: whose title stands first.
        steps: the paragraphs, oldest first.
        chapters: titles of chapters by the depth that begins them.
    """
    body = (
        part
        for step in steps
        for part in (_chapter(chapters.get(step.depth, "")), clean(step.paragraph).strip())
    )
    return joined([_line(story.title), *body]) + "\n"


def _chapter(title: str) -> str:
    line = _line(title)
    return f"\n{line}" if line else ""


def _line(title: str) -> str:
    return " ".join(clean(title).split())
