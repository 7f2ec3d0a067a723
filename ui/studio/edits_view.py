"""Undo and Redo of what was changed by hand in the text and its memory. Knows no component."""

from dataclasses import dataclass

from storyloom.app.editing import PARAGRAPH
from storyloom.memory.story import Revision
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
    return _undone(house, place, house.studio.editing.history(place.story_id, place.strand_id).undo, "Undone")


def redo(house: House, place: Place) -> View:
    """Make the edit again that was taken back last."""
    return _undone(house, place, house.studio.editing.history(place.story_id, place.strand_id).redo, "Redone")


def _undone(house: House, place: Place, edit: Revision | None, done: str) -> View:
    refuse_while_writing(house, place)
    if edit is None:
        return View(status=status("Nothing was edited by hand here."))
    house.studio.editing.undo(place.story_id, edit.id)
    place_of_it = f"paragraph {edit.depth}" if edit.depth else "the first paragraph"
    what = "" if edit.subject == PARAGRAPH else "the memory after " if edit.depth else "the memory before "
    return View(status=status(f"{done}: the edit of {what}{place_of_it}."), notice="")
