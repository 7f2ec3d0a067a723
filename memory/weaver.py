"""The weaver: fits slots of text into a token budget and records what entered and what was cut.

Knows nothing of templates or engines: ``render`` makes a prompt of the texts that are left, and
``count`` measures it exactly, the chat template's own tokens included.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
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


@dataclass(frozen=True, slots=True)
class _Strip:
    """An item, and where the pieces begin that it gives up one after the other."""

    slot: str
    item: Item
    starts: tuple[int, ...]

    def kept(self, gone: int) -> str:
        """What is left after ``gone`` pieces went."""
        return self.item.text[self.starts[gone] :] if gone < len(self.starts) else ""

    def cut(self, gone: int) -> str:
        """What those pieces were; with ``kept`` it is the whole text but for white space at the cut."""
        return self.item.text[: self.starts[gone]].rstrip() if gone < len(self.starts) else self.item.text


def weave(
    slots: Sequence[Slot],
    *,
    render: Callable[[Texts], Prompt],
    count: Callable[[Prompt], int],
    budget: int,
    language: str = "en",
) -> Woven:
    """Cut the least important text until the rendered prompt fits.

    Long text costs little more than short: how many pieces must go is found by halving.

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
    capped: list[int] = []
    further: list[int] = []
    # Lowest priority first; of equals, the one that stands last in the prompt.
    for _, slot in sorted(enumerate(slots), key=lambda entry: (entry[1].priority, -entry[0])):
        cuts = list(_cuts(slot, strips))
        own = _cap(slot, cuts, strips, count)
        capped += cuts[:own]
        further += cuts[own:]

    def prompt_after(cuts: int) -> Prompt:
        return render(_texts(slots, strips, Counter(capped + further[:cuts])))

    needed = _least(len(further), lambda cuts: count(prompt_after(cuts)) <= budget)
    prompt = prompt_after(needed)
    tokens = count(prompt)
    if tokens > budget:
        raise PromptTooLong(
            f"The prompt needs {tokens} tokens and only {max(budget, 0)} fit, with everything cut that may "
            "be. Shorten the premise, the outline, the style or the author's note, or use a model with a "
            "longer context."
        )
    gone = Counter(capped + further[:needed])
    records = tuple(_record(strip, gone[place], count) for place, strip in enumerate(strips))
    return Woven(prompt=prompt, tokens=tokens, records=records)


def _strip(slot: Slot, item: Item, language: str) -> _Strip:
    if not item.text or slot.gives_way != "start":
        return _Strip(slot.name, item, (0,) if item.text else ())
    starts: list[int] = []
    end = 0
    for sentence in sentences(item.text, language):
        starts.append(item.text.index(sentence, end))
        end = starts[-1] + len(sentence)
    return _Strip(slot.name, item, (0, *starts[1:]))


def _cuts(slot: Slot, strips: Sequence[_Strip]) -> Iterator[int]:
    """The places of the strips that give up a piece, in the order in which the slot gives way."""
    own = [(place, len(strip.starts)) for place, strip in enumerate(strips) if strip.slot == slot.name]
    if slot.gives_way == "never":
        return
    for place, pieces in own if slot.gives_way == "start" else reversed(own):
        for _ in range(pieces):
            yield place


def _cap(slot: Slot, cuts: Sequence[int], strips: Sequence[_Strip], count: Callable[[Prompt], int]) -> int:
    """How many cuts hold the slot to its own maximum, before slots compete with each other."""
    most = slot.max_tokens
    if most is None:
        return 0

    def fits(number: int) -> bool:
        gone = Counter(cuts[:number])
        left = [strips[place].kept(gone[place]) for place in dict.fromkeys(cuts)]
        return sum(count(text) for text in left if text) <= most

    return _least(len(cuts), fits)


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
    texts: dict[str, tuple[str, ...]] = {slot.name: () for slot in slots}
    for place, strip in enumerate(strips):
        if kept := strip.kept(gone[place]):
            texts[strip.slot] += (kept,)
    return texts


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
