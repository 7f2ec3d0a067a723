"""The templates' editor as HTML; everything that a person or a model wrote is escaped here."""

from collections.abc import Collection, Iterable
from difflib import unified_diff
from html import escape

from storyloom.app.template_editing import PURPOSES, Listed, Opened, Preview
from storyloom.app.template_values import Turn
from storyloom.ui.studio.inspect_html import legend
from storyloom.ui.studio.languages import gettext, gettext_noop, listed
from storyloom.ui.studio.slots import slot_class, slot_title

_ROLES = {
    "system": gettext_noop("System"),
    "user": gettext_noop("User"),
    "assistant": gettext_noop("Assistant"),
}
_LINES = gettext_noop("The lines, one of which is taken each time")
_CONTEXT_LINES = 2
_KINDS = {"+": "added", "-": "gone", "@": "place"}


def listing(found: Iterable[Listed], opened: str, unsaved: Collection[str]) -> str:
    """Every template, what it is for, and whose text is used."""
    return f"<ul>{''.join(_listed(one, one.name == opened, one.name in unsaved) for one in found)}</ul>"


def heading(opened: Opened, *, is_unsaved: bool) -> str:
    """Which template is open, and whose text is used."""
    told = [
        gettext(PURPOSES[opened.name]),
        gettext("Your text is used.") if opened.is_own else gettext("Ours is used."),
    ]
    if is_unsaved:
        told.append(gettext("What stands in the box isn’t saved yet."))
    return f'<h3><code>{escape(opened.name)}</code></h3><p class="quiet">{escape(" ".join(told))}</p>'


def difference(ours: str, source: str) -> str:
    """The lines in which a text differs from ours."""
    lines = list(unified_diff(ours.splitlines(), source.splitlines(), lineterm="", n=_CONTEXT_LINES))[2:]
    if not lines:
        return f'<p class="quiet">{gettext("There is none: it is ours, word for word.")}</p>'
    rows = "".join(map(_line, lines))
    marks = gettext("Lines with + are in the box alone, lines with − in ours alone.")
    label = gettext("The difference to ours")
    return (
        f'<p class="quiet">{marks}</p><pre class="difference" tabindex="0" aria-label="{label}">{rows}</pre>'
    )


def preview(found: Preview) -> str:
    """The turns as a model reads them, each with its role; what comes from the story is coloured by slot."""
    whose = (
        gettext("With the values of “{title}”, the story that was touched last.", title=found.title)
        if found.title
        else gettext("With a sample’s values, for no story has a paragraph yet.")
    )
    slots = found.rendered.slots
    used = {
        slots[piece.place]
        for turn in found.rendered.turns
        for piece in turn.pieces
        if piece.place is not None
    }
    missing = ""
    if found.unread:
        unread = listed([slot_title(name) for name in found.unread])
        never = gettext("Unlike ours it never asks for: {things}.", things=unread)
        missing = f'<p class="quiet">{escape(never)}</p>'
    turns = "".join(_turn(turn, slots) for turn in found.rendered.turns)
    colours = legend((slot for slot in slots if slot in used), gettext("the template’s own words"))
    return f'<p class="quiet">{escape(whose)}</p>{missing}{colours}{turns}'


def broken(why: str) -> str:
    """Why a text can't be previewed or saved."""
    return f'<p role="alert">{escape(why)}</p>'


def told(text: str, *, can_put_back: bool = False) -> str:
    """What was done, with a button for the edit that made way."""
    label = gettext("Put my edit back")
    back = f' <button type="button" data-pick="put-back">{label}</button>' if can_put_back else ""
    return f'<p role="status">{escape(text)}{back}</p>'


def _line(line: str) -> str:
    """A line of a difference; the marks between its places say only that lines are left out."""
    kind = _KINDS.get(line[:1], "same")
    return f'<span class="{kind}">{"⋯" if kind == "place" else escape(line)}</span>'


def _listed(one: Listed, is_open: bool, is_unsaved: bool) -> str:
    state = "yours" if one.is_own else "ours"
    whose = gettext("yours") if one.is_own else gettext("ours")
    mark = " aria-current=true" if is_open else ""
    unsaved = f'<span class="unsaved">{gettext("not saved yet")}</span>' if is_unsaved else ""
    return (
        f'<li><button type="button" data-pick="open" data-name="{escape(one.name)}"{mark}>'
        f'<code>{escape(one.name)}</code></button><span class="{state}">{whose}</span>{unsaved}'
        f'<p class="quiet">{escape(gettext(one.purpose))}</p></li>'
    )


def _turn(turn: Turn, slots: tuple[str, ...]) -> str:
    body = "".join(
        escape(piece.text) if piece.place is None else _mark(piece.text, slots[piece.place])
        for piece in turn.pieces
    )
    role = turn.role or "lines"
    return (
        f'<section class="turn {role}"><h4>{gettext(_ROLES.get(role, _LINES))}</h4>'
        f'<pre tabindex="0" dir="auto">{body}</pre></section>'
    )


def _mark(text: str, slot: str) -> str:
    return f'<mark class="{slot_class(slot)}" title="{escape(slot_title(slot))}">{escape(text)}</mark>'
