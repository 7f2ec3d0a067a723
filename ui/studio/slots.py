"""What a prompt's slots and sources are called on the page, and which colour each slot has."""

from storyloom.memory.measures import source_of

_TITLES = {
    "style": "Style",
    "premise": "Premise",
    "outline": "Outline",
    "characters": "Characters",
    "authors_note": "Author’s note",
    "chapter": "Chapter",
    "memory": "Short-term memory",
    "recall": "Recalled",
    "last": "Last paragraphs",
    "plan": "Plan",
    "lore": "Lore",
    "lore_before": "Lore before the characters",
    "lore_after": "Lore after the characters",
    "before_note": "Lore before the note",
    "after_note": "Lore after the note",
}
_STORY = {
    "style": "the story’s style",
    "premise": "the story’s premise",
    "outline": "the story’s outline",
    "authors_note": "the story’s author’s note",
    "chapter": "the outline’s line of this chapter",
}
_KINDS = {
    "plan": "the plan for this paragraph",
    "lore": "the story’s lore",
    "character": "a character’s sheet",
    "document": "a text beside the story",
}
_BESIDE = {"step": "", "summary": "the summary up to ", "note": "noted after "}
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
        return f"Lore {which} back"
    if kind == "outlet" and which:
        return f"Lore: {which}"
    return _TITLES.get(slot, slot)


def slot_class(slot: str) -> str:
    """The style sheet's class of a slot's colour."""
    return f"slot-{slot}" if slot in _COLOURED else "slot-lore"


def source_words(source: str) -> tuple[str, int | None]:
    """Where an item comes from: words, and the paragraph that they end with, if any."""
    found = source_of(source)
    if found.depth == 0:
        return "there from the start", None
    if found.depth is not None:
        return _BESIDE[found.kind], found.depth
    if found.kind == "story":
        return _STORY.get(found.name, source), None
    return _KINDS.get(found.kind, source), None
