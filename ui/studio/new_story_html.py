"""A new story's steps and what is decided of it, as HTML."""

from collections.abc import Iterable
from html import escape

from storyloom.memory.lore import CharacterSheet
from storyloom.memory.story import Story
from storyloom.ui.studio.languages import gettext, gettext_noop

_STEPS = (
    gettext_noop("Premise"),
    gettext_noop("Outline"),
    gettext_noop("Characters"),
    gettext_noop("First paragraph"),
)


def trail(step: int) -> str:
    """Which of the steps is at hand, from 0."""
    marks = (' aria-current="step"' if number == step else "" for number in range(len(_STEPS)))
    names = "".join(f"<li{mark}>{gettext(name)}</li>" for mark, name in zip(marks, _STEPS, strict=True))
    return f'<ol aria-label="{gettext("Steps")}">{names}</ol>'


def summary(story: Story, characters: Iterable[CharacterSheet]) -> str:
    """What is decided before the first paragraph."""
    people = ", ".join(escape(sheet.name) for sheet in characters)
    return (
        f'<h3 dir="auto">{escape(story.title)}</h3>'
        f"{_part(gettext('Premise'), story.premise)}{_part(gettext('Outline'), story.outline)}"
        + (f'<h4>{gettext("Characters")}</h4><p dir="auto">{people}</p>' if people else "")
    )


def _part(name: str, text: str) -> str:
    lines = "".join(f'<p dir="auto">{escape(line)}</p>' for line in text.splitlines() if line.strip())
    return f"<h4>{name}</h4>{lines}" if lines else ""
