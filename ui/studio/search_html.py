"""What long-term memory answers, as HTML: each hit with its score and what speaks for it."""

from collections.abc import Sequence
from html import escape

from storyloom.memory.weaver import Item
from storyloom.ui.studio.memory_html import paragraph

# The parts of a score by what they count (``memory.recall.RecallRule``).
_PARTS = {
    "bm25": "its own words",
    "beside": "words of its neighbours",
    "chapter": "words of its chapter",
    "dense": "likeness of meaning",
}
_KINDS = {"lore": "Lore", "document": "A text beside the story"}


def hits(found: Sequence[Item], note: str) -> str:
    """The hits, best first, and what the search lacks, if anything."""
    told = f'<p class="quiet">{escape(note)}</p>' if note else ""
    if not found:
        return f'{told}<p class="quiet">Nothing in the story answers to that.</p>'
    return f'{told}<ol class="hits">{"".join(map(_hit, found))}</ol>'


def _hit(item: Item) -> str:
    parts = "".join(_part(_PARTS.get(name, name), value) for name, value in item.parts.items())
    return (
        f"<li><header>{_place(item.source)}<span>score {item.score or 0:.2f}</span></header>"
        f'<p dir="auto" tabindex="0">{escape(item.text)}</p>'
        f"<details><summary>Why</summary><table><tbody>{parts}</tbody></table></details></li>"
    )


def _part(name: str, value: float) -> str:
    """A part in words, as a bar and as a number; at a full bar nearly everything speaks for the hit."""
    share = min(abs(value), 1.0)
    return (
        f'<tr><th scope="row">{escape(name)}</th><td class="{"against" if value < 0 else "for"}">'
        f'<span style="width: {share:.0%}"></span></td><td>{value:.2f}</td></tr>'
    )


def _place(source: str) -> str:
    kind, _, place = source.partition(":")
    if kind == "step":
        return paragraph(int(place.rpartition(":")[2]))
    if kind == "summary":
        return f"<span>Summary up to {paragraph(int(place.rpartition(':')[2]))}</span>"
    return f"<span>{escape(_KINDS.get(kind, kind))}</span>"
