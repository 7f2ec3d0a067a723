"""Short-term memory as a list of sentences: add, bound, check, and take back a page that was rewritten.

The page is read by the writer at every step, so it changes as little as possible: notes are added
at its end, and when it is full several leave at once, so that most steps leave the beginning of the
next prompt as it was.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from storyloom.memory.function_words import content_words, function_words
from storyloom.memory.story import Dropped, Note, Origin, ShortMemory
from storyloom.memory.text import count_words, sentences, words
from storyloom.memory.word_forms import Vocabulary

_KEPT_SHARE = 0.75  # of the bound, after notes had to leave
_ALIKE = 0.6  # share of meaning that two sentences have in common when they say the same
_ECHO_WORDS = 2  # words in common that make a later note speak of an earlier one
_PREMISE_WORDS = 60  # of a premise that is pinned; the writer reads it whole elsewhere
_CAPITAL = re.compile(r"\b[A-Z\u00c0-\u00de\u0391-\u03ab\u0410-\u042f]\w+")
_DENIALS_ENGLISH = """
no not never nobody nothing none cannot can't couldn't didn't doesn't don't hadn't hasn't isn't wasn't weren't
without won't wouldn't
"""
_DENIALS = {"en": frozenset(_DENIALS_ENGLISH.split())}
_MOST_PAIRS = 200_000  # of sentences compared for likeness; beyond, only equal ones are found


def first_memory(premise: str) -> ShortMemory:
    """What is known before anything is written: the premise, pinned; a long one's beginning."""
    told = premise.split()
    text = " ".join(told[:_PREMISE_WORDS]) + ("…" if len(told) > _PREMISE_WORDS else "")
    return ShortMemory((Note(text, 0, Origin.PERSON, pinned=True),) if text else ())


def remember(
    memory: ShortMemory, note: Note, *, max_words: int, language: str = "en"
) -> tuple[ShortMemory, tuple[Dropped, ...]]:
    """Add a note at the end and hold the page to its bound.

    A note that says nothing new leaves the memory as it is.

    Args:
        memory: the page so far.
        note: what happened.
        max_words: most words of the whole page.
        language: BCP 47 tag.
    """
    if holds(memory, note.text, language):
        return memory, ()
    return bounded(ShortMemory((*memory.notes, note)), max_words=max_words, language=language)


def bounded(
    memory: ShortMemory, *, max_words: int, language: str = "en"
) -> tuple[ShortMemory, tuple[Dropped, ...]]:
    """Hold a page to its bound.

    When it is longer, notes leave until three quarters of the bound are filled: first those that no
    later note has spoken of for longest. Pinned notes and the last one stay, whatever their length.

    Args:
        memory: the page.
        max_words: most words of the whole page.
        language: BCP 47 tag.
    """
    notes = memory.notes
    total = sum(count_words(each.text) for each in notes)
    if total <= max_words:
        return memory, ()
    leaving: dict[int, Dropped] = {}
    echoes = _last_echoes(notes, language)
    for place in sorted(range(len(notes) - 1), key=lambda place: (echoes[place], place)):
        if total <= _KEPT_SHARE * max_words:
            break
        if not notes[place].pinned:
            total -= count_words(notes[place].text)
            leaving[place] = Dropped(notes[place], _reason(notes[place], notes[echoes[place]]))
    kept = tuple(each for place, each in enumerate(notes) if place not in leaving)
    return ShortMemory(kept), tuple(leaving[place] for place in sorted(leaving))


def holds(memory: ShortMemory, sentence: str, language: str = "en") -> bool:
    """Whether a note says the same as ``sentence``, in much the same words."""
    meaning = _meaning(sentence, language)
    return not meaning or any(
        _likeness(meaning, _meaning(part, language)) >= _ALIKE
        for note in memory.notes
        for part in sentences(note.text, language)
    )


def supported(sentence: str, paragraph: str, language: str = "en") -> bool:
    """Whether every word of ``sentence`` that carries meaning stands in ``paragraph``.

    Other forms of a word count ("opens", "opened"), of numbers and names only the very word. Names
    must come in the same order, for who did it to whom; and a sentence may not deny what the
    paragraph doesn't, nor tell as fact what a paragraph of one sentence denies, unless it is that
    sentence's own beginning.
    """
    tokens, told = words(sentence), words(paragraph)
    asked = content_words(tokens, language)
    if asked and tokens == told[: len(tokens)]:
        return True
    given = Vocabulary(told)
    exact = {match.group().lower() for match in _CAPITAL.finditer(sentence)}

    def stands(word: str) -> bool:
        return word in given if word in exact else given.has_form_of(word)

    return bool(asked) and all(map(stands, asked)) and _tells_the_same(sentence, paragraph, language)


def rewritten(
    old: ShortMemory, text: str, depth: int, origin: Origin, language: str = "en"
) -> tuple[ShortMemory, tuple[Note, ...], tuple[Dropped, ...]]:
    """Take a page that a person or a strong model wrote anew, sentence by sentence.

    A sentence that stayed keeps its note: depth, pin and origin. One that was reworded keeps depth
    and pin, and counts as added as well as dropped. A person may reword pinned notes and take them
    out. From a model they stay word for word: in the place of their rewording, or else in front.

    Args:
        old: the memory before.
        text: the whole new page; lines and lists are taken as sentences.
        depth: the step at which it was rewritten.
        origin: who rewrote it.
        language: BCP 47 tag.

    Returns:
        The new memory, the notes that are new in it, and those that left it, with reasons.
    """
    match = _match(old.notes, _sentences(old, text, language), Note("", depth, origin), language)
    notes, left = match.notes, match.left
    if origin is not Origin.PERSON:
        notes = [*(note for note in left if note.pinned), *notes]
        left = [note for note in left if not note.pinned]
    by = "by hand" if origin is Origin.PERSON else "by the model"
    reasons = [(note, f"taken out {by}") for note in left] + [
        (note, f"reworded {by}") for note in match.reworded
    ]
    dropped = tuple(Dropped(note, reason) for note, reason in reasons)
    return ShortMemory(tuple(notes)), tuple(match.added), dropped


def _tells_the_same(sentence: str, paragraph: str, language: str) -> bool:
    """Names in the same order, and no denial that came or went."""
    joining = function_words(language)
    order = [name for name in _CAPITAL.findall(paragraph) if name.lower() not in joining]
    mentioned = iter(order)
    if not all(name in mentioned for name in _CAPITAL.findall(sentence) if name in order):
        return False
    denials = _DENIALS.get(language[:2].lower(), frozenset())
    denied, denies = bool(denials & set(words(paragraph))), bool(denials & set(words(sentence)))
    return denied or not denies if len(sentences(paragraph, language)) > 1 else denied == denies


def _sentences(old: ShortMemory, text: str, language: str) -> list[str]:
    """The page's sentences; a note of several sentences that stands there unchanged stays one."""
    whole = [note.text for note in old.notes if len(sentences(note.text, language)) > 1]
    parts = [text]
    for note in whole:
        parts = [piece for part in parts for piece in _split_out(part, note)]
    return [
        sentence
        for part in parts
        for line in ([part] if part in whole else part.splitlines())
        for sentence in ([line] if line in whole else sentences(line.strip().lstrip("-*•").strip(), language))
    ]


def _split_out(text: str, note: str) -> list[str]:
    if text == note:
        return [text]
    before, found, after = text.partition(note)
    return [piece for piece in (before, found, after) if piece.strip()]


@dataclass(slots=True)
class _Match:
    """How the sentences of a new page stand to the old notes.

    Attributes:
        notes: a note a sentence.
        added: those of them that are new or reworded.
        reworded: the old notes that a sentence rewords.
        left: the old notes that no sentence claimed.
    """

    notes: list[Note]
    added: list[Note]
    reworded: list[Note]
    left: list[Note]


def _match(old: Sequence[Note], page: Sequence[str], new: Note, language: str) -> _Match:
    """Give each sentence its note: equal ones first, then those that are alike, then new ones."""
    by_words: dict[tuple[str, ...], list[Note]] = {}
    for note in old:
        by_words.setdefault(tuple(words(note.text)), []).append(note)
    stayed: list[Note | None] = []
    for sentence in page:
        same = by_words.get(tuple(words(sentence)))
        stayed.append(same.pop(0) if same else None)
    match = _Match([], [], [], [note for rest in by_words.values() for note in rest])
    comparable = stayed.count(None) * len(match.left) <= _MOST_PAIRS
    for sentence, kept in zip(page, stayed, strict=True):
        alike = kept or (_most_alike(sentence, match.left, language) if comparable else None)
        if alike is not None and kept is None:
            match.left.remove(alike)
        if alike is not None and alike.pinned and new.origin is not Origin.PERSON:
            match.notes.append(alike)
            continue
        if kept is not None:
            match.notes.append(replace(kept, text=sentence))
            continue
        note = replace(new, text=sentence)
        if alike is not None:
            match.reworded.append(alike)
            note = replace(note, depth=alike.depth, pinned=alike.pinned)
        match.added.append(note)
        match.notes.append(note)
    return match


def _most_alike(sentence: str, notes: Sequence[Note], language: str) -> Note | None:
    """The note that says much the same as the sentence, if one does."""
    meaning = _meaning(sentence, language)
    likeness, place = max(
        ((_likeness(meaning, _meaning(note.text, language)), -place) for place, note in enumerate(notes)),
        default=(0.0, 0),
    )
    return notes[-place] if likeness >= _ALIKE else None


def _meaning(sentence: str, language: str) -> frozenset[str]:
    tokens = words(sentence)
    return frozenset(content_words(tokens, language) or tokens)


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of words in common (Jaccard), 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 0.0


def _last_echoes(notes: Sequence[Note], language: str) -> list[int]:
    """For each note the place of the last one, itself included, that speaks of the same things."""
    if len(notes) ** 2 > _MOST_PAIRS:
        return list(range(len(notes)))
    meanings = [_meaning(note.text, language) for note in notes]
    return [
        max(
            later
            for later in range(place, len(notes))
            if later == place or len(meaning & meanings[later]) >= _ECHO_WORDS
        )
        for place, meaning in enumerate(meanings)
    ]


def _reason(note: Note, spoken_of: Note) -> str:
    """Why a note left a full page."""
    if spoken_of is note:
        return f"the page was full, and nothing has spoken of this since step {note.depth}"
    return f"the page was full, and step {spoken_of.depth} was the last to speak of this"
