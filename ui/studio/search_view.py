"""A question to long-term memory, on the page."""

from dataclasses import dataclass

from storyloom.app.embedding import FEW, PASSAGES
from storyloom.app.events import Listener
from storyloom.memory.errors import StoryloomError
from storyloom.ui.studio import search_html, write_html
from storyloom.ui.studio.languages import gettext, ngettext
from storyloom.ui.studio.place import House, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page: what was found, as HTML."""

    notice: str | None = None
    hits: str | None = None


class _Lack(Listener):
    """Hears how many passages have no vectors yet, where that is worth telling."""

    def __init__(self) -> None:
        self.passages = 0

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Many vectors are being made in the background."""
        if what == PASSAGES and not done and total > FEW:
            self.passages = total

    @property
    def told(self) -> str:
        """What a search lacks, if anything."""
        if not self.passages:
            return ""
        return ngettext(
            "{number} passage is found by its words only: its vector is being made.",
            "{number} passages are found by their words only: their vectors are being made.",
            self.passages,
        )


def looking(house: House, place: Place) -> View:  # noqa: ARG001  (every handler takes both)
    """Say that it is searched; the embedder's first load takes seconds."""
    return View(notice="", hits=write_html.status(gettext("Looking back through the story…")))


def search(house: House, place: Place, query: str) -> View:
    """Ask; best hits first."""
    lack = _Lack()
    try:
        found = house.studio.remembering.search(place.story_id, query, place.strand_id, lack)
    except StoryloomError as error:
        return View(notice=write_html.notice(str(error)), hits="")
    return View(notice="", hits=search_html.hits(found, lack.told))
