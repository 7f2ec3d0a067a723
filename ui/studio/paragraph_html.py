"""HTML about the picked paragraph: everything that a person or a model wrote is escaped."""

from collections.abc import Sequence
from itertools import groupby

from storyloom.memory.story import Stale, StalePart

_LONGEST_CUT = 90


def versions(number: int, of: int) -> str:
    """Which of a paragraph's versions is shown; nothing for the only one."""
    return f"<p>Version {number} of {of}</p>" if of > 1 else ""


def shared(depth: int, strands: int) -> str:
    """That an edit of a paragraph shows on other strands too; nothing where it doesn't."""
    if strands < 2:
        return ""
    return f'<p class="quiet">{strands} strands share paragraph {depth}: it changes in all of them.</p>'


def kept(what: str) -> str:
    """What a form does to the story."""
    return f'<p class="quiet">{what} on a new strand; this one stays as it is.</p>'


def stale(marks: Sequence[Stale]) -> str:
    """What of a strand's memory was made from words that have changed since."""
    notes = [mark.depth for mark in marks if mark.part is StalePart.NOTE]
    pages = [mark.depth for mark in marks if mark.part is StalePart.PAGE]
    told = []
    if notes:
        told.append(f"what was noted of {_paragraphs(notes)}")
    if pages:
        told.append(f"the memory after {_paragraphs(pages)}")
    if not told:
        return ""
    return f'<p role="status">Made from words that have changed since: {" and ".join(told)}.</p>'


def cut_label(sentence: str) -> str:
    """A sentence as one of the places where a paragraph can be split."""
    line = " ".join(sentence.split())
    return line if len(line) <= _LONGEST_CUT else f"{line[:_LONGEST_CUT].rsplit(' ', 1)[0]}…"


def _paragraphs(depths: Sequence[int]) -> str:
    """Numbers as a person writes them: paragraphs 3, 5 to 9 and 12."""
    runs = []
    for _, run in groupby(enumerate(sorted(set(depths))), key=lambda pair: pair[1] - pair[0]):
        first, *_, last = [depth for _, depth in run] * 2
        runs.append(f"{first}" if first == last else f"{first} to {last}")
    noun = "paragraph" if runs == [str(depths[0])] else "paragraphs"
    *most, final = runs
    return f"{noun} {', '.join(most)} and {final}" if most else f"{noun} {final}"
