"""Lore on the page beside its entries: other programs' files, what would fire next, the author's note."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from storyloom.app.story_settings import NOTE_DEPTH
from storyloom.memory.errors import ImportRefused
from storyloom.ui.studio import book_view, edits, lore_html
from storyloom.ui.studio.book_view import Book, T
from storyloom.ui.studio.languages import gettext, ngettext
from storyloom.ui.studio.place import House, Place

_NOTE = "authors_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringView:
    """What changes in the box that tells which entries would fire, as HTML."""

    firing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteView:
    """What changes of the author's note.

    Attributes:
        notice: what a person should be told.
        note: the note.
        depth: so many paragraphs stand after it in the prompt; empty: it stands at its usual place.
        shown: what was put in both boxes.
        told: what a change did, as HTML.
    """

    notice: str | None = None
    note: str | None = None
    depth: str | None = None
    shown: tuple[str, str] | None = None
    told: str | None = None


def bring_in(book: Book[T], house: House, place: Place, path: str) -> book_view.View:
    """Add the lore and characters of another program's file, which is then thrown away."""
    file = Path(path)
    refused: list[str] = []

    def change() -> str:
        brought = house.studio.lore.bring_in(place.story_id, file)
        refused.extend(brought.refused)
        return gettext(
            "{entries} and {characters} came with the file.",
            entries=ngettext("{number} entry", "{number} entries", len(brought.entries)),
            characters=ngettext("{number} character", "{number} characters", len(brought.characters)),
        )

    try:
        told = edits.edit(house, place, change)
    except ImportRefused as error:
        raise ImportRefused(str(error).replace(str(file), file.name)) from error
    finally:
        file.unlink(missing_ok=True)
    after = book_view.listed(book, house, place)
    return replace(after, told=told + lore_html.brought(refused), notice="")


def firing(house: House, place: Place, text: str) -> FiringView:
    """Which entries would fire at the next paragraph, if this happens in it."""
    scan = house.studio.lore.would_fire(place.story_id, text, place.strand_id)
    return FiringView(firing=lore_html.firing(scan))


def note(
    house: House, place: Place, text: str = "", depth: str = "", shown: tuple[str, str] = ("", "")
) -> NoteView:
    """The author's note and its depth as the story has them; an edit that isn't saved yet stays.

    Args:
        house: the owner's studio.
        place: where the page is.
        text: the note's box as it stands.
        depth: the depth's.
        shown: what was put in both.
    """
    kept = _kept_note(house, place)
    if (text, depth) not in (shown, kept):
        return NoteView(notice="")
    return NoteView(notice="", note=kept[0], depth=kept[1], shown=kept)


def save_note(house: House, place: Place, text: str, depth: str) -> NoteView:
    """Change the author's note and where it stands."""
    given = {_NOTE: text.strip(), NOTE_DEPTH: depth.strip()}
    wanted = {
        name: value
        for (name, value), old in zip(given.items(), _kept_note(house, place), strict=True)
        if value != old
    }

    def change() -> str:
        house.studio.settings.change(place.story_id, wanted)
        return gettext("Saved: the next paragraph will be written with it.")

    told = edits.edit(house, place, change)
    return replace(note(house, place), told=told)


def undo_note(house: House, place: Place, picked: Mapping[str, str]) -> NoteView:
    """Take back the last change of the note."""
    told = edits.undo(house, place, picked)
    return replace(note(house, place), told=told)


def _kept_note(house: House, place: Place) -> tuple[str, str]:
    settings = house.studio.settings.of(place.story_id)
    depth = settings[NOTE_DEPTH]
    return settings[_NOTE], "" if depth is None else str(depth)
