"""Changes of the short-term memory's page that need no model: pins, approved proposals, replays."""

from collections.abc import Sequence
from dataclasses import replace

from storyloom.memory.errors import InvalidText
from storyloom.memory.form import is_finished
from storyloom.memory.function_words import content_words
from storyloom.memory.story import Dropped, MemoryChange, Note, Origin, ShortMemory
from storyloom.memory.text import count_words, sentences, words
from storyloom.memory.word_forms import Vocabulary

_TOLD_SHARE = 0.4
_MOST_TOLD_WORDS = 30  # a paragraph that begins with more would hardly tell anything else


def with_proposal(
    memory: ShortMemory, proposal: MemoryChange
) -> tuple[ShortMemory, tuple[Note, ...], tuple[Dropped, ...]]:
    """The page once a person has approved what a step would change in it.

    A proposal speaks for all that its step brought: what the page holds of an earlier wording leaves.
    Pinned notes and those of a person stay, and nothing comes in twice.

    Returns:
        The page, the notes that came and those that left, with reasons.
    """
    reasons = {_key(one.note): one.reason for one in proposal.dropped}
    wanted = {_key(note) for note in proposal.added}
    for note in memory.notes:
        if note.depth == proposal.depth and note.origin is not Origin.PERSON and _key(note) not in wanted:
            reasons.setdefault(_key(note), f"step {note.depth} was noted anew")
    dropped = tuple(
        Dropped(note, reasons[_key(note)])
        for note in memory.notes
        if not note.pinned and _key(note) in reasons
    )
    left = {_key(one.note) for one in dropped}
    kept = tuple(note for note in memory.notes if note.pinned or _key(note) not in left)
    there = {_key(note) for note in kept}
    added = tuple(note for note in proposal.added if _key(note) not in there)
    return ShortMemory((*kept, *added)), added, dropped


def edited(before: ShortMemory, page: ShortMemory) -> tuple[Note, ...]:
    """The notes that a person has written or reworded on a page since it was as ``before``."""
    there = {note.text for note in before.notes}
    return tuple(note for note in page.notes if note.origin is Origin.PERSON and note.text not in there)


def untold(notes: Sequence[Note], text: str, known: str, language: str = "en") -> str:
    """A sentence of what a person has edited, where a text tells nothing of any of it.

    It does where it has two in five of a sentence's telling words, in whatever form.

    Args:
        notes: what was edited.
        text: a paragraph that may tell of it.
        known: what the paragraph may tell of anyway; words that stand there show nothing.
        language: BCP 47 tag.

    Returns:
        The last sentence that a paragraph can tell as it stands; empty where the text tells of one, or
        where none brings anything new.
    """
    there, said = Vocabulary(words(known)), Vocabulary(words(text))
    found = ""
    for sentence in (each for note in notes for each in sentences(note.text, language)):
        telling = set(content_words(words(sentence), language))
        fresh = {word for word in telling if not there.has_form_of(word)}
        if fresh and sum(map(said.has_form_of, fresh)) >= len(fresh) * _TOLD_SHARE:
            return ""
        if fresh and is_finished(sentence) and count_words(sentence) <= _MOST_TOLD_WORDS:
            found = sentence
    return found


def replayed(
    page: ShortMemory, added: Sequence[Note], dropped: Sequence[Dropped], before: ShortMemory
) -> ShortMemory:
    """A step's page once more, on top of another page than the one that it was made from.

    What the step itself changed stays changed. A note that is new before it takes the place of one
    that has gone; where the step had dropped that one, or notes that came later, the new one is
    dropped with them. Pinned notes stay; where nothing changed before it, the page stays as it is.

    Args:
        page: the page after the step.
        added: the notes that it brought.
        dropped: the notes that it took out.
        before: the page before the step, as it is now.
    """
    own = {_key(note) for note in added}
    inherited = {_key(note) for note in page.notes} - own
    known = inherited | {_key(one.note) for one in dropped}
    now = {_key(note) for note in before.notes}
    fresh = [note for note in before.notes if _key(note) not in known]
    replaced = {note.depth for note in fresh if note.pinned}
    notes, left = [], set()
    for note in page.notes:
        if _key(note) in own | now or (note.pinned and note.depth not in replaced):
            notes.append(note)
        else:
            left.add(note.depth)
    taken_out = {one.note.depth for one in dropped if _key(one.note) not in now}
    oldest_kept = max((one.note.depth for one in dropped), default=-1)
    for note in fresh:
        leaves = note.depth in taken_out or note.depth <= oldest_kept
        if note.pinned or note.depth in left or not leaves:
            notes.insert(_place_of(note, notes, before), note)
    return ShortMemory(tuple(notes))


def without_notes_of(memory: ShortMemory, depth: int) -> ShortMemory:
    """The page without what one step brought, pinned notes excepted."""
    return ShortMemory(tuple(note for note in memory.notes if note.pinned or note.depth != depth))


def with_pin(memory: ShortMemory, which: str, *, pinned: bool) -> ShortMemory:
    """The page with one sentence pinned or set free.

    Args:
        memory: the page.
        which: the sentence's number, from 1, or words that only this sentence holds.
        pinned: pinned or free.

    Raises:
        InvalidText: no sentence answers to ``which``, or more than one does.
    """
    place = _numbered(memory, which)
    notes = list(memory.notes)
    notes[place] = replace(notes[place], pinned=pinned)
    return ShortMemory(tuple(notes))


def without_sentence(memory: ShortMemory, which: str) -> tuple[ShortMemory, Note]:
    """The page without one sentence, and that sentence; the arguments are as those of ``with_pin``.

    Raises:
        InvalidText: no sentence answers to ``which``, or more than one does.
    """
    place = _numbered(memory, which)
    notes = list(memory.notes)
    left = notes.pop(place)
    return ShortMemory(tuple(notes)), left


def _numbered(memory: ShortMemory, which: str) -> int:
    numbers = {str(number): number - 1 for number in range(1, len(memory.notes) + 1)}
    if which.strip() in numbers:
        return numbers[which.strip()]
    if which.strip().isdecimal():
        raise InvalidText(
            f"There is no sentence {which.strip()[:9]}: short-term memory has {len(numbers)}. "
            "`storyloom memory STORY --blame` numbers them."
        )
    asked = f" {' '.join(words(which))} "
    told = [f" {' '.join(words(note.text))} " for note in memory.notes]
    found = [place for place, sentence in enumerate(told) if asked.strip() and asked in sentence]
    if len(found) == 1:
        return found[0]
    if told.count(asked) == 1:
        return told.index(asked)
    state = f"{len(found)} sentences of short-term memory hold" if found else "No sentence of it holds"
    raise InvalidText(
        f"{state} the words {which[:80]!r}. Name one by its number; "
        "`storyloom memory STORY --blame` shows them."
    )


def _place_of(new: Note, notes: Sequence[Note], before: ShortMemory) -> int:
    """Right after the note that it follows on the page before."""
    places = {_key(note): place for place, note in enumerate(notes)}
    earlier = before.notes[: before.notes.index(new)]
    return next((places[_key(note)] + 1 for note in reversed(earlier) if _key(note) in places), 0)


def _key(note: Note) -> tuple[tuple[str, ...], int]:
    """Another case or comma makes no other note."""
    return tuple(words(note.text)), note.depth
