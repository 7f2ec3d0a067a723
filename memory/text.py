"""Words, sentences and n-grams of any language. Knows nothing of stories."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import sentencex

# A run of letters and digits, inner apostrophes kept ("don't"); a CJK character is a word by itself.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’][^\W_{_CJK}]+)*")

# Unicode's categories Cc and Cs, but for newline and tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# White space that isn't ASCII, one character each.
_BLANK = re.compile(r"[^\S\x00-\x7f]")


def words(text: str) -> list[str]:
    """Lower-cased words, curly apostrophes made straight, so that "Don’t" equals "don't"."""
    return list(_words(text))


# A step looks at the same memory, plans and last paragraph many times over.
@lru_cache(maxsize=256)
def _words(text: str) -> tuple[str, ...]:
    return tuple(match.group().replace("’", "'") for match in _WORD.finditer(text.lower()))


def count_words(text: str) -> int:
    """How many words a person would count."""
    return sum(1 for _ in _WORD.finditer(text))


def sentences(text: str, language: str = "en") -> list[str]:
    """Sentences in order, without the white space around them; quotations stay whole."""
    # sentencex 1.0 breaks the process off at a capital before a blank that isn't ASCII and a full stop.
    plain = _BLANK.sub(" ", text)
    found: list[str] = []
    start = 0
    for part in sentencex.segment(language, plain):
        end = start + len(part)
        found.append(text[start:end].strip())
        start = end
    return [sentence for sentence in found if sentence]


def sentence_starts(text: str, language: str = "en") -> list[int]:
    """Where each of the sentences begins in the text."""
    starts: list[int] = []
    end = 0
    for sentence in sentences(text, language):
        starts.append(text.index(sentence, end))
        end = starts[-1] + len(sentence)
    return starts


def ngrams(tokens: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every run of ``size`` tokens, in order; none when there are fewer."""
    return (tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1))


def clean(text: str) -> str:
    """Text fit to store and print: NFC, Unix line ends, no control characters but newline and tab.

    Marks of writing direction and joiners stay: right-to-left and Indic text need them.
    """
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _CONTROL.sub("", unified))


def joined(parts: Iterable[str]) -> str:
    """Paragraphs as one text, a blank line between them, empty ones left out."""
    return "\n\n".join(part for part in parts if part)
