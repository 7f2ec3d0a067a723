"""Edits by hand as the page tells them: what was done, what it makes stale, and how it is taken back."""

from collections.abc import Callable, Mapping

from storyloom.memory.story import Stale, StalePart
from storyloom.ui.studio import stale_html
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place

_Mark = tuple[str, int, StalePart]


def edit(house: House, place: Place, change: Callable[[], str]) -> str:
    """Make a change and tell of it.

    Args:
        house: the owner's studio.
        place: where the page is.
        change: makes the change and says in a sentence what it did.

    Returns:
        HTML with that sentence, what became stale, and a button that undoes the change.
    """
    editing, story = house.studio.editing, place.story_id
    kept = {one.id for one in editing.revisions(story)}
    known = _marks(house, place)
    done = change()
    new = [one.id for one in editing.revisions(story) if one.id not in kept]
    marks = {key: mark for key, mark in _marks(house, place).items() if key not in known}
    here = [mark for mark in editing.stale(story, place.strand_id) if _key(mark) in marks]
    return stale_html.edited(done, here, len(marks) - len(here), new)


def undo(house: House, place: Place, picked: Mapping[str, str]) -> str:
    """Take back what the button stands for; taking that back is possible too."""

    def change() -> str:
        for revision in picked.get("revisions", "").split():
            house.studio.editing.undo(place.story_id, revision)
        return gettext("It is as it was.")

    return edit(house, place, change)


def _marks(house: House, place: Place) -> dict[_Mark, Stale]:
    """Everything stale of a story, on all its strands."""
    studio = house.studio
    return {
        _key(mark): mark
        for strand, _ in studio.branches(place.story_id)
        for mark in studio.editing.stale(place.story_id, strand.id)
    }


def _key(mark: Stale) -> _Mark:
    return mark.strand_id, mark.depth, mark.part
