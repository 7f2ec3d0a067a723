"""Bars on a terminal for long work that isn't writing: embedding, rebuilding."""

import sys
from types import TracebackType
from typing import Any

from storyloom.app.events import Listener
from storyloom.memory.story import Story
from storyloom.ui import output
from storyloom.ui.stopping import Stop


def started_bars(*, percent: bool = False) -> Any:
    """Rich's bars on stderr, already drawn; None where stderr is no terminal.

    Args:
        percent: tell how far it is as a share, not as a count.
    """
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    done = TaskProgressColumn() if percent else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), done, TimeRemainingColumn())
    bars = Progress(*columns, console=Console(stderr=True), transient=True)
    bars.start()
    return bars


class Bars(Listener):
    """Draws a bar on stderr for each kind of work; elsewhere a line says when it begins and ends.

    Args:
        stop: hears the signals; the work asks between its parts.

    Attributes:
        story: the story, once it was made.
    """

    def __init__(self, stop: Stop) -> None:
        self.story: Story | None = None
        self._stop = stop
        self._tasks: dict[str, Any] = {}
        self._bars: Any = None

    def __enter__(self) -> "Bars":
        self._stop.patient = True
        self._bars = started_bars()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.patient = False
        if self._bars is not None:
            self._bars.stop()

    def on_story(self, story: Story) -> None:
        """Keep the story, so that a stop can name it."""
        self.story = story

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Move the bar of this kind of work."""
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)
        elif what not in self._tasks or done == total:
            self._tasks[what] = None
            output.note(f"{what}: {done:,} of {total:,}")

    def on_notice(self, text: str) -> None:
        """Pass it on."""
        output.note(text)

    def cancelled(self) -> bool:
        """Whether a signal came."""
        return self._stop.asked is not None
