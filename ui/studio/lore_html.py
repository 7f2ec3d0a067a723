"""Lore and characters as HTML."""

from collections.abc import Mapping, Sequence
from html import escape

from storyloom.memory.lore import CharacterSheet, LoreEntry, label
from storyloom.memory.lore_results import Cause, FiredLore, HeldLore, LoreScan, Obstacle, Why
from storyloom.ui.studio.memory_html import paragraph

_OBSTACLES = {
    Obstacle.CHARACTER: "its characters aren't there",
    Obstacle.TRIGGER: "it is for another kind of generation",
    Obstacle.DELAY: "the story is too short yet",
    Obstacle.COOLDOWN: "it rests after it has fired",
    Obstacle.RECURSION: "only the text of other entries names it",
    Obstacle.PROBABILITY: "chance is against it",
    Obstacle.GROUP: "another entry of its group fires",
    Obstacle.BUDGET: "the lore's room is used up",
}
_BOOKS = (("json", "World info for SillyTavern"), ("lorebook", "Lorebook for NovelAI"))
_CARDS = (("png", "Card of the first character"),)


def entries(book: Sequence[LoreEntry]) -> str:
    """The table of entries; a name opens its form."""
    head = _head("Entry", "On", "Constant", "Order")
    rows = "".join(
        f"<tr><td>{_opener(one.id, label(one), ', '.join(one.keys))}</td>"
        f"<td>{_switch(one.id, 'enabled', label(one), one.enabled)}</td>"
        f"<td>{_switch(one.id, 'constant', label(one), one.constant)}</td><td>{one.order}</td></tr>"
        for one in book
    )
    return _table(head, rows, "No lore yet: what the world is like, told to the writer when its time comes.")


def characters(sheets: Sequence[CharacterSheet]) -> str:
    """The table of characters."""
    head = _head("Character", "On")
    rows = "".join(
        f"<tr><td>{_opener(one.id, one.name, one.description)}</td>"
        f"<td>{_switch(one.id, 'enabled', one.name, one.enabled)}</td></tr>"
        for one in sheets
    )
    return _table(head, rows, "No characters yet.")


def heading(name: str) -> str:
    """What the form is of."""
    return f'<h3 dir="auto">{escape(name)}</h3>'


def book_links(story_id: str, book: Sequence[LoreEntry]) -> str:
    """Links to the lore in other programs' forms."""
    return _links(story_id, _BOOKS) if book else ""


def card_links(story_id: str, sheets: Sequence[CharacterSheet]) -> str:
    """A link to the first character and the lore as a card."""
    return _links(story_id, _CARDS) if sheets else ""


def brought(told: Sequence[str]) -> str:
    """What of a file was left out or changed."""
    return f'<ul class="quiet">{"".join(f"<li>{escape(one)}</li>" for one in told)}</ul>' if told else ""


def firing(scan: LoreScan) -> str:
    """Which entries would fire and why, and which would not, though they have a cause."""
    names = {
        **{one.entry.id: label(one.entry) for one in scan.fired},
        **{one.entry.id: label(one.entry) for one in scan.held},
    }
    rows = [_fired(one, names) for one in scan.fired] + [_held(one, names) for one in scan.held]
    rows += [_row("held", one.entry, escape(one.text)) for one in scan.problems]
    return f"<ul>{''.join(rows)}</ul>" if rows else '<p class="quiet">None would fire.</p>'


def _fired(one: FiredLore, names: Mapping[str, str]) -> str:
    return _row("fires", one.entry, f"fires: {_why(one.why, names)}")


def _held(one: HeldLore, names: Mapping[str, str]) -> str:
    reason = f"does not fire, because {_OBSTACLES[one.obstacle]}; its cause: {_why(one.why, names)}"
    return _row("held", one.entry, reason)


def _row(manner: str, entry: LoreEntry, told: str) -> str:
    """An entry and HTML about it."""
    return f'<li class="{manner}"><b dir="auto">{escape(label(entry))}</b><span class="by">{told}</span></li>'


def _why(why: Why, names: Mapping[str, str]) -> str:
    match why.cause:
        case Cause.KEY:
            also = (
                f" and {', '.join(f'<q>{escape(one)}</q>' for one in why.secondary)}" if why.secondary else ""
            )
            return f"its key <q>{escape(why.key)}</q>{also} stands in {_where(why.where, names)}"
        case Cause.SEMANTIC:
            return f"it is like the text in meaning ({why.likeness or 0:.2f})"
        case Cause.STICKY:
            return f"it stays since {paragraph(why.since or 0)}"
        case _:
            return "it is constant"


def _where(where: str, names: Mapping[str, str]) -> str:
    kind, _, which = where.partition(":")
    if kind == "plan":
        return "what happens next"
    if kind == "step":
        return paragraph(int(which))
    if kind == "lore":
        return f"the entry <q>{escape(names.get(which, which))}</q>"
    return f"the {escape(where)}"


def _opener(id_: str, name: str, beneath: str) -> str:
    return (
        f'<button type="button" data-pick="open" data-id="{escape(id_)}" dir="auto">{escape(name)}</button>'
        f'<span class="by" dir="auto">{escape(beneath)}</span>'
    )


def _switch(id_: str, field: str, name: str, on: bool) -> str:
    """A mark that turns a flag over."""
    state = "true" if on else "false"
    return (
        f'<button type="button" class="switch" role="switch" aria-checked="{state}" data-pick="switch" '
        f'data-id="{escape(id_)}" data-field="{field}" data-on="{state}" '
        f'aria-label="{escape(name)}: {field}"></button>'
    )


def _links(story_id: str, forms: Sequence[tuple[str, str]]) -> str:
    links = " ".join(
        f'<a href="lore/{escape(story_id)}.{suffix}" download>{name}</a>' for suffix, name in forms
    )
    return f'<p class="links"><span>Take it with you:</span> {links}</p>'


def _head(*columns: str) -> str:
    return "".join(f'<th scope="col">{column}</th>' for column in columns)


def _table(head: str, rows: str, nothing: str) -> str:
    if not rows:
        return f'<p class="quiet">{nothing}</p>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
