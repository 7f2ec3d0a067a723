"""How long a text gets: where its chapters begin, how long its last paragraphs are, when it is done.

All of it follows from what is written and what was asked, so that it can be decided anew at any paragraph.
"""

from dataclasses import dataclass
from math import ceil, inf

from storyloom.memory.story import Progress

# A text scores nothing when it is longer by so many times what was asked, or as much shorter (LongWriter).
_LONGER, _SHORTER = 3, 2
_PARAGRAPHS_A_CHAPTER = 10
# On average a chapter has at least so many paragraphs: with fewer, a paragraph's length is its chapter's.
_LEAST_A_CHAPTER = 1.5
# So many paragraphs share what is left to write among them; those before have their usual length.
_LAST = 3
# Of the usual length, what such a paragraph may have.
_SHORTEST, _LONGEST = 0.4, 1.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """What a text shall measure.

    Attributes:
        words: in words; None where it is measured in paragraphs.
        paragraphs: in paragraphs; None where it is measured in words.
        usual: words that a paragraph has when nothing else is asked.
        chapters: how many chapters share it; 0: it has none.
    """

    words: int | None
    paragraphs: int | None
    usual: int
    chapters: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """The paragraph that comes next.

    Attributes:
        chapter: the chapter that it stands in, from 1; 0: none.
        opens: it is the chapter's first.
        words: about how many it shall have; None: as many as usual.
    """

    chapter: int
    opens: bool
    words: int | None


def length_score(asked: float, written: float) -> float:
    """How well a text's length meets what was asked, from 0 to 100: S_l of LongWriter (arXiv 2408.07055).

    Args:
        asked: words asked for, more than 0.
        written: words written.
    """
    return 100 * max(0.0, 1 - _off(asked, written))


def most_chapters(length: Length) -> int:
    """How many chapters a text of this length can have."""
    return int(_paragraphs(length) / (1 if length.words is None else _LEAST_A_CHAPTER))


def usual_chapters(length: Length) -> int:
    """How many chapters fit a text of this length well."""
    return round(_paragraphs(length) / _PARAGRAPHS_A_CHAPTER)


def coming(length: Length, done: Progress) -> Coming | None:
    """The next paragraph of a text; None when the text is done.

    A chapter begins where its share of the whole begins, as nearly as a paragraph allows, and the text
    ends where its length score is best.
    """
    if length.words is None:
        words, left = None, done.paragraphs < (length.paragraphs or 0)
        opens = _is_due(length, done, done.paragraphs, 1.0, length.paragraphs or 0)
    else:
        # What was asked counts as one paragraph more: a single one doesn't tell a writer's habit yet.
        usual = (done.words + length.usual) / (done.paragraphs + 1)
        words, left = _last_words(length, done, usual)
        opens = _is_due(length, done, done.words, usual, length.words)
    if not (left or opens):
        return None
    return Coming(chapter=min(done.chapters + opens, length.chapters), opens=opens, words=words)


def _paragraphs(length: Length) -> float:
    """How many paragraphs a text of this length has."""
    return (length.paragraphs or 0) if length.words is None else length.words / length.usual


def _is_due(length: Length, done: Progress, written: float, paragraph: float, whole: float) -> bool:
    """Whether the next chapter begins: its share begins before the middle of the next paragraph."""
    if done.chapters >= length.chapters:
        return False
    return written + paragraph / 2 > whole * done.chapters / length.chapters


def _last_words(length: Length, done: Progress, usual: float) -> tuple[int | None, bool]:
    """How many words the next paragraph shall have, and whether it brings the text nearer to its length.

    Args:
        length: what the text shall measure, in words.
        done: how far it is.
        usual: words that its paragraphs have on average; by it the writer is known to write more or less
            than it is asked for.
    """
    asked = length.words or 0
    left = asked - done.words
    paragraphs = max(1, ceil(left / usual), length.chapters - done.chapters)
    share = min(max(left / paragraphs, _SHORTEST * usual), _LONGEST * usual)
    nearer = _off(asked, done.words + share) < _off(asked, done.words)
    words = round(length.usual * share / usual) if paragraphs <= _LAST else None
    return words, nearer


def _off(asked: float, written: float) -> float:
    """How far a length is from what was asked; the score is 0 from 1 on."""
    if written <= 0:
        return inf
    return (written / asked - 1) / _LONGER if written > asked else (asked / written - 1) / _SHORTER
