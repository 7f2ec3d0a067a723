"""What edits have made stale, told beside the picked paragraph and made again beside the page."""

from dataclasses import dataclass, replace

from storyloom.ui.studio import paragraph_html, stale_html
from storyloom.ui.studio.languages import gettext, gettext_noop
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Ticking, Visible
from storyloom.ui.studio.write_html import notice, status
from storyloom.ui.studio.writing import Rebuild

_MAKING = gettext_noop("Making the memory again…")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page.

    Attributes:
        notice: what a person should be told.
        status: how far the making is, or what came of it, as HTML.
        stale: what is stale, as HTML.
        rebuild: the button that makes it again.
        stop_rebuild: the button that ends the making.
        clock: calls ``look`` while something is made.
        making: the id of the making that the page looks at.
        ended: changes where a making has ended, so that what shows memory shows it anew.
    """

    notice: str | None = None
    status: str | None = None
    stale: str | None = None
    rebuild: Visible | None = None
    stop_rebuild: Visible | None = None
    clock: Ticking | None = None
    making: str | None = None
    ended: str | None = None


def opened(house: House, place: Place) -> View:
    """What is stale just now; a making that is at work is looked at."""
    return _shown(house, place, house.writers.rebuild_of(place.strand_id))


def rebuild(house: House, place: Place) -> View:
    """Begin to make it again, in a thread of the server."""
    begun = house.writers.rebuild(house.studio, place.story_id, place.strand_id)
    return replace(_shown(house, place, begun), status=status(gettext(_MAKING)), notice="")


def look(house: House, place: Place, making: str) -> View:
    """How far the making is; once it has ended, what came of it: what was made before a failure stands."""
    found = house.writers.get(making)
    if not isinstance(found, Rebuild):
        return opened(house, place)
    if not found.done:
        return View(status=_how_far(found))
    view = replace(_shown(house, place, None), ended=found.id)
    if found.made is not None:
        return replace(view, status=stale_html.rebuilt(found.made))
    if found.stopped:
        told = gettext("Stopped. What was made again stands; the rest can be made later.")
        return replace(view, status=status(told))
    return replace(view, status="", notice=notice(found.message))


def stop(house: House, place: Place) -> View:
    """Ask the making to end; what was made stands."""
    found = house.writers.rebuild_of(place.strand_id)
    if found is None:
        return opened(house, place)
    found.stop()
    return View(status=status(gettext("Stopping…")))


def _shown(house: House, place: Place, at_work: Rebuild | None) -> View:
    stale = paragraph_html.stale(house.studio.editing.stale(place.story_id, place.strand_id))
    return View(
        stale=stale,
        rebuild=Visible(bool(stale) and at_work is None),
        stop_rebuild=Visible(at_work is not None),
        clock=Ticking(at_work is not None),
        making=at_work.id if at_work else "",
    )


def _how_far(at_work: Rebuild) -> str:
    if at_work.count[2]:
        return stale_html.rebuilding(*at_work.count)
    return status(gettext(_MAKING))
