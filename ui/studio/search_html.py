"""What long-term memory answers, as HTML: each hit with its score and what speaks for it."""

from collections.abc import Sequence
from html import escape

from storyloom.memory.weaver import Item
from storyloom.ui.studio.languages import decimal, gettext, gettext_noop
from storyloom.ui.studio.memory_html import paragraph

# The parts of a score by what they count (``memory.recall.RecallRule``).
_PARTS = {
    "bm25": gettext_noop("its own words"),
    "beside": gettext_noop("words of its neighbours"),
    "chapter": gettext_noop("words of its chapter"),
    "dense": gettext_noop("likeness of meaning"),
}
_KINDS = {"lore": gettext_noop("Lore"), "document": gettext_noop("A text beside the story")}


def hits(found: Sequence[Item], note: str) -> str:
    """The hits, best first, and what the search lacks, if anything."""
    told = f'<p class="quiet">{escape(note)}</p>' if note else ""
    if not found:
        return f'{told}<p class="quiet">{gettext("Nothing in the story answers to that.")}</p>'
    return f'{told}<ol class="hits">{"".join(map(_hit, found))}</ol>'


def _hit(item: Item) -> str:
    parts = "".join(_part(name, value) for name, value in item.parts.items())
    score = gettext("score {number}", number=decimal(item.score or 0, 2))
    return (
        f"<li><header>{_place(item.source)}<span>{score}</span></header>"
        f'<p dir="auto" tabindex="0">{escape(item.text)}</p>'
        f"<details><summary>{gettext('Why')}</summary><table><tbody>{parts}</tbody></table></details></li>"
    )


def _part(name: str, value: float) -> str:
    """A part in words, as a bar and as a number; at a full bar nearly everything speaks for the hit."""
    share = min(abs(value), 1.0)
    called = gettext(_PARTS[name]) if name in _PARTS else name
    return (
        f'<tr><th scope="row">{escape(called)}</th><td class="{"against" if value < 0 else "for"}">'
        f'<span style="width: {share:.0%}"></span></td><td>{decimal(value, 2)}</td></tr>'
    )


def _place(source: str) -> str:
    kind, _, place = source.partition(":")
    if kind == "step":
        return paragraph(int(place.rpartition(":")[2]))
    if kind == "summary":
        last = paragraph(int(place.rpartition(":")[2]))
        return f"<span>{gettext('Summary up to {paragraph}', paragraph=last)}</span>"
    return f"<span>{escape(gettext(_KINDS[kind]) if kind in _KINDS else kind)}</span>"
