"""Short-term memory as HTML: its sentences and where they come from."""

from collections.abc import Sequence
from html import escape

from storyloom.app.remembering import Gone
from storyloom.memory.story import Dropped, MemoryChange, Note, Origin, Step

_BY = {
    Origin.MODEL: "by the model",
    Origin.REPAIRED: "by the model, mended",
    Origin.QUOTED: "quoted from it",
    Origin.CARRIED: "carried over",
    Origin.PERSON: "by hand",
    Origin.OUTLINE: "from the outline",
}


def notes(page: Sequence[Note]) -> str:
    """Every sentence of the page, what brought it, and buttons that pin it or take it out."""
    if not page:
        return '<p class="quiet">The story remembers nothing yet.</p>'
    return f'<ol class="notes">{"".join(map(_note, page))}</ol>'


def change(step: Step | None) -> str:
    """What the last paragraph added to the page and dropped from it."""
    if step is None:
        return '<p class="quiet">Before the first paragraph it holds the premise alone.</p>'
    rows = _difference(step.added, step.dropped) or '<p class="quiet">It changed nothing.</p>'
    return f"<p>By {paragraph(step.depth)}</p>{rows}"


def gone(left: Sequence[Gone]) -> str:
    """The sentences that left, the last ones first."""
    if not left:
        return '<p class="quiet">No sentence has left it.</p>'
    rows = "".join(
        f'<li class="dropped"><p dir="auto">{escape(one.dropped.note.text)}</p><span class="by">'
        f"{_origin(one.dropped.note)} · left after {paragraph(one.depth)}: {escape(one.dropped.reason)}"
        "</span></li>"
        for one in left
    )
    return f"<ul>{rows}</ul>"


def proposals(changes: Sequence[MemoryChange]) -> str:
    """What the keeper would change, each with its two buttons."""
    return "".join(map(_proposal, changes))


def paragraph(depth: int) -> str:
    """A link to a paragraph of the text; depth 0 is the premise."""
    if not depth:
        return "the premise"
    return (
        f'<button type="button" class="reach" data-pick="paragraph" data-depth="{depth}" '
        f'aria-label="Go to paragraph {depth}">¶ {depth}</button>'
    )


def _proposal(change: MemoryChange) -> str:
    approve = _button("approve", "Approve", depth=change.depth)
    turn_down = _button("turn-down", "Turn down", depth=change.depth)
    return (
        f"<section><p>After {paragraph(change.depth)} the keeper would change:</p>"
        f'{_difference(change.added, change.dropped)}<p class="do">{approve} {turn_down}</p></section>'
    )


def _note(note: Note) -> str:
    text = escape(note.text)
    pinned = "true" if note.pinned else "false"
    return (
        f'<li class="{"pinned" if note.pinned else "free"}"><p dir="auto">{text}</p><span class="by">'
        f'{_origin(note)}</span><span class="do"><button type="button" data-pick="pin" data-text="{text}" '
        f'data-pinned="{pinned}" aria-pressed="{pinned}">{"Pinned" if note.pinned else "Pin"}</button>'
        f'<button type="button" data-pick="remove" data-text="{text}">Remove</button></span></li>'
    )


def _origin(note: Note) -> str:
    return f"{paragraph(note.depth)}, {_BY[note.origin]}"


def _difference(added: Sequence[Note], dropped: Sequence[Dropped]) -> str:
    rows = [f'<li class="added"><p dir="auto">{escape(note.text)}</p></li>' for note in added]
    rows += [
        f'<li class="dropped"><p dir="auto">{escape(one.note.text)}</p>'
        f'<span class="by">{escape(one.reason)}</span></li>'
        for one in dropped
    ]
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def _button(pick: str, label: str, *, depth: int) -> str:
    return f'<button type="button" data-pick="{pick}" data-depth="{depth}">{label}</button>'
