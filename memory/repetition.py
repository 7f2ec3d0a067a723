"""Repetition: how much of a text says itself again, and which sentences a story has said before.

Knows no model and no prompt. An n-gram is a run of n words. A character is a word where the script
has no spaces, and carries less, so the index takes longer runs there.
"""

from collections.abc import Iterable, Sequence

from storyloom.memory.text import ngrams, words

# Lengths, in words, of the runs that a sentence is judged by.
_SHORT_RUN = 4
_LONG_RUN = 8
# A word of Chinese or Japanese has about this many characters.
_CHARACTERS_A_WORD = 1.7
_MAX_OVERLAP = 0.25
# A turn of phrase may come back after so many words, some thirty pages; a run of eight words may not.
# Without an end to it, every common phrase of a long novel would be refused at last.
_LATELY = 8_000


def rep(tokens: Sequence[str], size: int) -> float:
    """Share of n-grams that repeat an earlier one: 1 − unique / total; 0 for a text without any."""
    total = len(tokens) - size + 1
    return 1 - len(set(ngrams(tokens, size))) / total if total > 0 else 0.0


def distinct(tokens: Sequence[str], size: int) -> float:
    """Share of n-grams that are unique: unique / total; 1 for a text without any."""
    return 1 - rep(tokens, size)


class StoryIndex:
    """The short runs of words of everything written on a strand.

    Adding costs time by the length of what is added, asking by the length of what is asked, and
    neither by the length of the story. Hashes are kept instead of the words: two runs that share a
    hash are one in 2**64. With each goes the place where it stood last.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._places: dict[int, int] = {}
        self._length = 0
        self._tail: list[str] = []
        for text in texts:
            self.add(text)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last words written: a new sentence's first runs begin among them."""
        return tuple(self._tail)

    def add(self, text: str) -> None:
        """Take in what was written next; the runs across the joint count as well."""
        tokens = self._tail + words(text)
        self._length += len(tokens) - len(self._tail)
        self._places.update(dict.fromkeys(_runs(tokens), self._length))
        self._tail = tokens[-_longest_run(tokens) + 1 :]

    def overlap(self, text: str) -> float:
        """Share of the text's runs of four words that stand in the story; 0 for a shorter text."""
        runs = _runs(words(text))
        return sum(self.seen(runs)) / len(runs) if runs else 0.0

    def holds_8gram(self, text: str) -> bool:
        """Whether eight words in a row stand in the story, each four of them together somewhere."""
        return _has_long_run(words(text), self.seen(_runs(words(text))))

    def seen(self, runs: Iterable[int]) -> list[bool]:
        """Which of the hashed runs stand in the story."""
        return [run in self._places for run in runs]

    def seen_lately(self, runs: Iterable[int]) -> list[bool]:
        """Which of the hashed runs stand in its last thirty pages or so."""
        first = self._length - _LATELY
        return [self._places.get(run, -1) >= max(first, 0) for run in runs]


class SentenceFilter:
    """Refuses sentences of a draw that stand in the story, or earlier in the draw, already.

    Sentences are offered in the order in which they would be read; those that are accepted count
    as written for the next ones, the runs across their joints too.

    Args:
        index: everything written before.
        also: further texts that are not to be copied, such as the short-term memory.
        max_overlap: highest share of a sentence's runs of four words that may be old.
        max_repeated: highest share of the whole draw's runs that may be old, one run forgiven. Both
            may be changed on the way.
    """

    def __init__(
        self,
        index: StoryIndex,
        *,
        also: Iterable[str] = (),
        max_overlap: float = _MAX_OVERLAP,
        max_repeated: float = 1.0,
    ) -> None:
        self._index = index
        self._draw = {run for text in also for run in _runs(words(text))}
        self._tail = list(index.tail)
        self.max_overlap = max_overlap
        self.max_repeated = max_repeated
        self._old = self._total = 0

    def accepts(self, sentence: str) -> bool:
        """Judge the next sentence, and remember it when it is new."""
        own = words(sentence)
        runs = _runs(self._tail[-_short_run(own) + 1 :] + own)
        twice = len(runs) - len(set(runs))
        lately = sum(self._with_draw(runs, self._index.seen_lately(runs))) + twice
        joint = self._tail + own
        ever = _runs(joint)
        old, total = self._old + lately, self._total + len(runs)
        if lately > self.max_overlap * len(runs) or (lately and old > 1 + self.max_repeated * total):
            return False
        if _has_long_run(joint, self._with_draw(ever, self._index.seen(ever))):
            return False
        self._old, self._total = old, total
        self._draw.update(ever)
        self._tail = joint[-_longest_run(joint) + 1 :]
        return True

    def _with_draw(self, runs: Sequence[int], seen: Sequence[bool]) -> list[bool]:
        return [old or run in self._draw for run, old in zip(runs, seen, strict=True)]


def _scaled(size: int, tokens: Sequence[str]) -> int:
    """``size`` words, in tokens: more where most tokens are single characters of a wide script."""
    wide = sum(len(token) == 1 and token > "\u3000" for token in tokens)
    return round(size * _CHARACTERS_A_WORD) if 2 * wide > len(tokens) else size


def _short_run(tokens: Sequence[str]) -> int:
    return _scaled(_SHORT_RUN, tokens)


def _longest_run(tokens: Sequence[str]) -> int:
    return _scaled(_LONG_RUN, tokens)


def _runs(tokens: Sequence[str]) -> list[int]:
    return [hash(run) for run in ngrams(tokens, _short_run(tokens))]


def _has_long_run(tokens: Sequence[str], seen: Sequence[bool]) -> bool:
    """Whether so many short runs in a row were seen that they make up a long one."""
    needed = _longest_run(tokens) - _short_run(tokens) + 1
    streak = 0
    for was_seen in seen:
        streak = streak + 1 if was_seen else 0
        if streak >= needed:
            return True
    return False
