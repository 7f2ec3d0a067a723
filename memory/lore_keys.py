"""Finds many plain keys in a text at once. Knows no entries and no regular expressions.

Looking for each of ten thousand keys in each text would take seconds, so a key is only looked for in
texts that hold its rarest three letters.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_GRAM = 3
_APOSTROPHES = str.maketrans("’‘ʼ", "'''")
# First and last character of scripts that put no blanks between words, or no blank before a particle.
_RUNS_ON = (
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u1000", "\u109f"),  # Burmese
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3040", "\u30ff"),  # Hiragana, Katakana
    ("\u3400", "\u9fff"),  # Han
    ("\uac00", "\ud7af"),  # Hangul
    ("\uf900", "\ufaff"),  # Han, for compatibility
    ("\U00020000", "\U0003ffff"),  # Han, beyond 16 bits
)


@dataclass(frozen=True, slots=True)
class Key:
    """A plain key and how it is compared. Equal ones are found once.

    Attributes:
        text: as ``normalised`` gives it.
        case_sensitive: whether letter case counts.
        whole_word: whether it must stand by itself; a key of several words never needs to.
    """

    text: str
    case_sensitive: bool
    whole_word: bool


def plain_key(key: str, *, case_sensitive: bool, whole_words: bool) -> Key | None:
    """A key as it is looked for; None for one without any character.

    As in SillyTavern a key of several words is found inside longer words too: "black cat" in "black cats".
    """
    text = normalised(key, case_sensitive=case_sensitive)
    return Key(text, case_sensitive, whole_words and " " not in text) if text else None


def normalised(text: str, *, case_sensitive: bool) -> str:
    """Text as keys are compared: runs of white space are one blank, apostrophes straight, NFC."""
    plain = " ".join(unicodedata.normalize("NFC", text).translate(_APOSTROPHES).split())
    return plain if case_sensitive else plain.casefold()


class KeyIndex:
    """All plain keys of a book, ready to be found in one text after the other.

    Args:
        keys: what to look for.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        each_once = tuple(dict.fromkeys(keys))
        self._finders = tuple(
            _Finder([key for key in each_once if key.case_sensitive is case], case) for case in (False, True)
        )

    def found(self, text: str) -> Iterator[Key]:
        """The keys that a text holds, each once, in no certain order."""
        for finder in self._finders:
            yield from finder.found(text)


class _Finder:
    """The keys of one way to compare letter case, by their rarest run of three letters."""

    def __init__(self, keys: list[Key], case_sensitive: bool) -> None:
        self._case_sensitive = case_sensitive
        frequency = Counter(gram for key in keys for gram in _grams(key.text))
        self._by_gram: defaultdict[str, list[Key]] = defaultdict(list)
        for key in keys:
            self._by_gram[min(_grams(key.text), key=lambda gram: (frequency[gram], gram))].append(key)
        self._sizes = {len(gram) for gram in self._by_gram}

    def found(self, text: str) -> Iterator[Key]:
        """The keys that the text holds."""
        if not self._by_gram:
            return
        plain = normalised(text, case_sensitive=self._case_sensitive)
        for size in self._sizes:
            grams = {plain[start : start + size] for start in range(len(plain) - size + 1)}
            for gram in grams & self._by_gram.keys():
                yield from (key for key in self._by_gram[gram] if _stands(key, plain))


def _grams(text: str) -> set[str]:
    """Runs of three characters; a shorter text is its own."""
    return {text[start : start + _GRAM] for start in range(max(1, len(text) - _GRAM + 1))}


def _stands(key: Key, plain: str) -> bool:
    if not key.whole_word:
        return key.text in plain
    place = plain.find(key.text)
    while place >= 0:
        end = place + len(key.text)
        if not (_joined(plain, place) or _joined(plain, end)):
            return True
        place = plain.find(key.text, place + 1)
    return False


def _joined(plain: str, place: int) -> bool:
    """Whether the characters on both sides of a place belong to one word."""
    if not 0 < place < len(plain):
        return False
    before, after = plain[place - 1], plain[place]
    return _in_word(before) and _in_word(after) and not (_runs_on(before) or _runs_on(after))


def _in_word(char: str) -> bool:
    """Letters, digits, underscores, and the marks that are part of a letter."""
    return char.isalnum() or char == "_" or unicodedata.category(char).startswith("M")


def _runs_on(char: str) -> bool:
    return any(first <= char <= last for first, last in _RUNS_ON)
