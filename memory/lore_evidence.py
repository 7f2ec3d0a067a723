"""Where the keys of a book's entries stand in the texts that a step looks at. Decides nothing.

Each text is read once, as it comes: first what stands before the step, later the texts of entries that
fired. A round of recursion so costs as much as its new text, whatever the size of the book.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from storyloom.memory.lore import Logic, LoreEntry, LoreSettings
from storyloom.memory.lore_keys import Key, KeyIndex, plain_key
from storyloom.memory.lore_macros import with_names
from storyloom.memory.lore_patterns import MOST_CHARACTERS, BadPattern, Pattern, Stopwatch, is_pattern, parsed
from storyloom.memory.lore_results import Cause, LoreProblem, Why


class Kind(Enum):
    """What a text that is looked at is."""

    PLAN = auto()
    PARAGRAPH = auto()
    SOURCE = auto()  # looked at for those entries that ask for it
    LORE = auto()  # of an entry that fired


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that is looked at.

    Attributes:
        kind: what it is.
        where: what a person is told of it, such as ``step:12``.
        text: itself.
        back: of a paragraph, how far before the step it stands; 1 is the last.
    """

    kind: Kind
    where: str
    text: str
    back: int = 0


class Gaze(NamedTuple):
    """How far an entry looks: so many of the last paragraphs, and at other entries' texts or not."""

    paragraphs: int
    lore: bool


class _Named(NamedTuple):
    """A key as it stands in its entry, and as it is looked for."""

    name: str
    key: Key | Pattern


class Evidence:
    """What was found of a book's keys so far.

    Args:
        book: the entries, without those that can't fire.
        settings: what they leave open.
        names: what the macros in keys stand for.
        clock: seconds, for the limit of the expressions' time.
    """

    def __init__(
        self,
        book: Sequence[LoreEntry],
        settings: LoreSettings,
        names: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self._entries = {entry.id: entry for entry in book}
        self._settings = settings
        self._names = names
        self._stopwatch = Stopwatch(clock)
        self._problems: dict[tuple[str, str], LoreProblem] = {}
        self._characters = MOST_CHARACTERS
        self._primary = {entry.id: self._named(entry, entry.keys) for entry in book}
        self._secondary = {entry.id: self._named(entry, entry.secondary_keys) for entry in book}
        self._owners: defaultdict[Key | Pattern, dict[str, str]] = defaultdict(dict)
        for keys in (self._primary, self._secondary):
            for entry_id, own in keys.items():
                for named in own:
                    self._owners[named.key][entry_id] = named.name
        self._index = KeyIndex(key for key in self._owners if isinstance(key, Key))
        self._patterns = {key: None for key in self._owners if isinstance(key, Pattern)}
        self._found: defaultdict[Key | Pattern, list[Text]] = defaultdict(list)

    @property
    def problems(self) -> tuple[LoreProblem, ...]:
        """Keys that can't be read or run, each once."""
        return tuple(self._problems.values())

    def read(self, texts: Sequence[Text]) -> set[str]:
        """Look at further texts; returns the ids of the entries of which keys were found in them."""
        touched: set[str] = set()
        for text in texts:
            found: list[Key | Pattern] = [*self._index.found(text.text), *self._searched(text.text)]
            for key in found:
                self._found[key].append(text)
                touched.update(self._owners[key])
        return touched

    def why(self, entry: LoreEntry, gaze: Gaze) -> tuple[Why, int] | None:
        """The key that fires an entry, and how many of its keys count; None: it doesn't fire by keys."""
        primary = self._places(entry, self._primary[entry.id], gaze)
        if not primary:
            return None
        wanted = self._secondary[entry.id]
        secondary = self._places(entry, wanted, gaze)
        if wanted and not _holds(entry.logic, len(secondary), len(wanted)):
            return None
        counted = tuple(secondary) if entry.logic in {Logic.AND_ANY, Logic.AND_ALL} else ()
        key, where = next(iter(primary.items()))
        return Why(cause=Cause.KEY, key=key, where=where, secondary=counted), len(primary) + len(counted)

    def _places(self, entry: LoreEntry, keys: Sequence[_Named], gaze: Gaze) -> dict[str, str]:
        """Those of the keys that were found where the entry looks, and where each was first."""
        places = {}
        for name, key in keys:
            where = (text.where for text in self._found.get(key, ()) if _counts(text, entry, gaze))
            if (first := next(where, None)) is not None:
                places[name] = first
        return places

    def _searched(self, text: str) -> list[Pattern]:
        """The expressions that a text has; one that takes too long isn't tried again."""
        found = []
        for pattern in tuple(self._patterns):
            try:
                if self._stopwatch.finds(pattern, text):
                    found.append(pattern)
            except TimeoutError as error:
                del self._patterns[pattern]
                for entry_id, name in self._owners[pattern].items():
                    self._tell(self._entries[entry_id], name, f"{error}, and it is passed over")
        return found

    def _named(self, entry: LoreEntry, keys: Sequence[str]) -> tuple[_Named, ...]:
        named = ((key, self._parsed(entry, key)) for key in keys)
        return tuple(_Named(name, key) for name, key in named if key is not None)

    def _parsed(self, entry: LoreEntry, key: str) -> Key | Pattern | None:
        """A key as it is looked for: what can't be an expression is a plain key, as in SillyTavern."""
        expression = with_names(key, self._names, quote=re.escape)
        pattern = None
        try:
            if is_pattern(expression):
                self._characters -= len(expression)
                if self._characters < 0:
                    raise BadPattern(f"the book has more than {MOST_CHARACTERS:,} characters of them")
                pattern = parsed(expression)
        except BadPattern as error:
            self._tell(entry, key, f"{error}. It is looked for letter by letter")
            pattern = None
        case = self._settings.case_sensitive if entry.case_sensitive is None else entry.case_sensitive
        whole = self._settings.whole_words if entry.whole_words is None else entry.whole_words
        plain = with_names(key, self._names)
        return pattern or plain_key(plain, case_sensitive=case, whole_words=whole)

    def _tell(self, entry: LoreEntry, key: str, problem: str) -> None:
        shown = key if len(key) <= 80 else key[:80] + "…"
        text = f"The regular expression {shown} can't be used: {problem}."
        self._problems.setdefault((entry.id, key), LoreProblem(entry=entry, text=text))


def _counts(text: Text, entry: LoreEntry, gaze: Gaze) -> bool:
    """Whether an entry looks at a text."""
    if text.kind is Kind.PARAGRAPH:
        return text.back <= gaze.paragraphs
    if text.kind is Kind.SOURCE:
        return text.where in entry.scans
    return text.kind is Kind.PLAN or gaze.lore


def _holds(logic: Logic, found: int, wanted: int) -> bool:
    """Whether so many of the secondary keys are what the logic asks."""
    if logic is Logic.AND_ANY:
        return found > 0
    if logic is Logic.AND_ALL:
        return found == wanted
    return found == 0 if logic is Logic.NOT_ANY else found < wanted
