"""What a reader of interactive fiction does, as the plan of a step. Knows no story and no model."""

import re
from enum import StrEnum

from storyloom.memory.form import is_finished
from storyloom.memory.text import words

_SAYS = 'You say: "'
_QUOTES = '"“”«»„「」 '
_SUBJECTS = frozenset(["i", "i'm", "i'd", "i've", "i'll", "you", "you're", "you'd", "you've", "you'll"])
_OWNERS = frozenset(["my", "your"])
_OPENS_WITH = 2  # "Slowly you open it" says who acts as well as "You open it"
_QUOTED = re.compile(r"""("[^"]*"?|“[^”]*”?)""")
# "mine" stays: a reader goes into one more often than they own one.
_SECOND_PERSON = {
    "i": "you",
    "i am": "you are",
    "i'm": "you're",
    "i was": "you were",
    "me": "you",
    "my": "your",
    "myself": "yourself",
}
_FIRST_PERSON = re.compile(r"\b(?:i(?: am|['’]m| was)?|me|my|myself)\b", re.IGNORECASE)


class Manner(StrEnum):
    """How the reader's words are meant."""

    DO = "do"  # an action of the reader
    SAY = "say"  # what the reader says aloud
    STORY = "story"  # the narrator's word: something that happens


def action(text: str, manner: Manner, language: str = "en") -> str:
    """The plan that a reader's words make, in the second person where the language is English.

    Args:
        text: what the reader wrote; what says nothing stays empty.
        manner: how it is meant.
        language: BCP 47 tag; in another language than English the words stand as they are, speech in quotes.
    """
    said = " ".join(text.split())
    is_english = language.startswith("en")
    if manner is Manner.SAY and (spoken := said.strip(_QUOTES)):
        return f'{_SAYS}{spoken}"' if is_english else f"“{spoken}”"
    if manner is Manner.DO and is_english and words(said):
        told = _to_reader(said)
        return _finished(told if _names_actor(said) else f"You {_small(told)}")
    return said


def reader_words(plan: str) -> tuple[str, Manner]:
    """What a reader may have written for a plan: ``action`` makes the same plan of it again."""
    if plan.startswith(_SAYS) and plan.endswith('"'):
        return plan[len(_SAYS) : -1], Manner.SAY
    if plan and action(plan, Manner.DO) == plan:
        return plan, Manner.DO
    return plan, Manner.STORY


def _names_actor(text: str) -> bool:
    opens = words(_QUOTED.sub(" ", text))[:_OPENS_WITH]
    return bool(opens) and (opens[0] in _OWNERS or not _SUBJECTS.isdisjoint(opens))


def _to_reader(text: str) -> str:
    """What a reader says of themselves, told to them: "take my hand" is "take your hand". Speech stays."""
    parts = _QUOTED.split(text)
    parts[::2] = [_FIRST_PERSON.sub(_as_reader, part) for part in parts[::2]]
    return "".join(parts)


def _as_reader(found: re.Match[str]) -> str:
    told = _SECOND_PERSON[found[0].lower().replace("’", "'")]
    return told.capitalize() if not found.string[: found.start()].strip() else told


def _small(text: str) -> str:
    """An imperative's first letter small; "SHOUT" stays as it is."""
    first = text.split()[0]
    return text if len(first) > 1 and first.isupper() else text[0].lower() + text[1:]


def _finished(text: str) -> str:
    return text if is_finished(text) else f"{text}."
