"""What a rewriting is held to: how long it may be, and what of a model's reply can take a passage's place.

Knows no model and no prompt. The lists that make it sharper are English so far.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from storyloom.memory.form import cut_at_break, is_finished
from storyloom.memory.function_words import content_words
from storyloom.memory.names import names
from storyloom.memory.repetition import rep
from storyloom.memory.text import clean, count_words, sentence_starts, sentences, words

# How much longer than the passage a rewriting may be, and how many words more.
_ROOM = (2, 20)
_ROOM_IF_LONGER = (3, 40)
_SHORTER = {"en": re.compile(r"\b(?:shorte[rn]\w*|brief\w*|concise\w*|condense\w*|trim\w*|tighte[rn]\w*)\b")}
_LONGER = {"en": re.compile(r"\b(?:longer|lengthen\w*|expand\w*|elaborate\w*|details?|extend\w*)\b")}
# What a model says before it does what it was asked.
_LEAD = re.compile(
    r"\A(?:(?:sure|certainly|of course)\b[^\n:]{0,80}:|here(?:['’]s| is| are)\b[^\n:]{0,80}:|"
    r"(?:the )?(?:new |revised |rewritten )?(?:passage|version|rewrite|rewriting)\s?:|"
    r"[^\n.!?]{1,60}:\s*\n)\s*",
    re.IGNORECASE,
)
_QUOTES = (('"', '"'), ("“", "”"), ("«", "»"), ("„", "“"), ("「", "」"))
_END = ".!?…。！？"
_STEM = 4  # letters that two forms of a word share
_LOOPS = 0.15  # of its three-word runs; a text that repeats more of them says itself again


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What shall be rewritten, and how.

    Attributes:
        passage: the words, without white space around them.
        before: what stands before them.
        after: what stands after them.
        instruction: what a person wants changed.
        language: BCP 47 tag of the story.
    """

    passage: str
    before: str
    after: str
    instruction: str
    language: str

    @property
    def wants_less(self) -> bool:
        """Whether the instruction asks for fewer words; False where unknown."""
        return _asks(self, _SHORTER)

    @property
    def wants_more(self) -> bool:
        """Whether the instruction asks for more words; False where unknown."""
        return _asks(self, _LONGER)

    @property
    def most_words(self) -> int:
        """How many words a rewriting may have."""
        count = max(1, count_words(self.passage))
        if self.wants_less:
            return max(1, count - 1)
        times, more = _ROOM_IF_LONGER if self.wants_more else _ROOM
        return times * count + more

    @property
    def is_fragment(self) -> bool:
        """Whether the passage ends inside a sentence."""
        return not is_finished(self.passage) and bool(self.after.strip())


def nearest(text: str, most_words: int, language: str, *, last: bool) -> str:
    """The last or the first sentences of a text with at most so many words together, one at least.

    Args:
        text: what stands before or after a passage.
        most_words: 0 for one sentence alone.
        language: BCP 47 tag.
        last: the last sentences, not the first.
    """
    found = sentences(text, language)
    kept: list[str] = []
    for sentence in reversed(found) if last else found:
        both = [sentence, *kept] if last else [*kept, sentence]
        if kept and count_words(" ".join(both)) > most_words:
            break
        kept = both
    return " ".join(kept)


def read(reply: str, order: Order, *, whole: bool) -> str:
    """What of a reply can take the passage's place; empty when nothing can.

    Remarks, what stands beside the passage already, what it says twice and what runs past its bound
    are left out; the first letter and the last mark are made to fit.

    Args:
        reply: as the model wrote it.
        order: what was asked.
        whole: the model came to its end by itself; else its last sentence may break off.
    """
    text = _without_lead(clean(reply).strip())
    if cut_at_break(order.passage, order.language) == order.passage.strip():
        text = cut_at_break(text, order.language)
    text = _unquoted(_lines(text, order.passage), order.passage)
    text = _without_neighbours(text, order)
    text = _fit_sentences(text, order, whole=whole)
    return _joined_in(text, order)


def objection(text: str, order: Order, prompt: str) -> str:
    """Why a rewriting can't be proposed; empty when it can.

    Args:
        text: what ``read`` left.
        order: what was asked.
        prompt: what the model read.
    """
    if not words(text):
        return "nothing usable came"
    if " ".join(text.split()) == " ".join(order.passage.split()):
        return "only says it again"
    if words(text) == words(order.instruction):
        return "only says the instruction"
    told = prompt.replace(order.passage, "\n")
    if len(words(text)) > _STEM and text in told:
        return "says what stands beside it"
    return ""


def lack(text: str, order: Order) -> str:
    """What a rewriting lacks, as far as words can be counted; empty when nothing is known to be amiss."""
    if words(text) == words(order.passage):
        return "says the same words"
    if rep(words(text), 3) > max(_LOOPS, rep(words(order.passage), 3)):
        return "repeats itself"
    if order.wants_more and count_words(text) <= count_words(order.passage):
        return "isn't longer"
    return "" if shown_share(text, order) else "has nothing of the instruction"


def worth(text: str, order: Order) -> float:
    """How well a rewriting does what was asked, to choose among several."""
    said = words(text)
    longer = float(not order.wants_more or len(said) > count_words(order.passage))
    return shown_share(text, order) + longer + (said != words(order.passage)) - rep(said, 3)


def shown_share(text: str, order: Order) -> float:
    """The share of the instruction's telling words that the text has, by their stems; 1 for none."""
    told = re.sub(r"['’]s\b", "", order.instruction.lower())
    for known in (_SHORTER, _LONGER):
        told = known[order.language[:2]].sub(" ", told) if order.language[:2] in known else told
    wanted = content_words(words(told), order.language)
    stems = {word[:_STEM] for word in words(text)}
    return sum(word[:_STEM] in stems for word in wanted) / len(wanted) if wanted else 1.0


def _asks(order: Order, known: dict[str, re.Pattern[str]]) -> bool:
    pattern = known.get(order.language[:2])
    return pattern is not None and pattern.search(order.instruction.lower()) is not None


def _without_lead(text: str) -> str:
    return _LEAD.sub("", text, count=1)


def _lines(text: str, passage: str) -> str:
    """One line, where the passage is one; else its lines without blank ones."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return ("\n" if "\n" in passage else " ").join(line for line in lines if line)


def _unquoted(text: str, passage: str) -> str:
    """Without quotation marks around the whole, where the passage has none around it."""
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        around = len(text) > 1 and text.startswith(opening) and text.endswith(closing)
        if around and opening not in inner and closing not in inner and not passage.startswith(opening):
            return inner.strip()
    return text


def _without_neighbours(text: str, order: Order) -> str:
    """Without the beginning and the end of a sentence of which the passage is a part."""
    before, after = sentences(order.before, order.language), sentences(order.after, order.language)
    if before and not is_finished(before[-1]) and text.startswith(before[-1]):
        text = text[len(before[-1]) :].lstrip()
    if after and order.is_fragment and len(after[0]) > 1:
        text = text.removesuffix(after[0]).rstrip()
    return text


def _fit_sentences(text: str, order: Order, *, whole: bool) -> str:
    """The sentences that belong in the passage's place, as many as its bound allows."""
    language = order.language
    known_before = [words(one) for one in sentences(order.before, language)]
    known_after = [words(one) for one in sentences(order.after, language)]
    found = sentences(text, language)
    if found and not whole and not is_finished(found[-1]) and not order.is_fragment:
        found.pop()
    kept, end = "", 0
    said: list[list[str]] = []
    for start, sentence in zip(sentence_starts(text, language), found, strict=False):
        own = words(sentence)
        if own in known_after or (kept and order.is_fragment):
            break
        if (not kept and own in known_before) or own in said:
            end = start + len(sentence)
            continue
        longer = kept + (text[end:start] if kept else "") + sentence
        if kept and count_words(longer) > order.most_words:
            break
        kept, end = longer, start + len(sentence)
        said.append(own)
    # A single sentence that is too long can't be cut without breaking it.
    return kept if count_words(kept) <= order.most_words else ""


def _joined_in(text: str, order: Order) -> str:
    """With a first letter and a last mark like the passage's."""
    if not text:
        return ""
    passage = order.passage
    if passage[0].islower() and text[0].isupper() and not _is_name(text, order):
        text = text[0].lower() + text[1:]
    elif passage[0].isupper() and text[0].islower():
        text = text[0].upper() + text[1:]
    if order.is_fragment:
        return text.rstrip(_END) if text[-1] in _END else text
    return text if is_finished(text) or not is_finished(passage) else f"{text.rstrip(',;:')}."


def _is_name(text: str, order: Order) -> bool:
    first = words(text)[:1]
    told: Iterable[str] = names(f"{order.before} {order.passage} {order.after}", order.language)
    return first in (["i"], ["i'm"], ["i'd"], ["i've"], ["i'll"]) or first in [words(one)[:1] for one in told]
