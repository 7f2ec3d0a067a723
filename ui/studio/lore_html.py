"""Lore and characters as HTML."""

from collections.abc import Mapping, Sequence
from html import escape

from storyloom.memory.lore import CharacterSheet, LoreEntry, label
from storyloom.memory.lore_results import Cause, FiredLore, HeldLore, LoreScan, Obstacle, Why
from storyloom.ui.studio.languages import decimal, gettext, gettext_noop
from storyloom.ui.studio.memory_html import paragraph

_OBSTACLES = {
    Obstacle.CHARACTER: gettext_noop("does not fire, because its characters aren't there; its cause: {why}"),
    Obstacle.TRIGGER: gettext_noop(
        "does not fire, because it is for another kind of generation; its cause: {why}"
    ),
    Obstacle.DELAY: gettext_noop("does not fire, because the story is too short yet; its cause: {why}"),
    Obstacle.COOLDOWN: gettext_noop("does not fire, because it rests after it has fired; its cause: {why}"),
    Obstacle.RECURSION: gettext_noop(
        "does not fire, because only the text of other entries names it; its cause: {why}"
    ),
    Obstacle.PROBABILITY: gettext_noop("does not fire, because chance is against it; its cause: {why}"),
    Obstacle.GROUP: gettext_noop("does not fire, because another entry of its group fires; its cause: {why}"),
    Obstacle.BUDGET: gettext_noop("does not fire, because the lore's room is used up; its cause: {why}"),
}
# What else is scanned for keys, as the lore calls it.
_SCANNED = {
    "premise": gettext_noop("{keys} stands in the premise"),
    "memory": gettext_noop("{keys} stands in the memory"),
    "characters": gettext_noop("{keys} stands in the characters"),
    "personality": gettext_noop("{keys} stands in the personality"),
    "scenario": gettext_noop("{keys} stands in the scenario"),
    "notes": gettext_noop("{keys} stands in the notes"),
}
_ELSEWHERE = gettext_noop("{keys} stands in the {where}")
_FLAGS = {"enabled": gettext_noop("{name}: enabled"), "constant": gettext_noop("{name}: constant")}
_BOOKS = (
    ("json", gettext_noop("World info for SillyTavern")),
    ("lorebook", gettext_noop("Lorebook for NovelAI")),
)
_CARDS = (("png", gettext_noop("Card of the first character")),)


def entries(book: Sequence[LoreEntry]) -> str:
    """The table of entries; a name opens its form."""
    head = _head(gettext("Entry"), gettext("On"), gettext("Constant"), gettext("Order"))
    rows = "".join(
        f"<tr><td>{_opener(one.id, label(one), ', '.join(one.keys))}</td>"
        f"<td>{_switch(one.id, 'enabled', label(one), one.enabled)}</td>"
        f"<td>{_switch(one.id, 'constant', label(one), one.constant)}</td><td>{one.order}</td></tr>"
        for one in book
    )
    nothing = gettext("No lore yet: what the world is like, told to the writer when its time comes.")
    return _table(head, rows, nothing)


def characters(sheets: Sequence[CharacterSheet]) -> str:
    """The table of characters."""
    head = _head(gettext("Character"), gettext("On"))
    rows = "".join(
        f"<tr><td>{_opener(one.id, one.name, one.description)}</td>"
        f"<td>{_switch(one.id, 'enabled', one.name, one.enabled)}</td></tr>"
        for one in sheets
    )
    return _table(head, rows, gettext("No characters yet."))


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
    return f"<ul>{''.join(rows)}</ul>" if rows else f'<p class="quiet">{gettext("None would fire.")}</p>'


def _fired(one: FiredLore, names: Mapping[str, str]) -> str:
    return _row("fires", one.entry, gettext("fires: {why}", why=_why(one.why, names)))


def _held(one: HeldLore, names: Mapping[str, str]) -> str:
    return _row("held", one.entry, gettext(_OBSTACLES[one.obstacle], why=_why(one.why, names)))


def _row(manner: str, entry: LoreEntry, told: str) -> str:
    """An entry and HTML about it."""
    return f'<li class="{manner}"><b dir="auto">{escape(label(entry))}</b><span class="by">{told}</span></li>'


def _why(why: Why, names: Mapping[str, str]) -> str:
    match why.cause:
        case Cause.KEY:
            return _stands(_keys(why), why.where, names)
        case Cause.SEMANTIC:
            return gettext(
                "it is like the text in meaning ({likeness})", likeness=decimal(why.likeness or 0, 2)
            )
        case Cause.STICKY:
            return gettext("it stays since {paragraph}", paragraph=paragraph(why.since or 0))
        case _:
            return gettext("it is constant")


def _keys(why: Why) -> str:
    key = _quoted(why.key)
    if not why.secondary:
        return gettext("its key {key}", key=key)
    return gettext("its key {key} and {others}", key=key, others=", ".join(map(_quoted, why.secondary)))


def _stands(keys: str, where: str, names: Mapping[str, str]) -> str:
    """Where keys were found."""
    kind, _, which = where.partition(":")
    if kind == "plan":
        return gettext("{keys} stands in what happens next", keys=keys)
    if kind == "step":
        return gettext("{keys} stands in {paragraph}", keys=keys, paragraph=paragraph(int(which)))
    if kind == "lore":
        name = _quoted(names.get(which, which))
        return gettext("{keys} stands in the entry {name}", keys=keys, name=name)
    return gettext(_SCANNED.get(where, _ELSEWHERE), keys=keys, where=escape(where))


def _quoted(text: str) -> str:
    return f"<q>{escape(text)}</q>"


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
        f'aria-label="{gettext(_FLAGS[field], name=escape(name))}"></button>'
    )


def _links(story_id: str, forms: Sequence[tuple[str, str]]) -> str:
    links = " ".join(
        f'<a href="lore/{escape(story_id)}.{suffix}" download>{gettext(name)}</a>' for suffix, name in forms
    )
    return f'<p class="links"><span>{gettext("Take it with you:")}</span> {links}</p>'


def _head(*columns: str) -> str:
    return "".join(f'<th scope="col">{column}</th>' for column in columns)


def _table(head: str, rows: str, nothing: str) -> str:
    if not rows:
        return f'<p class="quiet">{nothing}</p>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
