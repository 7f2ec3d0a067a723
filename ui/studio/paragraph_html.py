"""HTML about the picked paragraph: everything that a person or a model wrote is escaped."""

from collections.abc import Sequence

from storyloom.memory.story import Stale, StalePart
from storyloom.ui.studio.languages import gettext, listed, ngettext
from storyloom.ui.studio.stale_html import runs

_LONGEST_CUT = 90


def versions(number: int, of: int) -> str:
    """Which of a paragraph's versions is shown; nothing for the only one."""
    return f"<p>{gettext('Version {number} of {of}', number=number, of=of)}</p>" if of > 1 else ""


def shared(depth: int, strands: int) -> str:
    """That an edit of a paragraph shows on other strands too; nothing where it doesn't."""
    if strands < 2:
        return ""
    told = gettext(
        "{strands} strands share paragraph {depth}: it changes in all of them.", strands=strands, depth=depth
    )
    return f'<p class="quiet">{told}</p>'


def note(told: str) -> str:
    """What a form does to the story."""
    return f'<p class="quiet">{told}</p>'


def stale(marks: Sequence[Stale]) -> str:
    """What of a strand's memory was made from words that have changed since."""
    notes = sorted({mark.depth for mark in marks if mark.part is StalePart.NOTE})
    pages = sorted({mark.depth for mark in marks if mark.part is StalePart.PAGE})
    told = []
    if notes:
        told.append(
            ngettext(
                "what was noted of paragraph {paragraphs}",
                "what was noted of paragraphs {paragraphs}",
                len(notes),
                paragraphs=runs(notes),
            )
        )
    if pages:
        told.append(
            ngettext(
                "the memory after paragraph {paragraphs}",
                "the memory after paragraphs {paragraphs}",
                len(pages),
                paragraphs=runs(pages),
            )
        )
    if not told:
        return ""
    said = gettext("Made from words that have changed since: {things}.", things=listed(told))
    return f'<p role="status">{said}</p>'


def cut_label(sentence: str) -> str:
    """A sentence as one of the places where a paragraph can be split."""
    line = " ".join(sentence.split())
    return line if len(line) <= _LONGEST_CUT else f"{line[:_LONGEST_CUT].rsplit(' ', 1)[0]}…"
