"""A story as plain text: its title and its paragraphs, a blank line between them."""

from collections.abc import Sequence

from storyloom.memory.story import Step, Story
from storyloom.memory.text import clean, joined


def render(story: Story, steps: Sequence[Step]) -> str:
    """The book, without control characters; premise, plans and memory are no part of it."""
    return joined(clean(part).strip() for part in (story.title, *(step.paragraph for step in steps))) + "\n"
