"""Writing beside the page: a thread a request, watched by whoever looks, ended by Stop alone.

A closed tab only stops watching: the paragraph is finished and committed, and the next look finds it.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from typing import Any, TypeVar

from storyloom.app.beginning import Beginning
from storyloom.app.drafting import draft
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import StoryloomError
from storyloom.ui.studio.writing import Drafting, Rebuild, Writing

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 32
# A stopped draft ends at its next word.
_END_SECONDS = 60.0
# A finished writing is kept for the pages that still look at it.
_KEPT = 256


W = TypeVar("W", bound=Writing)


class Writers:
    """The writings of one owner, among those of all the server's pages."""

    def __init__(self) -> None:
        self._owner = ""
        self._threads = ThreadPoolExecutor(max_workers=MOST_AT_ONCE, thread_name_prefix="writing")
        self._lock = threading.Lock()
        self._rebuilding = threading.Lock()
        self._writings: dict[str, Writing] = {}
        self._draftings: dict[str, Drafting] = {}

    def of_owner(self, owner: str) -> "Writers":
        """The same writers for somebody else: threads are shared, and neither finds the other's writings."""
        theirs = copy(self)
        theirs._owner = owner
        return theirs

    def begin(self, studio: Studio, beginning: Beginning) -> Writing:
        """Start a story and write its first paragraph."""

        def write(writing: Writing) -> None:
            begun = studio.begin(beginning, writing)
            writing.placed(begun.story.id, begun.strand.id)
            for _ in studio.write(begun.story.id, writing, strand=begun.strand.id):
                pass

        return self.start(Writing(), write)

    def go_on(self, studio: Studio, story_id: str, strand_id: str, wish: Wish, **asked: Any) -> Writing:
        """Write the next paragraph of a strand; ``asked`` as ``Writing``'s other arguments."""

        def write(writing: Writing) -> None:
            for _ in studio.write(story_id, writing, wish=wish, strand=strand_id):
                pass

        writing = Writing(story_id=story_id, strand_id=strand_id, wish=wish, **asked)
        return self.start(writing, write)

    def draft(self, studio: Studio, story_id: str, strand_id: str, at: int, plans: Sequence[str]) -> Drafting:
        """Write the paragraph after ``at`` by each of the plans, in their order."""
        writings = tuple(Writing(story_id=story_id, wish=Wish(plan=plan)) for plan in plans)
        drafting = Drafting(secrets.token_hex(8), self._owner, strand_id, at, writings)
        with self._lock:
            for old in [one.id for one in self._draftings.values() if one.done][:-_KEPT]:
                del self._draftings[old]
            self._draftings[drafting.id] = drafting

        def write(writing: Writing) -> None:
            draft(studio, story_id, writing.wish.plan, writing, at=at, strand=strand_id)

        one = ThreadPoolExecutor(max_workers=1, thread_name_prefix="drafts")
        for writing in writings:
            self.start(writing, write, one)
        one.shutdown(wait=False)
        return drafting

    def drafting(self, drafting_id: str) -> Drafting | None:
        """Drafts by their id."""
        with self._lock:
            found = self._draftings.get(drafting_id)
            return found if found is not None and found.owner == self._owner else None

    def drafting_of(self, strand_id: str, at: int) -> Drafting | None:
        """The last drafts of the paragraph after ``at``, if any."""
        with self._lock:
            wanted = (self._owner, strand_id, at)
            found = reversed(self._draftings.values())
            return next((one for one in found if (one.owner, one.strand_id, one.at) == wanted), None)

    def forget(self, drafting: Drafting) -> None:
        """Offer the drafts no more; their strands stay."""
        with self._lock:
            self._draftings.pop(drafting.id, None)

    def rebuild(self, studio: Studio, story_id: str, strand_id: str) -> Rebuild:
        """Make again what is stale on a strand; a making that is at work on it goes on instead."""

        def make(rebuild: Rebuild) -> None:
            rebuild.made = studio.rebuilding.rebuild(story_id, rebuild, strand_id)

        with self._rebuilding:
            at_work = self.rebuild_of(strand_id)
            return at_work or self.start(Rebuild(strand_id), make)

    def rebuild_of(self, strand_id: str) -> Rebuild | None:
        """The making again that is at work on a strand, if any."""
        with self._lock:
            found = (one for one in self._at_work() if isinstance(one, Rebuild))
            return next((one for one in found if one.rebuilt_strand == strand_id), None)

    def get(self, writing_id: str) -> Writing | None:
        """A writing by its id; None when it is unknown, somebody else's or long done."""
        with self._lock:
            found = self._writings.get(writing_id)
            return found if found is not None and found.owner == self._owner else None

    def of_strand(self, strand_id: str) -> Writing | None:
        """The writing that is at work on a strand, if any."""
        if not strand_id:  # as it is of those that write on none
            return None
        with self._lock:
            return next((one for one in self._at_work() if one.progress.strand_id == strand_id), None)

    def start(self, writing: W, write: Callable[[W], None], threads: ThreadPoolExecutor | None = None) -> W:
        """Do a piece of work in a thread, of ``threads`` where they are given; ``get`` finds it."""
        writing.owner = self._owner
        with self._lock:
            for old in [one.id for one in self._writings.values() if one.done][:-_KEPT]:
                del self._writings[old]
            # Nobody may find one whose end isn't told yet.
            result = (threads or self._threads).submit(write, writing)
            writing.ends_with(result)
            self._writings[writing.id] = writing
        result.add_done_callback(_log_unforeseen)
        return writing

    def close(self) -> None:
        """Stop every writing, whoever's it is, and wait until each has kept what it has."""
        with self._lock:
            for writing in self._writings.values():
                writing.stop()
        self._threads.shutdown(wait=True)
        for drafting in self._draftings.values():
            for writing in drafting.writings:
                writing.ended_within(_END_SECONDS)

    def _at_work(self) -> Iterator[Writing]:
        return (one for one in self._writings.values() if one.owner == self._owner and not one.done)


def _log_unforeseen(result: Future[None]) -> None:
    error = result.exception()
    if error is not None and not isinstance(error, StoryloomError):
        _log.error("A paragraph could not be written.", exc_info=error)
