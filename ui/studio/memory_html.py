"""Short-term memory as HTML: its sentences and where they come from."""

from collections.abc import Sequence
from html import escape

from storyloom.app.remembering import Gone
from storyloom.memory.story import Dropped, MemoryChange, Note, Origin, Step
from storyloom.ui.studio.below import reason
from storyloom.ui.studio.languages import count, gettext, gettext_noop

_BY = {
    Origin.MODEL: gettext_noop("{paragraph}, by the model"),
    Origin.REPAIRED: gettext_noop("{paragraph}, by the model, mended"),
    Origin.QUOTED: gettext_noop("{paragraph}, quoted from it"),
    Origin.CARRIED: gettext_noop("{paragraph}, carried over"),
    Origin.PERSON: gettext_noop("{paragraph}, by hand"),
    Origin.OUTLINE: gettext_noop("{paragraph}, from the outline"),
}

# In a long story as many have left as there are paragraphs.
_MOST_GONE = 60


def notes(page: Sequence[Note]) -> str:
    """Every sentence of the page, what brought it, and buttons that pin it or take it out."""
    if not page:
        return _quiet(gettext("The story remembers nothing yet."))
    return f'<ol class="notes">{"".join(map(_note, page))}</ol>'


def change(step: Step | None) -> str:
    """What the last paragraph added to the page and dropped from it."""
    if step is None:
        return _quiet(gettext("Before the first paragraph it holds the premise alone."))
    rows = _difference(step.added, step.dropped) or _quiet(gettext("It changed nothing."))
    return f"<p>{gettext('By {paragraph}', paragraph=paragraph(step.depth))}</p>{rows}"


def gone(left: Sequence[Gone]) -> str:
    """The sentences that left last, the last ones first."""
    if not left:
        return _quiet(gettext("No sentence has left it."))
    shown, of_all = left[:_MOST_GONE], ""
    if len(shown) < len(left):
        numbers = {"shown": count(len(shown)), "of": count(len(left))}
        of_all = _quiet(gettext("The last {shown} of {of} sentences are shown.", **numbers))
    return f"{of_all}<ul>{''.join(map(_gone, shown))}</ul>"


def proposals(changes: Sequence[MemoryChange]) -> str:
    """What the keeper would change, each with its two buttons."""
    return "".join(map(_proposal, changes))


def paragraph(depth: int) -> str:
    """A link to a paragraph of the text; depth 0 is the premise."""
    if not depth:
        return gettext("the premise")
    label = gettext("Go to paragraph {depth}", depth=depth)
    return (
        f'<button type="button" class="reach" data-pick="paragraph" data-depth="{depth}" '
        f'aria-label="{label}">¶ {depth}</button>'
    )


def headed(title: str, told: str = "") -> str:
    """The heading of a part of the tab, and what the part is."""
    return f"<h2>{title}</h2>{_quiet(told) if told else ''}"


def _proposal(change: MemoryChange) -> str:
    approve = _button("approve", gettext("Approve"), depth=change.depth)
    turn_down = _button("turn-down", gettext("Turn down"), depth=change.depth)
    told = gettext("After {paragraph} the keeper would change:", paragraph=paragraph(change.depth))
    return (
        f"<section><p>{told}</p>"
        f'{_difference(change.added, change.dropped)}<p class="do">{approve} {turn_down}</p></section>'
    )


def _note(note: Note) -> str:
    text = escape(note.text)
    pinned = "true" if note.pinned else "false"
    pin, remove = gettext("Pinned") if note.pinned else gettext("Pin"), gettext("Remove")
    return (
        f'<li class="{"pinned" if note.pinned else "free"}"><p dir="auto">{text}</p><span class="by">'
        f'{_origin(note)}</span><span class="do"><button type="button" data-pick="pin" data-text="{text}" '
        f'data-pinned="{pinned}" aria-pressed="{pinned}">{pin}</button>'
        f'<button type="button" data-pick="remove" data-text="{text}">{remove}</button></span></li>'
    )


def _origin(note: Note) -> str:
    return gettext(_BY[note.origin], paragraph=paragraph(note.depth))


def _gone(one: Gone) -> str:
    why = escape(reason(one.dropped.reason))
    told = gettext("left after {paragraph}: {reason}", paragraph=paragraph(one.depth), reason=why)
    return (
        f'<li class="dropped"><p dir="auto">{escape(one.dropped.note.text)}</p><span class="by">'
        f"{_origin(one.dropped.note)} · {told}</span></li>"
    )


def _difference(added: Sequence[Note], dropped: Sequence[Dropped]) -> str:
    rows = [f'<li class="added"><p dir="auto">{escape(note.text)}</p></li>' for note in added]
    rows += [
        f'<li class="dropped"><p dir="auto">{escape(one.note.text)}</p>'
        f'<span class="by">{escape(reason(one.reason))}</span></li>'
        for one in dropped
    ]
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def _quiet(told: str) -> str:
    return f'<p class="quiet">{told}</p>'


def _button(pick: str, label: str, *, depth: int) -> str:
    return f'<button type="button" data-pick="{pick}" data-depth="{depth}">{label}</button>'
