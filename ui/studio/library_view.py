"""What the list of stories does. Knows no component."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from storyloom.app.events import Listener
from storyloom.memory.errors import StoryloomError
from storyloom.ui.studio import library_html, write_html
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Visible

# With more stories than fit a page, titles are searched for.
_FEW = 10


@dataclass(frozen=True, slots=True)
class Deleted:
    """A story that was deleted on this page, and the file that brings it back."""

    title: str
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the tab."""

    shelf: str | None = None
    search: Visible | None = None
    told: str | None = None
    undo: Visible | None = None
    deleted: tuple[Deleted, ...] | None = None
    notice: str | None = None


def listed(house: House, _place: Place, wanted: str) -> View:
    """The stories whose titles hold what is looked for, the last touched first."""
    stories = house.studio.stories()
    words = " ".join(wanted.casefold().split())
    many = len(stories) > _FEW
    if words and many:
        stories = [one for one in stories if words in " ".join(one.title.casefold().split())]
    return View(shelf=library_html.shelf(stories, wanted.strip() if many else ""), search=Visible(many))


def pressed(
    house: House, place: Place, picked: Mapping[str, str], wanted: str, deleted: tuple[Deleted, ...]
) -> View:
    """What a button beside a story does."""
    story_id = picked.get("story", "")
    if picked["pick"] == "duplicate":
        copy = house.studio.duplicate(story_id)
        told = gettext("“{title}” is at the top of the list.", title=copy.title)
        view = _told(listed(house, place, wanted), told)
        return replace(view, undo=Visible(False))
    title = house.studio.show(story_id, last=1).story.title
    return _deleted(house, place, wanted, (*deleted, Deleted(title, house.studio.delete(story_id))))


def undo(house: House, place: Place, wanted: str, deleted: tuple[Deleted, ...]) -> View:
    """Bring the story back that was deleted last; the one before it is offered next."""
    *before, last = deleted
    house.studio.import_file(last.file, Listener())
    if before:
        return _deleted(house, place, wanted, tuple(before))
    view = _told(listed(house, place, wanted), gettext("“{title}” is back.", title=last.title))
    return replace(view, undo=Visible(False), deleted=())


def coming(_house: House, _place: Place) -> View:
    """A file has come and is read."""
    return View(told=write_html.status(gettext("Reading the file…")), undo=Visible(False), notice="")


def bring_in(house: House, place: Place, file: str, wanted: str) -> View:
    """Bring in a story's file or a manuscript; the page's own copy of it is removed."""
    try:
        story = house.studio.import_file(Path(file), Listener())
    except StoryloomError as error:
        return View(told="", notice=write_html.notice(str(error)))
    finally:
        Path(file).unlink(missing_ok=True)
    return _told(listed(house, place, wanted), gettext("“{title}” is here.", title=story.title))


def _told(view: View, text: str) -> View:
    return replace(view, told=write_html.status(text), notice="")


def _deleted(house: House, place: Place, wanted: str, deleted: tuple[Deleted, ...]) -> View:
    return replace(
        listed(house, place, wanted),
        told=library_html.deleted(deleted[-1].title),
        undo=Visible(True),
        deleted=deleted,
        notice="",
    )
