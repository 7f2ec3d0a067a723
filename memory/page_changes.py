"""Changes of the short-term memory's page that need no model: pins, approved proposals, replays."""

from collections.abc import Sequence
from dataclasses import replace

from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Dropped, Note, ShortMemory
from storyloom.memory.text import words


def with_change(memory: ShortMemory, added: Sequence[Note], dropped: Sequence[Dropped]) -> ShortMemory:
    """The page after a change that was made for another one: what it dropped leaves, what it added is last.

    A note counts as the same by its text and the step that brought it; where the page holds another
    wording of what that step brought, that one leaves. Pinned notes stay, and nothing comes in twice.
    """
    here = {_key(note) for note in memory.notes}
    gone = {_key(one.note) for one in dropped}
    reworded = {one.note.depth for one in dropped if _key(one.note) not in here}
    kept = [
        note for note in memory.notes if note.pinned or not (_key(note) in gone or note.depth in reworded)
    ]
    there = {_key(note) for note in kept}
    return ShortMemory((*kept, *(note for note in added if _key(note) not in there)))


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
    place = _place(memory, which)
    notes = list(memory.notes)
    notes[place] = replace(notes[place], pinned=pinned)
    return ShortMemory(tuple(notes))


def _place(memory: ShortMemory, which: str) -> int:
    count = len(memory.notes)
    if which.strip().isdecimal():
        number = int(which)
        if 1 <= number <= count:
            return number - 1
        raise InvalidText(
            f"There is no sentence {number}: short-term memory has {count}. "
            "`storyloom memory STORY --blame` numbers them."
        )
    asked = f" {' '.join(words(which))} "
    found = [place for place, note in enumerate(memory.notes) if asked in f" {' '.join(words(note.text))} "]
    if len(found) == 1 and asked.strip():
        return found[0]
    state = f"{len(found)} sentences of short-term memory hold" if found else "No sentence of it holds"
    raise InvalidText(
        f"{state} the words {which[:80]!r}. Name one by its number; "
        "`storyloom memory STORY --blame` shows them."
    )


def _key(note: Note) -> tuple[str, int]:
    return note.text, note.depth
