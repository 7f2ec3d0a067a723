"""What recall looks for: the words of a question, or of the step to be written, and their weights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from storyloom.memory.function_words import content_words
from storyloom.memory.names import names
from storyloom.memory.text import joined, words

_MOST_TERMS = 48
# The last paragraph says where the story stands; the plan says what is wanted.
_LAST_PARAGRAPH = 0.5


@dataclass(frozen=True, slots=True)
class Query:
    """A search of the past.

    Attributes:
        text: what is embedded.
        terms: words to look for and how much each counts.
    """

    text: str
    terms: Mapping[str, float]


def question(text: str, language: str = "en") -> Query:
    """A search for what somebody asks, every word of it counting the same."""
    return Query(text, dict.fromkeys(_terms(text, language)[:_MOST_TERMS], 1.0))


def next_step(plan: str, last: str, language: str = "en") -> Query:
    """A search for what the next step needs: the plan's words, the names in play, the last paragraph.

    Names count in full wherever they stand, because what is known of somebody bears on any scene with
    them; the last paragraph's other words count less.
    """
    text = joined((plan, last))
    entities = [word.lower() for word in names(text, language)]
    weights = dict.fromkeys([*_terms(plan, language), *entities], 1.0)
    weights |= {word: _LAST_PARAGRAPH for word in _terms(last, language) if word not in weights}
    return Query(text, dict(list(weights.items())[:_MOST_TERMS]))


def _terms(text: str, language: str) -> list[str]:
    """Distinct words that carry meaning; all words where none does ("to be or not to be")."""
    plain = [word.removesuffix("'s") for word in words(text)]
    return _distinct(content_words(plain, language)) or _distinct(plain)


def _distinct(tokens: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(tokens))
