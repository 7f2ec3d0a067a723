"""What the batches' tab shows. Knows no component."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from storyloom.app.batch.overview import Batches
from storyloom.ui.studio import batch_html, write_html
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Ticking


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the tab."""

    batches: str | None = None
    timer: Ticking | None = None
    notice: str | None = None


def opened(house: House, place: Place) -> View:
    """The tab was opened: it is looked at from now on."""
    return replace(looked(house, place), timer=Ticking(True))


def looked(house: House, _place: Place) -> View:
    """The batches as they stand."""
    return View(batches=batch_html.batches(Batches(house.studio.shelf).overview()))


def cancel(house: House, place: Place, picked: Mapping[str, str]) -> View:
    """End a story's writing; what is written of it stays."""
    ended = Batches(house.studio.shelf).cancel(picked.get("task", ""))
    told = "" if ended else write_html.notice(gettext("Nothing is written there any more."))
    return replace(looked(house, place), notice=told)
