"""What makes a sentence a plan: definite, new, and about this story. Knows no model.

The shares are those that a 135M model's good plans keep to and its bad ones don't.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from storyloom.memory.form import cut_at_break, has_open_quote, is_finished, is_first_person
from storyloom.memory.function_words import content_words
from storyloom.memory.names import names
from storyloom.memory.repetition import rep
from storyloom.memory.text import count_words, ngrams, words

LEAST_WORDS, MOST_WORDS = 6, 24
_MOST_RETOLD = 0.3  # of its 4-grams, in what happened already
_MOST_SHARED = 0.4  # of its bigrams, with another plan of the three
_MOST_REPEATED = 0.5  # of its bigrams, with a plan of late
_REPEATED = 3  # words in a row that a plan may not have twice
_QUOTES = '"“”«»„「」'
_STUCK_AFTER = 4  # of the recent plans that have the same thing in them
_NEW_NAMES = 1
_LEADING_UP_ENGLISH = """
after although as at because before by despite during from if in instead on once since though until when while
with without
"""
_LEADING_UP = {"en": frozenset(_LEADING_UP_ENGLISH.split())}
_CLAUSE_END = re.compile(r"[,;:،，；]\s|\s[–—-]\s")
_VAGUE_ENGLISH = """
adventure challenges complexities crossroads destiny embark embarks emotion emotions endless essence
existence experience experiences explore fate future growth healing humanity identity impact inner journey
legacy lesson lessons meaning mind moment mortality mysteries narrative passion personal possibilities
potential power purpose realize realizes redemption reflect reflects resilience scene self-discovery sense
significance soul story struggle struggles symbolism tale theme themes truths understanding wonder wonders
"""
_VAGUE = {"en": frozenset(_VAGUE_ENGLISH.split())}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRules:
    """What a plan of one step is held to.

    Attributes:
        language: BCP 47 tag.
        told: premise, memory and last paragraph: what a plan must go on from and not repeat.
        examples: what the prompt shows as examples; a plan must not be taken from them.
        recent: plans chosen lately, newest first.
        siblings: plans accepted for this step so far.
        to_reader: a plan is what the reader does, told to the reader; else it may not speak to one.
    """

    language: str
    told: str
    examples: str
    recent: Sequence[str]
    siblings: list[str] = field(default_factory=list)
    to_reader: bool = False

    def objection(self, plan: str, opening: str = "") -> str:
        """Why a sentence can't be a plan; empty when it can.

        Args:
            plan: the whole sentence.
            opening: its first words, where they were given to the model.
        """
        if runs_into(opening, plan):
            return "runs into the opening's last word"
        return self._form(plan) or self._novelty(plan) or self._relation(plan, opening)

    def is_hopeless(self, begun: str) -> bool:
        """Whether a plan can be given up before it is whole; its last word may still be growing."""
        return bool(self._tone(begun, words(begun)[:-1]))

    def is_usable(self, plan: str) -> bool:
        """Whether a refused plan can stand in when nothing better came."""
        in_reach = LEAST_WORDS // 2 <= count_words(plan) <= 2 * MOST_WORDS
        return in_reach and is_finished(plan) and not has_open_quote(plan)

    def is_distinct(self, plan: str) -> bool:
        """Whether it says anything, and not what another of the three says."""
        tokens = words(plan)
        return bool(tokens) and all(tokens != words(other) for other in self.siblings)

    def _form(self, plan: str) -> str:
        tokens = words(plan)
        objections = {
            "too short": len(tokens) < LEAST_WORDS,
            "too long": len(tokens) > MOST_WORDS,
            "not what the reader does": self.to_reader and self._speaks_to_reader(tokens) is False,
            "breaks off": not is_finished(plan) or plan.endswith(("?", "…", "...")),
            "talks about the text": cut_at_break(plan, self.language) != plan,
            "repeats itself": rep(tokens, _REPEATED) > 0,
        }
        found = (reason for reason, applies in objections.items() if applies)
        return self._tone(plan, tokens) or next(found, "")

    def _tone(self, plan: str, tokens: Sequence[str]) -> str:
        """What is wrong with a plan however it goes on."""
        objections = {
            "speech": not set(plan).isdisjoint(_QUOTES) or is_first_person(plan, self.language),
            "speaks to the reader": not self.to_reader and self._speaks_to_reader(tokens) is True,
            "vague": not _VAGUE.get(self.language[:2], frozenset()).isdisjoint(tokens),
        }
        return next((reason for reason, applies in objections.items() if applies), "")

    def _speaks_to_reader(self, tokens: Sequence[str]) -> bool | None:
        """Whether it says "you"; None in a language whose words for that aren't known."""
        return not {"you", "your"}.isdisjoint(tokens) if self.language.startswith("en") else None

    def _novelty(self, plan: str) -> str:
        if _share(plan, self.told, 4) > _MOST_RETOLD:
            return "happened already"
        if _share(plan, self.examples, 4) > 0 or self._strangers(plan) & set(
            names(self.examples, self.language)
        ):
            return "taken from an example"
        if any(_share(plan, other, 2) > _MOST_SHARED for other in self.siblings):
            return "like another of the three"
        if any(_share(plan, other, 2) > _MOST_REPEATED for other in self.recent):
            return "like a plan of late"
        stuck = self._stuck()
        return "always the same thing" if stuck & set(content_words(words(plan), self.language)) else ""

    def _relation(self, plan: str, opening: str) -> str:
        known = set(content_words(words(self.told), self.language))
        brought = content_words(words(plan)[len(words(opening)) :], self.language)
        if not known & set(brought) and known:
            return "nothing to do with the story"
        return "too many new names" if len(self._strangers(plan)) > _NEW_NAMES else ""

    def _strangers(self, plan: str) -> set[str]:
        """Names that the story doesn't know."""
        return set(names(plan, self.language)) - set(names(self.told, self.language))

    def _stuck(self) -> set[str]:
        """Things, not people, that stand in plan after plan."""
        people = {name.lower() for name in names(f"{self.told} {' '.join(self.recent)}", self.language)}
        counts = Counter(
            word for plan in self.recent for word in set(content_words(words(plan), self.language))
        )
        return {word for word, count in counts.items() if count >= _STUCK_AFTER and word not in people}


def shortened(plan: str, language: str) -> str:
    """A plan that is too long, cut where a clause ends; as it is when it is short or has no such place."""
    if count_words(plan) <= MOST_WORDS:
        return plan
    fitting = [
        plan[: match.start()].rstrip()
        for match in _CLAUSE_END.finditer(plan)
        if LEAST_WORDS < count_words(plan[: match.start()]) <= MOST_WORDS
    ]
    whole = [part for part in fitting if not _dangles(part, language)]
    return f"{whole[-1]}." if whole else plan


def _dangles(part: str, language: str) -> bool:
    """Whether the last clause only leads up to one that was cut off: "and after a few days"."""
    clause = words(_CLAUSE_END.split(part)[-1])
    return bool(_LEADING_UP.get(language[:2], frozenset()) & set(clause[:2])) and len(clause) < len(
        words(part)
    )


def runs_into(opening: str, sentence: str) -> bool:
    """Whether the model took the opening's last word for the beginning of a longer one."""
    rest = sentence[len(opening) :]
    return bool(opening) and (not sentence.startswith(opening) or rest[:1].isalnum())


def _share(text: str, other: str, size: int) -> float:
    """Share of the n-grams of ``text`` that stand in ``other``, 0 to 1."""
    own = list(ngrams(words(text), size))
    others = set(ngrams(words(other), size))
    return sum(run in others for run in own) / len(own) if own else 0.0
