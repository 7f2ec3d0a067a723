"""A story's lore entries, or its characters, on the page: listed, changed in a form, added, removed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from storyloom.app.lore_shelf import Kept
from storyloom.app.studio import Studio
from storyloom.memory.lore import CharacterSheet, LoreEntry, label
from storyloom.ui.studio import edits, form, lore_fields, lore_html, write_html
from storyloom.ui.studio.form import Field
from storyloom.ui.studio.languages import gettext, gettext_noop
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Visible

T = TypeVar("T", LoreEntry, CharacterSheet)


@dataclass(frozen=True, slots=True)
class Opened:
    """What the form was filled with.

    Attributes:
        id: the entry's; empty for a new one.
        values: as the form showed them; none where it is closed.
    """

    id: str
    values: tuple[Any, ...]


_MOST_LETTERS = 60  # of a name in a sentence
CLOSED = Opened("", ())
_CHANGED = gettext_noop("“{name}” is changed.")
# What the switches of a list say, by their field and whether it is on now.
_SWITCHED = {
    ("enabled", True): gettext_noop("“{name}” is now enabled."),
    ("enabled", False): gettext_noop("“{name}” is no longer enabled."),
    ("constant", True): gettext_noop("“{name}” is now constant."),
    ("constant", False): gettext_noop("“{name}” is no longer constant."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page; HTML where it is text, but for the fields' values."""

    notice: str | None = None
    table: str | None = None
    links: str | None = None
    told: str | None = None
    panel: Visible | None = None
    heading: str | None = None
    fields: tuple[Any, ...] | None = None
    opened: Opened | None = None
    add: Visible | None = None
    remove: Visible | None = None


@dataclass(frozen=True, slots=True)
class Book(Generic[T]):
    """What one of the two lists is of.

    Attributes:
        blank: one without anything.
        fields: the form's.
        kept: where they are kept.
        called: what a person calls one.
        table: all of them as HTML.
        links: where they can be downloaded, as HTML, of a story's id and all of them.
        new: heading of the form for a new one, a message.
    """

    blank: T
    fields: tuple[Field, ...]
    kept: Callable[[Studio], Kept[T]]
    called: Callable[[T], str]
    table: Callable[[Sequence[T]], str]
    links: Callable[[str, Sequence[T]], str]
    new: str


LORE = Book(
    LoreEntry(id=""),
    lore_fields.ENTRY,
    lambda studio: studio.lore.entries,
    label,
    lore_html.entries,
    lore_html.book_links,
    gettext_noop("A new entry"),
)
CHARACTERS = Book(
    CharacterSheet(id="", name=""),
    lore_fields.CHARACTER,
    lambda studio: studio.lore.characters,
    lambda sheet: sheet.name or sheet.id,
    lore_html.characters,
    lore_html.card_links,
    gettext_noop("A new character"),
)


def listed(book: Book[T], house: House, place: Place) -> View:
    """All of them; an open form stays as it is, and so does what was told of a change."""
    all_of_them = book.kept(house.studio).list(place.story_id)
    return View(table=book.table(all_of_them), links=book.links(place.story_id, all_of_them))


def pick(
    book: Book[T], house: House, place: Place, picked: Mapping[str, str], opened: Opened, *values: Any
) -> View:
    """Open the form of one, or turn one of its flags over."""
    match picked.get("pick"):
        case "open":
            one = book.kept(house.studio).get(place.story_id, picked["id"])
            return _filled(book, one, opened, values)
        case "switch":
            return _switched(book, house, place, picked, opened, values)
        case _:
            return View()


def add(book: Book[T], house: House, place: Place, opened: Opened, *values: Any) -> View:  # noqa: ARG001
    """Open an empty form."""
    return _filled(book, book.blank, opened, values)


def save(book: Book[T], house: House, place: Place, opened: Opened, *values: Any) -> View:
    """Keep what was changed in the form."""
    given = form.changed(book.fields, opened.values, values)
    if opened.id and not given:
        return close(book, house, place)

    def change() -> str:
        kept, story = book.kept(house.studio), place.story_id
        if opened.id:
            return gettext(_CHANGED, name=_name(book, kept.edit(story, opened.id, given)))
        return gettext("“{name}” is added.", name=_name(book, kept.add(story, given)))

    return _changed(book, house, place, change)


def remove(book: Book[T], house: House, place: Place, opened: Opened) -> View:
    """Remove the one in the form."""

    def change() -> str:
        gone = book.kept(house.studio).remove(place.story_id, opened.id)
        return gettext("“{name}” is removed.", name=_name(book, gone))

    return _changed(book, house, place, change)


def close(book: Book[T], house: House, place: Place) -> View:  # noqa: ARG001
    """Close the form without keeping what it says."""
    return _closed(View(notice=""))


def undo(book: Book[T], house: House, place: Place, picked: Mapping[str, str]) -> View:
    """Take back the last edit."""
    told = edits.undo(house, place, picked)
    return replace(listed(book, house, place), told=told, notice="")


def _filled(book: Book[T], one: T, opened: Opened, values: tuple[Any, ...]) -> View:
    """The form with one's values, unless it holds what isn't saved yet."""
    if opened.values not in ((), values):
        return _unsaved()
    filled = form.shown(book.fields, one)
    return View(
        notice="",
        panel=Visible(True),
        heading=lore_html.heading(book.called(one) if one.id else gettext(book.new)),
        fields=filled,
        opened=Opened(one.id, filled),
        add=Visible(False),
        remove=Visible(bool(one.id)),
    )


def _switched(
    book: Book[T],
    house: House,
    place: Place,
    picked: Mapping[str, str],
    opened: Opened,
    values: tuple[Any, ...],
) -> View:
    id_, field, on = picked["id"], picked["field"], picked["on"] != "true"
    if opened.id == id_ and opened.values != values:
        return _unsaved()

    def change() -> str:
        one = book.kept(house.studio).edit(place.story_id, id_, {field: on})
        return gettext(_SWITCHED.get((field, on), _CHANGED), name=_name(book, one))

    told = edits.edit(house, place, change)
    view = replace(listed(book, house, place), told=told, notice="")
    if opened.id != id_:
        return view
    filled = form.shown(book.fields, book.kept(house.studio).get(place.story_id, id_))
    return replace(view, fields=filled, opened=Opened(id_, filled))


def _changed(book: Book[T], house: House, place: Place, change: Callable[[], str]) -> View:
    told = edits.edit(house, place, change)
    return _closed(replace(listed(book, house, place), told=told, notice=""))


def _name(book: Book[T], one: T) -> str:
    """What a person calls it, in a sentence."""
    name = book.called(one)
    return f"{name[:_MOST_LETTERS]}…" if len(name) > _MOST_LETTERS else name


def _unsaved() -> View:
    told = gettext("The form below has edits that aren't saved yet: save them, or close it first.")
    return View(notice=write_html.notice(told))


def _closed(view: View) -> View:
    return replace(view, panel=Visible(False), add=Visible(True), opened=CLOSED)
