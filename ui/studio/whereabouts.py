"""Which strand each open page is at, so that no late answer brings a page back to one that it has left."""

from collections import OrderedDict
from threading import Lock
from time import monotonic

from storyloom.ui.studio.place import Place

_MOST = 10_000  # pages that are remembered; of one that is forgotten every answer fits
# Seconds in which Gradio has surely put an answer's place where the next handler finds it.
_SETTLED = 2.0


class Whereabouts:
    """Remembers where answers have brought each page.

    Gradio runs a page's handlers side by side and shows their answers as they come. What was begun at one
    strand, such as the settling of a paragraph, may be done when the reader has gone to another: shown then,
    it would lead the next edit to the strand that was left.
    """

    def __init__(self) -> None:
        # Each page's strand, and since when.
        self._strands: OrderedDict[str, tuple[tuple[str, str], float]] = OrderedDict()
        self._lock = Lock()

    def fits(self, page: str | None, begun_at: Place, brings_to: Place | None, *, began: float) -> bool:
        """Whether an answer may still be shown; if so, the page is where it brings it.

        What began long after the page came to its strand knows better where it is than is remembered here.

        Args:
            page: the page's own name, of ``gr.Request.session_hash``; None for what is no page.
            begun_at: where the page was when it asked.
            brings_to: the place in the answer; None where there is none.
            began: when it asked, by ``time.monotonic``.
        """
        if page is None:
            return True
        there = None if brings_to is None else _strand(brings_to)
        with self._lock:
            now, since = self._strands.get(page, (None, 0.0))
            has_left = bool(now and begun_at.strand_id) and _strand(begun_at) != now
            if has_left and there != now and began < since + _SETTLED:
                return False
            if there is not None:
                self._strands[page] = there, since if there == now else monotonic()
                self._strands.move_to_end(page)
                if len(self._strands) > _MOST:
                    self._strands.popitem(last=False)
        return True


def _strand(place: Place) -> tuple[str, str]:
    return place.story_id, place.strand_id
