"""What happens while a story is written, told to whoever listens: a terminal, a page, a batch."""

from typing import Literal

from storyloom.memory.errors import StoryloomError
from storyloom.memory.story import Step, Story

Stage = Literal[
    "loading", "waiting", "outlining", "planning", "recalling", "writing", "remembering", "saving"
]


class Cancelled(StoryloomError):
    """The listener asked to stop; everything committed before stands."""


class Listener:
    """Hears everything and does nothing; a front overrides what it shows.

    Methods are called from the thread that writes and must return soon.
    """

    def on_story(self, story: Story) -> None:
        """The story was made, or got its title and outline."""

    def on_stage(self, stage: Stage, depth: int) -> None:
        """Work on the step at ``depth`` (0: before the first) entered a new stage."""

    def on_plan(self, plan: str, depth: int) -> None:
        """What shall happen in the step at ``depth`` was decided; the words come next."""

    def on_text(self, text: str) -> None:
        """The writer's next piece of the draw at hand."""

    def on_redraw(self, reason: str) -> None:
        """The draw at hand was thrown away; what follows starts the paragraph anew."""

    def on_step(self, step: Step) -> None:
        """A step was committed; its paragraph may be shorter than what was streamed."""

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Long work beside the writing: so many of ``what`` are done; ``done == total`` ends it.

        It may come from another thread than the writing.
        """

    def on_notice(self, text: str) -> None:
        """Something a person should know, and need not act on now."""

    def cancelled(self) -> bool:
        """Asked between pieces of text; True stops the writing."""
        return False


class Relay(Listener):
    """Passes everything on to another listener; an heir changes what it needs to."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def on_story(self, story: Story) -> None:
        """Pass it on."""
        self._listener.on_story(story)

    def on_stage(self, stage: Stage, depth: int) -> None:
        """Pass it on."""
        self._listener.on_stage(stage, depth)

    def on_plan(self, plan: str, depth: int) -> None:
        """Pass it on."""
        self._listener.on_plan(plan, depth)

    def on_text(self, text: str) -> None:
        """Pass it on."""
        self._listener.on_text(text)

    def on_redraw(self, reason: str) -> None:
        """Pass it on."""
        self._listener.on_redraw(reason)

    def on_step(self, step: Step) -> None:
        """Pass it on."""
        self._listener.on_step(step)

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Pass it on."""
        self._listener.on_progress(what, done, total)

    def on_notice(self, text: str) -> None:
        """Pass it on."""
        self._listener.on_notice(text)

    def cancelled(self) -> bool:
        """Ask the other."""
        return self._listener.cancelled()
