"""A story as plain text: its title and its paragraphs, a blank line between them."""

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
    body = (part for step in steps for part in (chapters.get(step.depth, ""), step.paragraph))
    return joined(clean(part).strip() for part in (story.title, *body)) + "\n"
