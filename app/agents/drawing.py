"""A paragraph in the making: takes a stream's text, sentence by sentence, and keeps what is fit.

Knows no model and no prompt. What is kept are sentences of the model, word for word and in its
order; a sentence that repeats the story or breaks its form is refused and drawn again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from storyloom.memory.form import (
    cut_at_break,
    has_open_quote,
    is_finished,
    is_first_person,
    is_second_person,
    scripts,
)
from storyloom.memory.names import names
from storyloom.memory.repetition import SentenceFilter
from storyloom.memory.text import clean, count_words, sentences

# Words after which a quotation that was opened is held to be one that nobody closes.
_LONGEST_QUOTE = 70
_VAIN_STREAMS = 2
# A sentence or a form ends only where one of these came lately: a stream is judged there, not at every word.
_TELLING = re.compile(r"[^\w\s,;'’\-]|\n")
_A_PIECE = 8
# Marks of scripts that have no spaces between sentences.
_NO_SPACE_AFTER = "。！？」』"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a sentence is held to.

    Attributes:
        language: BCP 47 tag of the story.
        known: text whose names, and whose scripts, are at home in the story.
        known_script: hold sentences to the scripts of ``known``.
        new_names: most proper names that a paragraph may bring.
        first_person: the narration may speak of itself.
        second_person: the narration may speak to the reader.
        enough_words: the paragraph is done when it has so many.
        least_words: with fewer it isn't a paragraph.
    """

    language: str
    known: str
    known_script: bool
    new_names: int
    first_person: bool
    second_person: bool
    enough_words: int
    least_words: int


@dataclass(slots=True)
class Drawing:
    """Collects a paragraph over one or several streams.

    Attributes:
        rules: what a sentence is held to.
        novelty: refuses sentences that the story has already.
        skip: go on after a refused sentence, where a model can't take its own text up again.
        firm: a sentence that the paragraph begins with where nothing came of its opening; it isn't judged.
        kept: the sentences of the paragraph so far.
        refused: why each refused sentence was refused.
        was_stopped: the last stream ended at a refused sentence.
    """

    rules: Rules
    novelty: SentenceFilter
    skip: bool = False
    firm: str = ""
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    was_stopped: bool = False
    _opening: str = ""
    _judged: int = 0
    _read: int = 0
    _before: int = 0
    _vain: int = 0
    _begun: bool = False
    _is_free: bool = False
    _known_names: frozenset[str] = frozenset()
    _known_scripts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._known_names = frozenset(names(self.rules.known, self.rules.language))
        self._known_scripts = scripts(self.rules.known) if self.rules.known_script else frozenset()

    @property
    def text(self) -> str:
        """The sentences kept so far."""
        text = ""
        for sentence in self.kept:
            text += sentence if not text or text[-1] in _NO_SPACE_AFTER else f" {sentence}"
        return text

    @property
    def begun(self) -> str:
        """What the stream at hand goes on from."""
        return self.text or self._opening

    @property
    def words(self) -> int:
        """How many words are kept."""
        return count_words(self.text)

    @property
    def is_long_enough(self) -> bool:
        """Whether nothing more is needed."""
        return self.words >= self.rules.enough_words

    @property
    def is_fit(self) -> bool:
        """Whether it can stand as a paragraph."""
        return self.words >= self.rules.least_words

    @property
    def verdict(self) -> str:
        """What became of the last stream, for the record."""
        if self.was_stopped:
            return self.refused[-1]
        return "kept" if self.is_fit else "too short"

    def begin(self, opening: str = "") -> None:
        """A new stream starts, with the words that it goes on from; what is kept stays.

        When two streams in a row added nothing, they run into what the last sentence led to: it is
        taken back, or the opening, where there is no sentence yet. What is firm stays, as it is.
        """
        self._vain = self._vain + 1 if self._begun and len(self.kept) == self._before else 0
        self._begun = True
        if self._vain >= _VAIN_STREAMS:
            self._vain = 0
            self._is_free = not self.kept
            self.kept = self.kept[:-1] or ([self.firm] if self.firm else [])
        self._before = len(self.kept)
        self._opening = "" if self.kept or self._is_free else opening
        self._judged = self._read = 0
        self.was_stopped = False

    def feed(self, text: str) -> bool:
        """Judge the stream's text so far, the last sentence excepted; True when it needn't go on.

        Args:
            text: everything the stream brought since ``begin``, without the opening.
        """
        fresh = text[max(0, self._read - _A_PIECE) :]
        self._read = len(text)
        if not _TELLING.search(fresh):
            return False
        found, broke = self._sentences(text)
        sound = self._sound(found)
        pending = count_words(" ".join(found[len(sound) :]))
        if broke or pending > _LONGEST_QUOTE:
            self._judge(sound)
            return True
        return self._judge(sound[: len(found) - 1])

    def end(self, text: str) -> None:
        """The stream is over: its last sentence counts too, if it is a whole one."""
        self._judge(self._sound(self._sentences(text)[0]))

    @staticmethod
    def _sound(found: Sequence[str]) -> list[str]:
        """The sentences before a quotation that is still open, without a last one that breaks off."""
        closed = list(takewhile(lambda one: not has_open_quote(one), found))
        return closed[:-1] if closed and not is_finished(closed[-1]) else closed

    def _sentences(self, text: str) -> tuple[list[str], bool]:
        """The sentences before the first break of form, and whether there was one."""
        whole = clean(self._opening + text).strip()
        prose = cut_at_break(whole, self.rules.language)
        return sentences(" ".join(prose.split()), self.rules.language), len(prose) < len(whole)

    def _judge(self, found: Sequence[str]) -> bool:
        """Take the sentences that weren't judged yet; True when the stream needn't go on."""
        for sentence in found[self._judged :]:
            if self.is_long_enough:
                return True
            self._judged += 1
            reason = self._objection(sentence)
            if not reason:
                self.kept.append(sentence)
            else:
                self.refused.append(reason)
                self.was_stopped = not self.skip
                if self.was_stopped:
                    return True
        return self.is_long_enough

    def _objection(self, sentence: str) -> str:
        """Why the sentence can't be kept; empty when it can."""
        if not is_finished(sentence):
            return "breaks off"
        if not self.kept and _runs_into(self._opening, sentence):
            return "runs into the opening's last word"
        if self._known_scripts and scripts(sentence) - self._known_scripts:
            return "changes script"
        if self._changes_person(sentence):
            return "changes person"
        if self._new_names(sentence) > self.rules.new_names:
            return "brings too many new names"
        return "" if self.novelty.accepts(sentence) else "repeats the story"

    def _changes_person(self, sentence: str) -> bool:
        rules = self.rules
        return (not rules.first_person and is_first_person(sentence, rules.language)) or (
            not rules.second_person and is_second_person(sentence, rules.language)
        )

    def _new_names(self, sentence: str) -> int:
        brought = names(f"{self.text} {sentence}", self.rules.language)
        return len(set(brought) - self._known_names)


def _runs_into(opening: str, sentence: str) -> bool:
    """Whether the model took the opening's last word for the beginning of a longer one."""
    return bool(opening) and re.match(rf"{re.escape(opening)}(?!\w)", sentence) is None
