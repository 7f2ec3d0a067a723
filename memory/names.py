"""Finds proper names in prose by how they are written. Knows no dictionary and no model.

A capital in the middle of a sentence is evidence of a name; a capital at its start is not, unless
the same word stands elsewhere too and never in lower case. Scripts without capitals have no names
here, and callers must do without.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W\d_]+(?:[’'\-][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"[’']s?$")
# What may stand right before a word in the middle of a sentence: a word or a comma, a closed
# quotation that ends in a comma, an initial or a title with its full stop.
_MID_SENTENCE = re.compile(r"(?:[^\W_]|[,)]|,[\"”’'»]|\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St)\.)\s+$")
_BEFORE = 8
_PLACE_WEIGHT = 0.2  # of a sighting after "in" or "the"
_PERSON_FROM = 0.5

# Capitalised for other reasons than being a name, and the words that open English sentences often.
_ENGLISH = """
a about above after again against all almost along already also although always an and another any anyone
anything are around as at away back be because been before behind below beside between beyond both but by
can can't come could couldn't day days despite did didn't do does don't down during each either enough even
eventually ever every everyone everything except far few finally first for four from further get go god good
had has have he he'd he'll he's her here hers herself him himself his how however i i'd i'll i'm i've if in
indeed inside instead into is it it'd it'll it's its itself just last later less let let's like little long
look many maybe me meanwhile mom more most much must my myself near neither never next no nobody none nor
not nothing now of off oh ok okay on once one only or other others our out outside over perhaps please said
see several she she'd she'll she's should since six slowly so some somehow someone something sometimes
somewhere soon still such suddenly tell than thank thanks that that's the their them themselves then there
there's these they they'd they'll they're they've things this those though three through throughout thus
time to today together tomorrow tonight too toward towards twice two under underneath unless unlike until up
upon us very wait was we we'd we'll we're we've well were what what's whatever when whenever where wherever
whether which while who who's whoever whom whose why will with within without would years yes yesterday yet
you you'd you'll you're you've young your big blind dear great old poor captain chapter doctor dr father lady
lord madam miss mother mr mrs ms professor sir st uncle aunt monday tuesday wednesday thursday
friday saturday sunday january february march april may june july august september october november december
"""
_NOT_NAMES = {"en": frozenset(_ENGLISH.split())}
# Languages that capitalise every noun: a capital there is evidence only of a noun.
_NOUNS_CAPITALISED = frozenset({"de", "lb"})
_PLACE_BEFORE = re.compile(
    r"\b(?:in|at|to|of|from|near|the|into|on|across|towards?|through|beyond)\s+$", re.I
)


def names(text: str, language: str = "en") -> list[str]:
    """Words that are proper names, each once, in order of appearance.

    A name of two words gives both: "Elias Thorne" is ``["Elias", "Thorne"]``. Works without a
    dictionary, so that a name which only opens a sentence once is missed; ``cast`` is the looser
    form. Where every noun has a capital (German), a name has to open a sentence and stand in it too.

    Args:
        text: prose of any length; lines and quotations are respected.
        language: ISO 639-1 code; unknown ones go by the capitals alone.
    """
    return list(_names(text, language))


# A step asks for the names of the same memory and paragraph again and again.
@lru_cache(maxsize=256)
def _names(text: str, language: str) -> tuple[str, ...]:
    middle, start, small = _sightings(text)
    refused = _NOT_NAMES.get(language[:2], frozenset())
    by_capitals = language[:2] not in _NOUNS_CAPITALISED

    def is_name(word: str) -> bool:
        lower = word.lower()
        if lower in refused or small[lower]:
            return False
        if middle[word]:
            return by_capitals or start[word] > 0
        # At sentence starts only: told from an ordinary word by the list, so only where there is one.
        return bool(refused) and start[word] > 1 and not lower.endswith(("ly", "ing"))

    return tuple(word for word in dict.fromkeys([*_capitalised(text)]) if is_name(word))


def cast(texts: Iterable[str], language: str = "en", *, limit: int = 4) -> list[str]:
    """Who acts in a story: its most frequent names, without those that stand only where places do.

    The texts may lie apart (premise, memory, last paragraph); where no name has evidence, a
    plausible first word of one of them is taken, so that "Mara, a keeper, …" gives ``["Mara"]``;
    and so is one that stands right before a name: "Ada Quill, who …" gives ``["Ada"]``.

    Args:
        texts: the most telling first.
        language: ISO 639-1 code.
        limit: most names to return.
    """
    parts = [text for text in texts if text]
    whole = "\n".join(parts)
    found = names(whole, language)
    found = [*(_forenames(parts, found, language) if found else _first_words(parts, language)), *found]
    runs = _followers(whole, frozenset(found))
    heads = [name for name in found if name not in runs] or found
    weight = {name: _weight(whole, name) for name in heads}
    people = [name for name in heads if weight[name] >= _PERSON_FROM]
    return sorted(people, key=lambda name: -weight[name])[:limit]


def _capitalised(text: str) -> Iterable[str]:
    return (word for word, _ in _capitals(text))


def _capitals(text: str) -> Iterable[tuple[str, int]]:
    """Words with a capital first and small letters after, possessives taken off, and their places."""
    for match in _WORD.finditer(text):
        word = _POSSESSIVE.sub("", match.group())
        if len(word) > 1 and word[0].isupper() and not word.isupper():
            yield word, match.start()


def _sightings(text: str) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How often each word has a capital inside a sentence, at a start, and stands in lower case."""
    middle: Counter[str] = Counter()
    start: Counter[str] = Counter()
    for word, place in _capitals(text):
        inside = _MID_SENTENCE.search(text[max(0, place - _BEFORE) : place]) is not None
        (middle if inside else start)[word] += 1
    small = Counter(match.group() for match in _WORD.finditer(text) if match.group()[0].islower())
    return middle, start, small


def _first_words(parts: Iterable[str], language: str) -> list[str]:
    """The word that opens a text, when it has a capital and is no ordinary opener."""
    refused = _NOT_NAMES.get(language[:2])
    if refused is None:  # "Eine" and "Une" open texts too
        return []
    openers = (next(iter(_capitals(part)), None) for part in parts)
    return [
        opener[0]
        for opener in openers
        if opener and opener[1] == 0 and opener[0].lower() not in refused and not opener[0].endswith("ly")
    ]


def _forenames(parts: Iterable[str], found: list[str], language: str) -> list[str]:
    """Words that open a text right before a name: "Ada Quill, who …" speaks of Ada."""
    openers = [word for word in dict.fromkeys(_first_words(parts, language)) if word not in found]
    before = re.compile(r"\W*(\w[\w’'\-]*) (\w[\w’'\-]*)")
    pairs = {match.groups() for part in parts if (match := before.match(part))}
    return [word for word in openers if any((word, name) in pairs for name in found)]


def _followers(text: str, found: frozenset[str]) -> set[str]:
    """Names that follow another name more often than not: surnames and second words of places."""
    follows: Counter[str] = Counter()
    total: Counter[str] = Counter()
    before, end = "", -1
    for word, place in _capitals(text):
        if word in found:
            total[word] += 1
            if before in found and text[end:place] == " ":
                follows[word] += 1
            before, end = word, place + len(word)
    return {word for word in follows if 2 * follows[word] > total[word]}


def _weight(text: str, name: str) -> float:
    """How often a name stands, sightings after a preposition or article counting little."""
    total = 0.0
    for match in re.finditer(rf"\b{re.escape(name)}\b", text):
        before = text[max(0, match.start() - 12) : match.start()]
        total += _PLACE_WEIGHT if _PLACE_BEFORE.search(before) else 1.0
    return total
