"""Writing beside the page: a thread a request, watched by whoever looks, ended by Stop alone.

A closed tab only stops watching: the paragraph is finished and committed, and the next look finds it.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from storyloom.app.beginning import Beginning
from storyloom.app.drafting import DraftListener, draft
from storyloom.app.events import Cancelled, Stage
from storyloom.app.rebuilding import Rebuilt
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import StoryloomError
from storyloom.memory.story import Step, Story, Strand
from storyloom.ui.meter import Meter
from storyloom.ui.studio.languages import gettext, gettext_noop

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 32
# A stopped draft ends at its next word.
_END_SECONDS = 60.0
# A finished writing is kept for the pages that still look at it.
_KEPT = 256
_UNFORESEEN = gettext_noop(
    "Something went wrong that Storyloom didn't foresee; the terminal that runs it says more. "
    "Everything written before is kept: try again, or reload the page."
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a writing is, at one moment.

    Attributes:
        stage: what is being done.
        depth: the paragraph that is written.
        text: its words so far.
        story_id: the story, once it is known.
        strand_id: the strand, once it is known.
        title: a new story's title, once it has one.
        plan: what shall happen in the paragraph, once that is decided.
        speed: tokens a second; 0 before it is known.
    """

    stage: Stage = "loading"
    depth: int = 0
    text: str = ""
    story_id: str = ""
    strand_id: str = ""
    title: str = ""
    plan: str = ""
    speed: float = 0.0


class Writing(DraftListener):
    """One request to write, as the page sees it. Written by its own thread, read by any.

    Attributes:
        id: names it.
        owner: whose it is; nobody else's pages find it.
        wish: what is asked of the paragraph.
        instead_of: the strand that it was begun from, to write another version of a paragraph of it.
        is_turn: it was asked for by a reader who plays: the words asked with go back there if it fails.
        progress: how far it is.
        steps: what it has committed.
    """

    def __init__(
        self,
        *,
        story_id: str = "",
        strand_id: str = "",
        wish: Wish | None = None,
        instead_of: str = "",
        is_turn: bool = False,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.owner = ""
        self.instead_of = instead_of
        self.is_turn = is_turn
        self.wish = wish or Wish()
        self.progress = Progress(story_id=story_id, strand_id=strand_id, plan=self.wish.plan)
        self.steps: tuple[Step, ...] = ()
        self._meter = Meter()
        self._stop = threading.Event()
        self._result: Future[None] | None = None

    def ends_with(self, result: Future[None]) -> None:
        """Learn where the thread's end will be told."""
        self._result = result

    def stop(self) -> None:
        """Ask it to end; what is committed stands."""
        self._stop.set()

    @property
    def done(self) -> bool:
        """Whether the thread has ended."""
        return self._result is not None and self._result.done()

    @property
    def error(self) -> BaseException | None:
        """What ended it before its time, once it has ended."""
        return self._result.exception() if self._result is not None and self._result.done() else None

    def ended_within(self, seconds: float) -> bool:
        """Wait that long for its end."""
        return self._result is not None and not wait([self._result], timeout=seconds).not_done

    @property
    def stopped(self) -> bool:
        """Whether it ended because it was asked to."""
        return isinstance(self.error, Cancelled)

    @property
    def message(self) -> str:
        """What a person should be told about how it ended; empty when all is well."""
        if self.error is None or self.stopped:
            return ""
        return str(self.error) if isinstance(self.error, StoryloomError) else gettext(_UNFORESEEN)

    def on_story(self, story: Story) -> None:
        """The story was made, or got its title."""
        self._show(story_id=story.id, title=story.title)

    def on_stage(self, stage: Stage, depth: int) -> None:
        """Something else is being done."""
        self._show(stage=stage, depth=depth)

    def on_plan(self, plan: str, depth: int) -> None:
        """What shall happen is decided."""
        self._show(plan=plan, depth=depth)

    def on_text(self, text: str) -> None:
        """The next words."""
        self._meter.add()
        self._show(text=self.progress.text + text, speed=self._meter.speed)

    def on_redraw(self, reason: str) -> None:  # noqa: ARG002  (the reason stands in the provenance)
        """The words so far were thrown away."""
        self._show(text="")

    def on_step(self, step: Step) -> None:
        """A paragraph was committed."""
        self.steps += (step,)

    def cancelled(self) -> bool:
        """Whether Stop was pressed."""
        return self._stop.is_set()

    def on_strand(self, strand: Strand) -> None:
        """The draft's strand is known."""
        self._show(strand_id=strand.id)

    def placed(self, story_id: str, strand_id: str) -> None:
        """The strand that is written is known."""
        self._show(story_id=story_id, strand_id=strand_id)

    def _show(self, **changed: Any) -> None:
        self.progress = replace(self.progress, **changed)


@dataclass(frozen=True, slots=True)
class Drafting:
    """Drafts of one paragraph, written one after another in one thread: a model reads what they share once.

    Attributes:
        id: names them.
        owner: whose they are; nobody else's pages find them.
        strand_id: the strand whose next paragraph they could be.
        at: its last paragraph.
        writings: a draft a plan; each has its strand once its turn has come.
    """

    id: str
    owner: str
    strand_id: str
    at: int
    writings: tuple[Writing, ...]

    @property
    def done(self) -> bool:
        """Whether all have ended."""
        return all(writing.done for writing in self.writings)

    def stop(self) -> None:
        """Ask all to end; what is committed stands."""
        for writing in self.writings:
            writing.stop()


class Rebuild(Writing):
    """One request to make again what edits made stale. It writes nothing: its strand can be written on.

    Attributes:
        rebuilt_strand: the strand.
        made: what was made, once it has ended well.
        count: what is being made, how many are done, and of how many.
    """

    def __init__(self, strand_id: str) -> None:
        super().__init__()
        self.rebuilt_strand = strand_id
        self.made: Rebuilt | None = None
        self.count = ("", 0, 0)

    def on_progress(self, what: str, done: int, total: int) -> None:
        """So much is done."""
        self.count = (what, done, total)


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
            self._writings[writing.id] = writing
        result = (threads or self._threads).submit(write, writing)
        writing.ends_with(result)
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
