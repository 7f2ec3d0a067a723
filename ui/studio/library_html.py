"""The list of stories as HTML."""

from collections.abc import Sequence
from html import escape

from storyloom.memory.story import Mode, StorySummary
from storyloom.ui.studio.languages import day, gettext, gettext_noop, ngettext

_KINDS = {
    Mode.NOVEL: gettext_noop("Novel"),
    Mode.DOCUMENT: gettext_noop("Document"),
    Mode.FICTION: gettext_noop("Game"),
}


def shelf(stories: Sequence[StorySummary], wanted: str = "") -> str:
    """The stories, each a link that a reload or a second tab can open, and what can be done with it.

    Args:
        stories: those to show.
        wanted: what was looked for, where only some are shown.
    """
    if not stories and wanted:
        none = gettext("No title has “{words}” in it.", words=escape(wanted))
        return f'<p class="quiet" dir="auto">{none}</p>'
    if not stories:
        return f'<p class="quiet">{gettext("No story yet. The first one will stand here.")}</p>'
    return f"<h2>{gettext('Your stories')}</h2><ul>{''.join(map(_story, stories))}</ul>"


def deleted(title: str) -> str:
    """What was deleted just now."""
    return f'<p role="status" dir="auto">{gettext("“{title}” was deleted.", title=escape(title))}</p>'


def _story(story: StorySummary) -> str:
    facts = (
        gettext(_KINDS[story.mode]),
        ngettext("{number} word", "{number} words", story.words),
        ngettext("{number} paragraph", "{number} paragraphs", story.steps),
        day(story.updated_at),
    )
    title = escape(story.title)
    duplicate = _button("duplicate", gettext("Duplicate"), gettext("Duplicate {title}", title=title), story)
    delete = _button("delete", gettext("Delete"), gettext("Delete {title}", title=title), story)
    return (
        f'<li><a href="?story={escape(story.id)}" dir="auto">{title}</a>'
        f"<span>{' · '.join(facts)}</span>{duplicate}{delete}</li>"
    )


def _button(pick: str, name: str, whole: str, story: StorySummary) -> str:
    """What can be done with a story; ``whole`` says it to who can't see beside which one it stands."""
    return (
        f'<button type="button" data-pick="{pick}" data-story="{escape(story.id)}" '
        f'aria-label="{whole}">{name}</button>'
    )
