r"""Keys that are regular expressions: JavaScript's, run within a limit of time. Knows no entries.

A key ``/pattern/flags`` is one, as in SillyTavern. Only JavaScript's constructs are let through; the
engine's own (recursion, fuzzy matching) are no expressions here. Classes such as ``\w`` are Unicode's,
so that a word of any script is a word.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import regex

# Characters of one pattern, and of all patterns of a book together. Compiling has no limit of time: the
# worst of the first length takes some 30 milliseconds, of the second 3 seconds, once a process.
LONGEST_PATTERN = 2000
MOST_CHARACTERS = 200_000
# Seconds that one search may take, and all searches of a scan together.
SEARCH_SECONDS = 0.05
SCAN_SECONDS = 1.0

_KEY = re.compile(r"/((?:[^\\/]|\\.)+)/([dgimsuvy]*)", re.DOTALL)
_FLAGS = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL}
# A letter or digit that means nothing behind a backslash stands for itself.
_ESCAPE = r"""
    \\u\{ (?P<point> [0-9a-fA-F]{1,6} ) \}
    | \\u (?P<high> [dD][89abAB][0-9a-fA-F]{2} ) \\u (?P<low> [dD][c-fC-F][0-9a-fA-F]{2} )
    | \\c (?P<control> [a-zA-Z] )
    | (?P<known> \\[pP]\{[\w=]+\} | \\ [dDwWsSbBnrtfvxu0-9] )
    | \\ (?P<itself> . )
"""
_OUTSIDE = re.compile(
    rf"""
    \\k< (?P<reference> [^\W\d]\w* ) > | {_ESCAPE}
    | (?P<never> \[\] ) | (?P<any> \[\^\] ) | (?P<class> \[\^? )
    | \(\?< (?P<name> [^\W\d]\w* ) > | (?P<group> \(\? (?: [:=!] | <[=!] | [ims]*(?:-[ims]+)?: ) )
    | (?P<unknown> \(\? ) | (?P<quantifier> \{{\d+(?:,\d*)?\}} ) | (?P<brace> \{{ )
    | (?P<end> \$ ) | (?P<plain> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_INSIDE = re.compile(
    rf"{_ESCAPE} | (?P<bracket> \[ ) | (?P<close> \] ) | (?P<plain> . )", re.VERBOSE | re.DOTALL
)


class BadPattern(ValueError):
    """A key in the form of a regular expression that is none, or too long a one."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that compiled."""

    compiled: "regex.Pattern[str]"


@lru_cache(maxsize=16384)
def parsed(key: str) -> Pattern | None:
    """The expression that a key is; None for a plain key.

    Raises:
        BadPattern: it has the form of an expression and can't be run; the message says why.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    source, flags = match.groups()
    if len(source) > LONGEST_PATTERN:
        raise BadPattern(f"it is longer than {LONGEST_PATTERN} characters")
    options = regex.V0
    for flag in flags:
        options |= _FLAGS.get(flag, 0)
    try:
        return Pattern(regex.compile(_translated(source, "m" in flags), options))
    except (regex.error, OverflowError, ValueError) as error:
        raise BadPattern(str(error)) from error
    except RecursionError as error:
        raise BadPattern("it is nested too deeply") from error


def is_pattern(key: str) -> bool:
    """Whether a key has the form of an expression."""
    return _KEY.fullmatch(key) is not None


class Stopwatch:
    """The time that the searches of one scan may still take.

    Args:
        clock: seconds; only differences count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = SCAN_SECONDS

    def finds(self, pattern: Pattern, text: str) -> bool:
        """Whether a text has something that the expression describes.

        Raises:
            TimeoutError: it took too long, or the searches before it used up the scan's time.
        """
        if self._left <= 0:
            raise TimeoutError("the expressions before it used up the time")
        started = self._clock()
        try:
            return pattern.compiled.search(text, timeout=SEARCH_SECONDS) is not None
        except TimeoutError as error:
            raise TimeoutError("it takes too long") from error
        finally:
            self._left -= self._clock() - started


def _translated(source: str, multiline: bool) -> str:
    """JavaScript's pattern in the engine's words, token by token.

    Raises:
        BadPattern: it has a group that JavaScript doesn't know.
    """
    parts: list[str] = []
    place, tokens = 0, _OUTSIDE
    while match := tokens.match(source, place):
        kind = match.lastgroup or ""
        if kind == "unknown":
            raise BadPattern(f"unknown group at position {place}")
        parts.append("$" if kind == "end" and multiline else _token(kind, match))
        tokens = {"class": _INSIDE, "close": _OUTSIDE}.get(kind, tokens)
        place = match.end()
    return "".join(parts)


_SAME = {"known", "class", "close", "group", "quantifier", "plain"}
_FIXED = {"never": "(?!)", "any": r"[\s\S]", "brace": r"\{", "bracket": r"\[", "end": r"\Z"}


def _token(kind: str, match: re.Match[str]) -> str:
    """One token in the engine's words."""
    if kind in _SAME:
        return match.group()
    if kind in _FIXED:
        return _FIXED[kind]
    found = match[kind]
    if kind == "name":
        return f"(?P<{found}>"
    if kind == "reference":
        return f"(?P={found})"
    return re.escape(_character(kind, match))


def _character(kind: str, match: re.Match[str]) -> str:
    """The character that an escape stands for; one beyond 16 bits may be written in two halves."""
    if kind == "point":
        return chr(int(match["point"], 16))
    if kind == "control":
        return chr(ord(match["control"]) % 32)
    if kind == "low":
        return chr(0x10000 + ((int(match["high"], 16) - 0xD800) << 10) + (int(match["low"], 16) - 0xDC00))
    return match["itself"]
