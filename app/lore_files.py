"""A story's lore from and to other programs' files, inside a unit of work.

What a file says beside entries and characters becomes the story's where the story has nothing of its own:
its author's note, and its settings of lore. A text for the top of every prompt becomes a constant entry.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from storyloom.app.lore_edits import change_characters, change_entries
from storyloom.app.shelf import new_id, revision
from storyloom.app.story_settings import LORE, SUBJECT, lore_settings
from storyloom.memory.lore import LoreEntry, LoreSettings
from storyloom.memory.lorebook import Lorebook
from storyloom.memory.story import Story
from storyloom.storage.unit_of_work import UnitOfWork

# The story's setting that keeps what only the files' programs understand.
BOOK = "lore_book"
# Marks the entry that was a file's text for the top of every prompt.
_OURS, _MEMORY = "storyloom", {"memory": True}


def has_book(story: Story) -> bool:
    """Whether a file's lore was brought in already."""
    return BOOK in story.settings


def bring_in(
    work: UnitOfWork, story: Story, book: Lorebook, make_id: Callable[[], str] = new_id
) -> tuple[str, ...]:
    """Add everything of a lorebook to a story; what could not be taken over, a sentence each."""
    entries = book.entries
    if book.memory:
        top = LoreEntry(
            id=make_id(),
            name="Memory",
            content=book.memory,
            constant=True,
            order=0,
            extensions={_OURS: _MEMORY},
        )
        entries = (*entries, top)
    is_first = not work.lore.of_story(story.id)
    if entries:
        change_entries(work, story, [], entries)
    if book.characters:
        change_characters(work, story, [], book.characters)
    return _take_over(work, work.stories.get(story.id), book, is_first=is_first)


def _take_over(work: UnitOfWork, story: Story, book: Lorebook, *, is_first: bool) -> tuple[str, ...]:
    """What the book says as a whole; what of it the story leaves, a sentence each."""
    left: list[str] = []
    kept = _kept(story.settings)
    extensions = {**kept.extensions, **book.extensions}
    settings = {**story.settings, BOOK: {"name": book.name or kept.name, "extensions": extensions}}
    own = _own(book.settings) if book.settings else {}
    if own and is_first and LORE not in settings:
        settings[LORE] = own
        for name, value in own.items():
            subject, state = f"{SUBJECT}{LORE}.{name}", {"value": None}
            work.revisions.add(revision(story, subject, "", json.dumps(value), state=state))
    elif own and own != settings.get(LORE):
        left.append("The file's own settings of lore were left out: the story has lore already.")
    note = story.authors_note or book.authors_note
    if book.authors_note not in {"", note}:
        left.append("The file's author's note was left out: the story has one already.")
    if note != story.authors_note:
        work.revisions.add(revision(story, f"{SUBJECT}authors_note", "", note, state={"value": ""}))
    work.stories.save(replace(story, settings=settings, authors_note=note))
    return tuple(left)


def lorebook_of(work: UnitOfWork, story: Story, *, with_texts: bool) -> Lorebook:
    """A story's lore as a file shall hold it.

    Args:
        work: the unit.
        story: whose lore.
        with_texts: whether the file has a place for the author's note and for a text at the top of every
            prompt, which otherwise stays a constant entry.

    Raises:
        InvalidSetting: a setting of the story's lore can't be used.
    """
    entries = work.lore.of_story(story.id)
    memory = [entry for entry in entries if with_texts and entry.extensions.get(_OURS) == _MEMORY]
    kept = _kept(story.settings)
    return Lorebook(
        name=kept.name or story.title,
        entries=tuple(entry for entry in entries if entry not in memory),
        characters=tuple(work.characters.of_story(story.id)),
        settings=lore_settings(story) if LORE in story.settings else None,
        memory="\n".join(entry.content for entry in memory),
        authors_note=story.authors_note if with_texts else "",
        extensions=kept.extensions,
    )


def _kept(settings: Mapping[str, Any]) -> Lorebook:
    """What the story keeps of the files that it had lore from."""
    book = settings.get(BOOK)
    if not isinstance(book, dict):
        return Lorebook()
    return Lorebook(name=str(book.get("name", "")), extensions=dict(book.get("extensions", {})))


def _own(settings: LoreSettings) -> dict[str, Any]:
    """What differs from the defaults, as a story keeps it."""
    default = asdict(LoreSettings())
    return {name: value for name, value in asdict(settings).items() if value != default[name]}
