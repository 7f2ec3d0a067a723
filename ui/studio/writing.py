"""What is being written, as a page sees it: written by a thread of its own, read by any."""

import secrets
import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Any

from storyloom.app.drafting import DraftListener
from storyloom.app.events import Cancelled, Stage
from storyloom.app.rebuilding import Rebuilt
from storyloom.app.recurrence import Wish
from storyloom.memory.errors import StoryloomError
from storyloom.memory.story import Step, Story, Strand
from storyloom.ui.meter import Meter
from storyloom.ui.studio.languages import gettext, gettext_noop

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
