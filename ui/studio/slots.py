"""What a prompt's slots and sources are called on the page, and which colour each slot has."""

from collections.abc import Callable
from html import escape

from storyloom.memory.measures import source_of
from storyloom.ui.studio.languages import gettext, gettext_noop

_TITLES = {
    "style": gettext_noop("Style"),
    "premise": gettext_noop("Premise"),
    "outline": gettext_noop("Outline"),
    "characters": gettext_noop("Characters"),
    "authors_note": gettext_noop("Author’s note"),
    "chapter": gettext_noop("Chapter"),
    "memory": gettext_noop("Short-term memory"),
    "edited": gettext_noop("Memory, just edited"),
    "recall": gettext_noop("Recalled"),
    "last": gettext_noop("Last paragraphs"),
    "plan": gettext_noop("Plan"),
    "lore": gettext_noop("Lore"),
    "lore_before": gettext_noop("Lore before the characters"),
    "lore_after": gettext_noop("Lore after the characters"),
    "before_note": gettext_noop("Lore before the note"),
    "after_note": gettext_noop("Lore after the note"),
}
_STORY = {
    "style": gettext_noop("the story’s style"),
    "premise": gettext_noop("the story’s premise"),
    "outline": gettext_noop("the story’s outline"),
    "authors_note": gettext_noop("the story’s author’s note"),
    "chapter": gettext_noop("the outline’s line of this chapter"),
}
_KINDS = {
    "plan": gettext_noop("the plan for this paragraph"),
    "lore": gettext_noop("the story’s lore"),
    "character": gettext_noop("a character’s sheet"),
    "document": gettext_noop("a text beside the story"),
}
_BESIDE = {
    "step": "{paragraph}",
    "summary": gettext_noop("the summary up to {paragraph}"),
    "note": gettext_noop("noted after {paragraph}"),
}
# Slots that are coloured by themselves; every other one holds lore.
_COLOURED = frozenset(
    {
        "style",
        "premise",
        "outline",
        "characters",
        "authors_note",
        "chapter",
        "memory",
        "recall",
        "last",
        "plan",
    }
)


def slot_title(slot: str) -> str:
    """A slot as a person calls it."""
    kind, _, which = slot.partition(":")
    if kind == "depth" and which:
        return gettext("Lore {depth} back", depth=which)
    if kind == "outlet" and which:
        return gettext("Lore: {name}", name=which)
    return gettext(_TITLES[slot]) if slot in _TITLES else slot


def slot_class(slot: str) -> str:
    """The style sheet's class of a slot's colour; what was just edited has the memory's."""
    slot = "memory" if slot == "edited" else slot
    return f"slot-{slot}" if slot in _COLOURED else "slot-lore"


def source_words(source: str, paragraph: Callable[[int], str]) -> str:
    """Where an item comes from, as HTML.

    Args:
        source: what its record says.
        paragraph: makes HTML of the number of a paragraph that it belongs to.
    """
    found = source_of(source)
    if found.depth == 0:
        return gettext("there from the start")
    if found.depth is not None:
        return gettext(_BESIDE[found.kind], paragraph=paragraph(found.depth))
    words = _STORY.get(found.name) if found.kind == "story" else _KINDS.get(found.kind)
    return escape(source if words is None else gettext(words))
