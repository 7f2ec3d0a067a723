"""Undo and Redo of what was changed by hand in the text and its memory. Knows no component."""

from collections.abc import Callable
from dataclasses import dataclass

from storyloom.app.editing import PARAGRAPH
from storyloom.memory.story import Revision
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place, refuse_while_writing
from storyloom.ui.studio.showing import Visible
from storyloom.ui.studio.write_html import status


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page."""

    notice: str | None = None
    status: str | None = None
    undo: Visible | None = None
    redo: Visible | None = None


def opened(house: House, place: Place) -> View:
    """Which of the two there is anything for, on the open strand."""
    history = house.studio.editing.history(place.story_id, place.strand_id)
    return View(undo=Visible(history.undo is not None), redo=Visible(history.redo is not None))


def nothing() -> View:
    """Neither: the story has no text yet."""
    return View(undo=Visible(False), redo=Visible(False))


def undo(house: House, place: Place) -> View:
    """Take the last edit back."""
    edit = house.studio.editing.history(place.story_id, place.strand_id).undo
    return _turned(house, place, edit, _undone)


def redo(house: House, place: Place) -> View:
    """Make the edit again that was taken back last."""
    edit = house.studio.editing.history(place.story_id, place.strand_id).redo
    return _turned(house, place, edit, _redone)


def _turned(house: House, place: Place, edit: Revision | None, told: Callable[[Revision], str]) -> View:
    refuse_while_writing(house, place)
    if edit is None:
        return View(status=status(gettext("Nothing was edited by hand here.")))
    house.studio.editing.undo(place.story_id, edit.id)
    return View(status=status(told(edit)), notice="")


def _undone(edit: Revision) -> str:
    if edit.subject == PARAGRAPH:
        return gettext("Undone: the edit of paragraph {depth}.", depth=edit.depth)
    if edit.depth:
        return gettext("Undone: the edit of the memory after paragraph {depth}.", depth=edit.depth)
    return gettext("Undone: the edit of the memory before the first paragraph.")


def _redone(edit: Revision) -> str:
    if edit.subject == PARAGRAPH:
        return gettext("Redone: the edit of paragraph {depth}.", depth=edit.depth)
    if edit.depth:
        return gettext("Redone: the edit of the memory after paragraph {depth}.", depth=edit.depth)
    return gettext("Redone: the edit of the memory before the first paragraph.")
