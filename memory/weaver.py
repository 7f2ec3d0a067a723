"""The weaver: fits slots of text into a token budget and records what entered and what was cut.

Knows nothing of templates or engines: ``render`` makes a prompt of the texts that are left, and
``count`` measures it exactly, the chat template's own tokens included.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from storyloom.memory.errors import PromptTooLong
from storyloom.memory.generation import Prompt
from storyloom.memory.story import SlotRecord
from storyloom.memory.text import sentences

Texts = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A piece of text that competes for room, with the row that it comes from."""

    text: str
    source: str
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A named place of the prompt.

    Attributes:
        name: what the template calls it.
        items: best first, or in the order in which they are read.
        priority: slots of a lower priority are cut first.
        gives_way: ``items``: whole items go, the last one first; ``start``: its text loses
            sentences from the beginning; ``never``: a prompt without it makes no sense.
        max_tokens: most tokens that all its items hold together, or None.
    """

    name: str
    items: tuple[Item, ...]
    priority: int = 0
    gives_way: Literal["items", "start", "never"] = "items"
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Woven:
    """A prompt that fits, and its provenance: a record an item, in the order of the slots."""

    prompt: Prompt
    tokens: int
    records: tuple[SlotRecord, ...]


@dataclass(slots=True)
class _Strip:
    """An item while it is being cut: ``kept`` and ``cut`` together are the item's sentences."""

    item: Item
    kept: str
    cut: str = ""

    def drop(self) -> None:
        self.cut, self.kept = self.item.text, ""

    def drop_first_sentence(self) -> None:
        head, *rest = sentences(self.kept) or [""]
        if not rest:
            self.drop()
            return
        self.cut = f"{self.cut} {head}".strip()
        self.kept = self.kept[self.kept.index(head) + len(head) :].lstrip()


def weave(
    slots: Sequence[Slot],
    *,
    render: Callable[[Texts], Prompt],
    count: Callable[[Prompt], int],
    budget: int,
) -> Woven:
    """Cut the least important text until the rendered prompt fits.

    Args:
        slots: everything that would enter, each with its priority.
        render: makes the prompt from each slot's texts.
        count: exact tokens of a prompt.
        budget: most tokens that the prompt may have.

    Raises:
        PromptTooLong: what never gives way is alone larger than the budget.
    """
    strips = {slot.name: [_Strip(item, item.text) for item in slot.items] for slot in slots}
    for slot in slots:
        _cap(slot, strips[slot.name], count)
    prompt = render(_texts(strips))
    tokens = count(prompt)
    # Lowest priority first; of equals, the one that stands last in the prompt.
    order = sorted(
        (place for place, slot in enumerate(slots) if slot.gives_way != "never"),
        key=lambda place: (slots[place].priority, -place),
    )
    for slot in (slots[place] for place in order):
        while tokens > budget and _cut_once(slot, strips[slot.name]):
            prompt = render(_texts(strips))
            tokens = count(prompt)
    if tokens > budget:
        raise PromptTooLong(
            f"The prompt needs {tokens} tokens and only {budget} fit, with everything cut that may be. "
            "Shorten the premise, the outline, the style or the author's note, or use a model with a "
            "longer context."
        )
    return Woven(prompt=prompt, tokens=tokens, records=_records(slots, strips, count))


def _texts(strips: Mapping[str, Sequence[_Strip]]) -> Texts:
    return {name: tuple(strip.kept for strip in column if strip.kept) for name, column in strips.items()}


def _cap(slot: Slot, strips: list[_Strip], count: Callable[[Prompt], int]) -> None:
    """Hold the slot to its own maximum before slots compete with each other."""
    if slot.max_tokens is None or slot.gives_way == "never":
        return
    while sum(count(strip.kept) for strip in strips if strip.kept) > slot.max_tokens:
        _cut_once(slot, strips)


def _cut_once(slot: Slot, strips: list[_Strip]) -> bool:
    """Take the smallest piece that the slot gives up next; False when nothing is left."""
    left = [strip for strip in strips if strip.kept]
    if not left:
        return False
    if slot.gives_way == "start":
        left[0].drop_first_sentence()
    else:
        left[-1].drop()
    return True


def _records(
    slots: Sequence[Slot], strips: Mapping[str, Sequence[_Strip]], count: Callable[[Prompt], int]
) -> tuple[SlotRecord, ...]:
    return tuple(
        SlotRecord(
            slot=slot.name,
            source=strip.item.source,
            text=strip.kept or strip.item.text,
            tokens=count(strip.kept) if strip.kept else 0,
            score=strip.item.score,
            parts=strip.item.parts,
            cut=strip.cut,
        )
        for slot in slots
        for strip in strips[slot.name]
    )
