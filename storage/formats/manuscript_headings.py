"""Which lines of a text without markup say that they are headings. Knows no layout."""

import re
from collections.abc import Iterable, Sequence

_MOST_WORDS, _MOST_CHARACTERS = 12, 120
_ROMAN = "(?=[ivxlcdm])m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
# The words that begin a part of a book; after these any word may follow ("Chapter the Last").
_CHAPTER = (
    "chapter|kapitel|chapitre|capítulo|capitulo|capitolo|hoofdstuk|kapittel|kapitola|rozdział|luku|bölüm|"
    "fejezet|глава|κεφάλαιο"
)
_PART = "book|part|volume|letter|act|canto|teil|buch|band|partie|livre|tome|parte|libro|часть|книга"
_COUNT = (
    rf"\d{{1,4}}|{_ROMAN}|(?:the )?(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last)"
)
_ALONE = (
    "prologue|epilogue|prelude|preface|dedication|foreword|introduction|conclusion|afterword|interlude|"
    "prolog|epilog|vorwort|nachwort|avant-propos|épilogue|prólogo|epílogo|prologo|epilogo|пролог|эпилог|序章|終章|楔子"
)
# Nothing more, a title after a mark, or one that doesn't end as a sentence does.
_REST = r"""(?:[.:)]*|\s*[.:)\]\u2013\u2014-]\s*\S.*|\s+(?:.*[^\s.!?…,;:"”»’'])?)"""
_NUMBERED = r"[0-9０-９〇零一二三四五六七八九十百千两]{1,9}"
_HEADING = re.compile(
    rf"(?:{_CHAPTER})\s+\w+\b{_REST}|(?:{_PART})\s+(?:{_COUNT})\b{_REST}|\w+es\s+(?:kapitel|buch)[.:]?"
    rf"|(?:{_ALONE})[.:]?|第{_NUMBERED}[章节節回卷部话話篇集][^。！？，、；]{{0,30}}"
    r"|제\s?\d{1,4}\s?[장화부편][^.!?,]{0,40}",
    re.IGNORECASE,
)
_LONE_ROMAN = re.compile(rf"{_ROMAN}\.?", re.IGNORECASE)
_LONE_NUMBER = re.compile(r"[0-9]{1,4}\.?")
_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}


def is_heading(line: str) -> bool:
    """Whether a line names a chapter or a part, in one of several languages."""
    short = len(line) <= _MOST_CHARACTERS and len(line.split()) <= _MOST_WORDS
    return short and _HEADING.fullmatch(line) is not None


def counting(lines: Sequence[str]) -> set[int]:
    """Places of the lines that are nothing but a number and count chapters: 1, 2, or I, II, and so on.

    A number by itself may stand for anything, and "I." or "Mix." be a sentence: it takes two in order.
    """
    return _runs((place, _roman(line)) for place, line in enumerate(lines)) | _runs(
        (place, _arabic(line)) for place, line in enumerate(lines)
    )


def _runs(numbers: Iterable[tuple[int, int]]) -> set[int]:
    found: set[int] = set()
    run: list[int] = []
    for place, number in numbers:
        if number == 1:
            run = [place]
        elif number and number == len(run) + 1:
            run.append(place)
            found.update(run)
    return found


def _roman(line: str) -> int:
    """The value of a line that is a Roman number; 0 for any other."""
    if len(line) > _MOST_CHARACTERS or not _LONE_ROMAN.fullmatch(line):
        return 0
    values = [_VALUES[digit] for digit in line.lower().rstrip(".")]
    later = [*values[1:], 0]
    return sum(-one if one < after else one for one, after in zip(values, later, strict=True))


def _arabic(line: str) -> int:
    return int(line.rstrip(".")) if _LONE_NUMBER.fullmatch(line) else 0
