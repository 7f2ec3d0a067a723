"""From woven texts to a prompt, while a step is written and when its prompt is made again later.

Knows no storage and no model. A prompt made again must be the one that was sent, so a change of the
shapes here must leave prompts that were kept as they were.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from storyloom.app.templates import Templates
from storyloom.memory.generation import Message, Prompt
from storyloom.memory.story import SlotRecord, Weaving
from storyloom.memory.weaver import Texts

# The slots that a template sees by their own names, in the order in which the writer's has them.
SLOTS = (
    "style",
    "premise",
    "outline",
    "lore_before",
    "characters",
    "lore_after",
    "before_note",
    "authors_note",
    "after_note",
    "chapter",
    "memory",
    "lore",
    "recall",
    "last",
    "plan",
)
# Slots of which there are several: ``depth:2`` stands two paragraphs before the end of the story so
# far, ``outlet:NAME`` where a template asks for it.
DEPTH, OUTLET = "depth:", "outlet:"
# What a person has just changed of the memory stands right after the story so far.
EDITED = "edited"
_AROUND_NOTE = ("before_note", "authors_note", "after_note")


def render(templates: Templates, template: str, texts: Texts, values: Mapping[str, Any]) -> Prompt:
    """The prompt of a template's source.

    Args:
        templates: renders.
        template: the source.
        texts: what is left of each slot; a slot that is missing is empty.
        values: what else the template is given. ``agent`` names it in errors, ``note_depth`` is the
            author's note's place in the story so far (None: its place of old), and ``opening``, where
            it is there, the words of the answer that the model goes on from.

    Raises:
        InvalidSetting: a user's own template is broken.
    """
    chat = templates.rendered(str(values["agent"]), template, {**values, **_shaped(texts, values)})
    return going_on(chat, values["opening"]) if "opening" in values else chat


def rebuild(
    records: Sequence[SlotRecord], weaving: Weaving, templates: Templates, *, without: int | None = None
) -> Prompt:
    """Make a step's prompt again: the one that its first call was made with.

    Args:
        records: the step's slot records, in their order.
        weaving: how they were woven.
        templates: renders; the template's source is the weaving's.
        without: place in ``records`` of one that is left out, everything else unchanged.

    Raises:
        InvalidSetting: the template was a user's own, and what it includes is gone.
    """
    texts: dict[str, tuple[str, ...]] = {}
    for place, record in enumerate(records):
        if record.entered and place != without:
            texts[record.slot] = (*texts.get(record.slot, ()), record.text)
    return render(templates, weaving.template, texts, weaving.values)


def going_on(prompt: Prompt, begun: str, *, instead: str = "") -> Prompt:
    """The prompt with the assistant's turn begun: what the template put there, then the text so far.

    Args:
        prompt: a chat, or the text of its only turn.
        begun: the text so far.
        instead: the text that was begun in the prompt already, and makes way.
    """
    chat = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    lead = ""
    if chat and chat[-1].role == "assistant":
        *turns, last = chat
        chat, lead = tuple(turns), last.content.removesuffix(instead).rstrip()
    text = "\n\n".join(part for part in (lead, begun) if part)
    return (*chat, Message("assistant", text)) if text else chat


def is_shown(slot: str, template: str, reads: Set[str] | None, note_depth: int | None) -> bool:
    """Whether a template has a place for a slot.

    Args:
        slot: its name.
        template: the source.
        reads: the variables that it asks for, or None where that can't be told.
        note_depth: the author's note's place in the story so far, or None.
    """
    if slot.startswith(OUTLET):
        return slot.removeprefix(OUTLET) in template and (reads is None or "outlets" in reads)
    if reads is None:
        return True
    if slot == EDITED or slot.startswith(DEPTH) or (slot in _AROUND_NOTE and note_depth is not None):
        return "recent" in reads
    return slot in reads or (slot == "last" and "recent" in reads)


def _shaped(texts: Texts, values: Mapping[str, Any]) -> dict[str, Any]:
    """The slots as templates see them."""
    shaped: dict[str, Any] = {name: list(texts.get(name, ())) for name in SLOTS}
    shaped["outlets"] = {
        name.removeprefix(OUTLET): list(own) for name, own in texts.items() if OUTLET in name
    }
    shaped["recent"] = _recent(texts, values.get("note_depth"))
    if values.get("note_depth") is not None:
        shaped |= {name: [] for name in _AROUND_NOTE}  # they stand in the story so far
    return shaped


def _recent(texts: Texts, note_depth: int | None) -> list[dict[str, str]]:
    """The last paragraphs, oldest first, with what stands between them; what is deeper stands before."""
    paragraphs = texts.get("last", ())
    between: dict[int, list[dict[str, str]]] = {}
    for name, own in texts.items():
        if name.startswith(DEPTH):
            depth = int(name.removeprefix(DEPTH))
            between[depth] = [{"kind": "lore", "text": text} for text in own]
    if note_depth is not None:
        between.setdefault(note_depth, []).extend(
            {"kind": "note" if name == "authors_note" else "lore", "text": text}
            for name in _AROUND_NOTE
            for text in texts.get(name, ())
        )
    between.setdefault(0, []).extend({"kind": "lore", "text": text} for text in texts.get(EDITED, ()))
    pieces: list[dict[str, str]] = []
    for place, paragraph in enumerate((*paragraphs, "")):
        after = len(paragraphs) - place
        here = sorted(depth for depth in between if depth == after or (not place and depth > after))
        pieces += [piece for depth in reversed(here) for piece in between[depth]]
        if paragraph:
            pieces.append({"kind": "paragraph", "text": paragraph})
    return pieces
