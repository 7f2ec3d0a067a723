"""The weaver: fits slots of text into a token budget and records what entered and what was cut.

Knows nothing of templates or engines: ``render`` makes a prompt of the texts that are left, and
``count`` measures it exactly, the chat template's own tokens included.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import repeat
from typing import Literal

from storyloom.memory.errors import PromptTooLong
from storyloom.memory.generation import Prompt
from storyloom.memory.story import SlotRecord
from storyloom.memory.text import sentences

Texts = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A piece of text that competes for room, with the row that it comes from.

    Attributes:
        text: what enters.
        source: the row.
        score: why it won, where items competed.
        parts: the parts of the score by name.
        pinned: it gives way only when nothing else can, and its cut is told.
    """

    text: str
    source: str
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A named place of the prompt.

    Attributes:
        name: what the template calls it.
        items: in the order in which they are read.
        priority: slots of a lower priority are cut first.
        gives_way: ``items``: whole items go, the last one first; ``early_items``: the first one first;
            ``end``: as ``items``, but the first one loses sentences from its end, so that some of the
            best stays; ``start``: its text loses sentences from the beginning; ``never``: a prompt
            without it makes no sense.
        min_tokens: it isn't cut below them while another slot, whatever its priority, can give up
            something without falling below its own.
        max_tokens: most tokens that its items hold together, or None; pinned ones stay all the same.
    """

    name: str
    items: tuple[Item, ...]
    priority: int = 0
    gives_way: Literal["items", "early_items", "end", "start", "never"] = "items"
    min_tokens: int = 0
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Woven:
    """A prompt that fits, and its provenance.

    Attributes:
        prompt: what fits.
        tokens: its tokens.
        texts: what is left of each slot.
        records: a record an item, in the order of the slots.
        lost: those of pinned items that had to be cut.
    """

    prompt: Prompt
    tokens: int
    texts: Texts
    records: tuple[SlotRecord, ...]
    lost: tuple[SlotRecord, ...]


@dataclass(frozen=True, slots=True)
class _Strip:
    """An item, and where the pieces begin that it gives up one after the other, from its start or end."""

    slot: str
    item: Item
    starts: tuple[int, ...]
    from_end: bool = False

    def kept(self, gone: int) -> str:
        """What is left after ``gone`` pieces went."""
        if gone >= len(self.starts):
            return ""
        if self.from_end and gone:
            return self.item.text[: self.starts[-gone]].rstrip()
        return self.item.text[self.starts[gone] :]

    def cut(self, gone: int) -> str:
        """What those pieces were; with ``kept`` it is the whole text but for white space at the cut."""
        if gone >= len(self.starts):
            return self.item.text
        if self.from_end:
            return self.item.text[self.starts[-gone] :]
        return self.item.text[: self.starts[gone]].rstrip()


def weave(
    slots: Sequence[Slot],
    *,
    render: Callable[[Texts], Prompt],
    count: Callable[[Prompt], int],
    budget: int,
    language: str = "en",
) -> Woven:
    """Cut the least important text until the rendered prompt fits.

    Each slot is held to its own maximum first. Then text goes in three rounds, in each from the slot of
    lowest priority to that of highest: what a slot holds beyond its minimum; then the minimum too; and
    what is pinned at last. Long text costs little more than short: how many pieces must go is found by
    halving.

    Args:
        slots: everything that would enter, each with its priority; no two of one name.
        render: makes the prompt from each slot's texts.
        count: exact tokens of a prompt.
        budget: most tokens that the prompt may have.
        language: BCP 47 tag of the text, to tell its sentences apart.

    Raises:
        PromptTooLong: what never gives way is alone larger than the budget.
    """
    if len({slot.name for slot in slots}) < len(slots):
        raise ValueError("two slots have the same name: one's text would stand in the other's place")
    count = cache(count)
    strips = [_strip(slot, item, language) for slot in slots for item in slot.items]
    capped, further = _order(slots, strips, count)

    def left_after(cuts: int) -> Texts:
        return _texts(slots, strips, Counter(capped + further[:cuts]))

    needed = _least(len(further), lambda cuts: count(render(left_after(cuts))) <= budget)
    texts = left_after(needed)
    prompt = render(texts)
    tokens = count(prompt)
    if tokens > budget:
        raise PromptTooLong(
            f"The prompt needs {tokens} tokens and only {max(budget, 0)} fit, with everything cut that may "
            "be. Shorten the premise, the outline, the style, the author's note or the plan, or use a model "
            "with a longer context."
        )
    gone = Counter(capped + further[:needed])
    records = tuple(_record(strip, gone[place], count) for place, strip in enumerate(strips))
    pinned = [strip.item.pinned for strip in strips]
    lost = tuple(
        record for record, is_pinned in zip(records, pinned, strict=True) if is_pinned and record.cut
    )
    return Woven(prompt=prompt, tokens=tokens, texts=texts, records=records, lost=lost)


def _strip(slot: Slot, item: Item, language: str) -> _Strip:
    from_end = slot.gives_way == "end" and item is slot.items[0]
    if not item.text or not (from_end or slot.gives_way == "start"):
        return _Strip(slot.name, item, (0,) if item.text else ())
    starts: list[int] = []
    end = 0
    for sentence in sentences(item.text, language):
        starts.append(item.text.index(sentence, end))
        end = starts[-1] + len(sentence)
    return _Strip(slot.name, item, (0, *starts[1:]), from_end)


def _order(
    slots: Sequence[Slot], strips: Sequence[_Strip], count: Callable[[Prompt], int]
) -> tuple[list[int], list[int]]:
    """Which strip gives up a piece: for the slots' own maxima, and then, in this order, for the budget."""
    capped: list[int] = []
    spare: list[int] = []
    needed: list[int] = []
    pinned: list[int] = []
    # Lowest priority first; of equals, the one that stands last in the prompt.
    for _, slot in sorted(enumerate(slots), key=lambda entry: (entry[1].priority, -entry[0])):
        own = {place: strip for place, strip in enumerate(strips) if strip.slot == slot.name}
        cuts = list(_cuts(slot, own))
        loose = [place for place in cuts if not own[place].item.pinned]
        over, beyond = _bounds(slot, own, loose, count)
        capped += loose[:over]
        spare += loose[over:beyond]
        needed += loose[beyond:]
        pinned += [place for place in cuts if own[place].item.pinned]
    return capped, spare + needed + pinned


def _cuts(slot: Slot, own: Mapping[int, _Strip]) -> Iterator[int]:
    """The places of the strips that give up a piece, in the order in which the slot gives way."""
    if slot.gives_way == "never":
        return
    places = reversed(list(own)) if slot.gives_way in {"items", "end"} else iter(own)
    for place in places:
        yield from repeat(place, len(own[place].starts))


def _bounds(
    slot: Slot, own: Mapping[int, _Strip], cuts: Sequence[int], count: Callable[[Prompt], int]
) -> tuple[int, int]:
    """How many cuts hold the slot to its maximum, and how many there may be before it is at its minimum."""

    def held(number: int) -> int:
        gone = Counter(cuts[:number])
        text = " ".join(filter(None, (strip.kept(gone[place]) for place, strip in own.items())))
        return count(text) if text else 0

    most, least = slot.max_tokens, slot.min_tokens
    over = 0 if most is None else _least(len(cuts), lambda number: held(number) <= most)
    if not cuts or least <= 0 or held(len(cuts)) >= least:
        return over, len(cuts)
    return over, max(over, _least(len(cuts), lambda number: held(number) < least) - 1)


def _least(most: int, fits: Callable[[int], bool]) -> int:
    """The least number that fits, up to ``most``; ``most`` when no smaller one does."""
    if most == 0 or fits(0):
        return 0
    too_few, enough = 0, most
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if fits(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def _texts(slots: Sequence[Slot], strips: Sequence[_Strip], gone: Mapping[int, int]) -> Texts:
    texts: dict[str, list[str]] = {slot.name: [] for slot in slots}
    for place, strip in enumerate(strips):
        if kept := strip.kept(gone.get(place, 0)):
            texts[strip.slot].append(kept)
    return {name: tuple(own) for name, own in texts.items()}


def _record(strip: _Strip, gone: int, count: Callable[[Prompt], int]) -> SlotRecord:
    kept = strip.kept(gone)
    return SlotRecord(
        slot=strip.slot,
        source=strip.item.source,
        text=kept or strip.item.text,
        tokens=count(kept) if kept else 0,
        score=strip.item.score,
        parts=strip.item.parts,
        cut=strip.cut(gone) if gone else "",
    )
