"""The list of stories as HTML."""

from collections.abc import Sequence
from html import escape

from storyloom.memory.story import Mode, StorySummary

_KINDS = {Mode.NOVEL: "Novel", Mode.DOCUMENT: "Document", Mode.FICTION: "Game"}


def shelf(stories: Sequence[StorySummary], wanted: str = "") -> str:
    """The stories, each a link that a reload or a second tab can open, and what can be done with it.

    Args:
        stories: those to show.
        wanted: what was looked for, where only some are shown.
    """
    if not stories and wanted:
        return f'<p class="quiet" dir="auto">No title has “{escape(wanted)}” in it.</p>'
    if not stories:
        return '<p class="quiet">No story yet. The first one will stand here.</p>'
    return f"<h2>Your stories</h2><ul>{''.join(map(_story, stories))}</ul>"


def deleted(title: str) -> str:
    """What was deleted just now."""
    return f'<p role="status" dir="auto">“{escape(title)}” was deleted.</p>'


def count(number: int, noun: str) -> str:
    """So many of a thing."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _story(story: StorySummary) -> str:
    facts = (
        _KINDS[story.mode],
        count(story.words, "word"),
        count(story.steps, "paragraph"),
        f"{story.updated_at:%-d %B %Y}",
    )
    return (
        f'<li><a href="?story={escape(story.id)}" dir="auto">{escape(story.title)}</a>'
        f"<span>{' · '.join(facts)}</span>"
        f"{_button('Duplicate', story)}{_button('Delete', story)}</li>"
    )


def _button(name: str, story: StorySummary) -> str:
    return (
        f'<button type="button" data-pick="{name.lower()}" data-story="{escape(story.id)}" '
        f'aria-label="{name} {escape(story.title)}">{name}</button>'
    )
