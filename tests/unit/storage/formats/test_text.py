from collections.abc import Callable

from storyloom.memory.story import Step, Story
from storyloom.storage.formats.text import render


def test_title_and_paragraphs_a_blank_line_between(
    new_story: Callable[..., Story], new_step: Callable[..., Step]
) -> None:
    story = new_story(title="The Lamp", premise="secret", outline="secret")
    steps = [new_step("main", 1, paragraph="One.\n"), new_step("main", 2, paragraph="Two *stars*.\x1b[2J")]
    assert render(story, steps, {}) == "The Lamp\n\nOne.\n\nTwo *stars*.[2J\n"


def test_a_story_without_steps_is_its_title(new_story: Callable[..., Story]) -> None:
    assert render(new_story(title="鐘"), [], {}) == "鐘\n"
