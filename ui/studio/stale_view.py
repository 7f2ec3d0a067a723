"""What edits have made stale, on the page: told, made again beside it, or left to stand."""

from dataclasses import dataclass, replace

from storyloom.memory.story import StalePart
from storyloom.ui.studio import stale_html, write_html
from storyloom.ui.studio.languages import gettext, ngettext
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Ticking, Visible
from storyloom.ui.studio.writing import Rebuild


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page.

    Attributes:
        notice: what a person should be told.
        stale: what is stale, as HTML.
        again: the button that makes it again.
        settle: the button that lets paragraphs stand.
        stop: the button that ends the making.
        progress: how far the making is, or what came of it, as HTML.
        clock: calls ``look`` while something is made.
        rebuild: the id of the making that the page looks at.
        ended: changes where a making has ended, so that what shows memory shows it anew.
    """

    notice: str | None = None
    stale: str | None = None
    again: Visible | None = None
    settle: Visible | None = None
    stop: Visible | None = None
    progress: str | None = None
    clock: Ticking | None = None
    rebuild: str | None = None
    ended: str | None = None


def opened(house: House, place: Place) -> View:
    """What is stale just now; a making that is at work is looked at."""
    at_work = house.writers.rebuild_of(place.strand_id)
    return _shown(house, place, at_work, "" if at_work is None else _how_far(at_work))


def refreshed(house: House, place: Place) -> View:
    """What is stale after an edit; what was told of that stays, and so does whatever else is told here."""
    return replace(_shown(house, place, house.writers.rebuild_of(place.strand_id), None), notice=None)


def again(house: House, place: Place) -> View:
    """Begin to make it again, beside the page."""
    rebuild = house.writers.rebuild(house.studio, place.story_id, place.strand_id)
    return _shown(house, place, rebuild, _how_far(rebuild))


def look(house: House, place: Place, rebuild_id: str) -> View:
    """How far the making is; once it has ended, what came of it."""
    rebuild = house.writers.get(rebuild_id)
    if not isinstance(rebuild, Rebuild):
        return opened(house, place)
    if not rebuild.done:
        return View(progress=_how_far(rebuild))
    return replace(_shown(house, place, None, _outcome(rebuild)), ended=rebuild.id)


def stop(house: House, place: Place) -> View:
    """Ask the making to end; what was made stands."""
    rebuild = house.writers.rebuild_of(place.strand_id)
    if rebuild is None:
        return opened(house, place)
    rebuild.stop()
    return View(progress=write_html.status(gettext("Stopping…")))


def settle(house: House, place: Place) -> View:
    """Let paragraphs stand that were written from what was edited since."""
    many = house.studio.editing.settle(place.story_id, place.strand_id)
    stand = ngettext("{number} paragraph stands as it is.", "{number} paragraphs stand as they are.", many)
    return _shown(house, place, house.writers.rebuild_of(place.strand_id), write_html.status(stand))


def _shown(house: House, place: Place, rebuild: Rebuild | None, progress: str | None) -> View:
    studio, story, strand = house.studio, place.story_id, place.strand_id
    marks, states = studio.editing.stale(story, strand), studio.rebuilding.stale_states(story, strand)
    is_paragraph = [mark.part is StalePart.PARAGRAPH for mark in marks]
    return View(
        notice="",
        stale=stale_html.stale(marks, states),
        again=Visible(rebuild is None and (not all(is_paragraph) or bool(states))),
        settle=Visible(any(is_paragraph)),
        stop=Visible(rebuild is not None),
        progress=progress,
        clock=Ticking(rebuild is not None),
        rebuild=rebuild.id if rebuild else "",
    )


def _how_far(rebuild: Rebuild) -> str:
    what, done, total = rebuild.count
    return stale_html.rebuilding(what, done, total)


def _outcome(rebuild: Rebuild) -> str:
    if rebuild.made is not None:
        return stale_html.rebuilt(rebuild.made)
    if rebuild.stopped:
        told = gettext("Stopped. What was made again stands; the rest can be made later.")
        return write_html.status(told)
    return write_html.notice(rebuild.message)
