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
    hash are one in 2**64.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._runs: set[int] = set()
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
        self._runs.update(_runs(tokens))
        self._tail = tokens[-_longest_run(tokens) + 1 :]

    def overlap(self, text: str) -> float:
        """Share of the text's runs of four words that stand in the story; 0 for a shorter text."""
        runs = _runs(words(text))
        return sum(self.seen(runs)) / len(runs) if runs else 0.0

    def holds_8gram(self, text: str) -> bool:
        """Whether eight words in a row stand in the story, each four of them together somewhere."""
        return _has_long_run(words(text), self.seen(_runs(words(text))))

    def take(self, tokens: Sequence[str]) -> None:
        """Take in runs of words that nothing needs to follow on."""
        self._runs.update(_runs(tokens))

    def seen(self, runs: Iterable[int]) -> list[bool]:
        """Which of the hashed runs stand in the story."""
        return [run in self._runs for run in runs]


class SentenceFilter:
    """Refuses sentences of a draw that stand in the story, or earlier in the draw, already.

    Sentences are offered in the order in which they would be read; those that are accepted count
    as written for the next ones, the runs across their joints too.

    Args:
        index: everything written before.
        also: further texts that are not to be copied, such as the short-term memory.
        max_overlap: highest share of a sentence's runs of four words that may be old.
    """

    def __init__(
        self, index: StoryIndex, *, also: Iterable[str] = (), max_overlap: float = _MAX_OVERLAP
    ) -> None:
        self._index = index
        self._draw = StoryIndex(also)
        self._tail = list(index.tail)
        self._max_overlap = max_overlap

    def accepts(self, sentence: str) -> bool:
        """Judge the next sentence, and remember it when it is new."""
        own = words(sentence)
        before = self._tail[-_short_run(own) + 1 :] if own else []
        seen = self._seen(_runs(before + own))
        joint = self._tail + own
        if seen and sum(seen) / len(seen) > self._max_overlap:
            return False
        if _has_long_run(joint, self._seen(_runs(joint))):
            return False
        self._draw.take(joint)
        self._tail = joint[-_longest_run(joint) + 1 :]
        return True

    def _seen(self, runs: Sequence[int]) -> list[bool]:
        return [old or new for old, new in zip(self._index.seen(runs), self._draw.seen(runs), strict=True)]


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
