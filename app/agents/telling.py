"""Which sentences of a paragraph tell most: what happened to whom. Knows no model.

Works on any language; the lists that make it sharper are English so far.
"""

from dataclasses import dataclass

from storyloom.app.agents.scene import Scene
from storyloom.memory.form import cut_at_break, has_open_quote, is_finished, is_first_person
from storyloom.memory.function_words import content_words, function_words
from storyloom.memory.names import cast
from storyloom.memory.repetition import rep
from storyloom.memory.short_term import holds
from storyloom.memory.text import count_words, joined, sentences, words

LEAST_WORDS, MOST_WORDS = 5, 28  # of a note
_LEAST_SAID = 3  # of its words must tell something
_WORDY = range(9, 71)  # words of a passage that can be said shorter
_QUOTABLE = range(LEAST_WORDS, 46)  # words of a passage that stands as a note itself
_PASSAGES = 4
_REPEATED = 3  # words in a row that a note may not have twice
_QUOTES = '"“”«»„「」'
_PRONOUNS = {"en": ("he", "she")}
_LEANING = {"en": ("it", "this", "that", "these", "those", "there", "they", "and", "but", "so", "or")}
# What faces and hearts do in every paragraph of a small model's prose is nothing to remember.
_IDLE_ENGLISH = """
air anticipation breath countless darkness deep emotion emotions endless essence etched expression eyes
face features feeling felt gaze heart imagination laughter life light lips lost love memories mind mix
moment moments nodded possibilities realization reflection sadness seemed seen sight sense shiver silence
smile smiled smiling softly soul sparkle sparkled spine story tale tears thought thoughts time tone
universe voice warm warmth weight whisper whispered words world
"""
_IDLE = {"en": frozenset(_IDLE_ENGLISH.split())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A sentence that is worth remembering.

    Attributes:
        text: the sentence.
        opening: the name that a note on it should begin with, where it has only a pronoun.
        is_wordy: it is long enough to be said shorter.
        is_quotable: it can stand as a note itself.
    """

    text: str
    opening: str
    is_wordy: bool
    is_quotable: bool


def passages(scene: Scene, paragraph: str) -> list[Passage]:
    """The sentences of the paragraph that tell most, best first; those that memory holds are left out.

    Names count, and what the plan wanted; speech, idle description and pronouns count against.
    """
    language = scene.story.language
    told = [
        one
        for one in sentences(paragraph, language)
        if is_finished(one)
        and not one.endswith(("…", "..."))
        and not has_open_quote(one)
        and cut_at_break(one, language) == one
    ]
    fresh = [one for one in told if not holds(scene.memory, one, language)]
    people = cast([joined([paragraph, scene.plan, scene.story.premise])], language, limit=6)
    aims = frozenset(content_words(words(scene.plan), language))
    known = frozenset(content_words(words(scene.memory.text), language))
    ranked = sorted(fresh, key=lambda one: -_worth(one, people, aims, known, language))
    return [
        Passage(
            text=one,
            opening=_opening(one, told[: told.index(one)], people, language),
            is_wordy=count_words(one) in _WORDY and not is_first_person(one, language),
            is_quotable=count_words(one) in _QUOTABLE and not set(one) & set(_QUOTES),
        )
        for one in ranked[:_PASSAGES]
    ]


def form_objection(sentence: str, language: str) -> str:
    """Why a sentence makes no note, whatever it says; empty when it does."""
    tokens = words(sentence)
    leans = bool(tokens) and tokens[0] in _LEANING.get(language[:2], ())
    objections = {
        "too short": len(tokens) < LEAST_WORDS,
        "breaks off": not is_finished(sentence),
        "too long": len(tokens) > MOST_WORDS,
        "speech": bool(set(sentence) & set(_QUOTES)) or sentence.endswith("?"),
        "says too little": leans or len(_said(tokens, language)) < _LEAST_SAID,
        "repeats itself": rep(tokens, _REPEATED) > 0,
        "not in the third person": is_first_person(sentence, language),
    }
    return next((reason for reason, applies in objections.items() if applies), "")


def _said(tokens: list[str], language: str) -> frozenset[str]:
    """The words that tell something."""
    return frozenset(content_words(tokens, language)) - _IDLE.get(language[:2], frozenset())


def _worth(
    sentence: str, people: list[str], aims: frozenset[str], known: frozenset[str], language: str
) -> float:
    """How much a sentence tells."""
    tokens = words(sentence)
    said = _said(tokens, language)
    idle = frozenset(content_words(tokens, language)) - said
    worth = 1.5 * min(2, len(_names_in(sentence, people)))
    worth += 0.5 * min(4, len(said & aims)) + 0.2 * min(8, len(said - known)) - 0.8 * min(4, len(idle))
    worth -= 3.0 * bool(set(sentence) & set(_QUOTES)) + 1.0 * (len(tokens) not in _QUOTABLE)
    # "But", "This" and "She" lean on the sentence before.
    return worth - (1.2 if tokens and tokens[0] in function_words(language) else 0.0)


def _names_in(text: str, people: list[str]) -> set[str]:
    found = set(words(text.replace("’s", "").replace("'s", "")))
    return {name for name in people if name.lower() in found}


def _opening(sentence: str, before: list[str], people: list[str], language: str) -> str:
    """Whom a pronoun at the beginning means: the person of the nearest sentence with a name, if it is one."""
    first = next(iter(words(sentence)), "")
    if first not in _PRONOUNS.get(language[:2], ()) or _names_in(sentence, people):
        return ""
    nearest = next((found for one in reversed(before) if (found := _names_in(one, people))), set())
    return next(iter(nearest)) if len(nearest) == 1 else ""
