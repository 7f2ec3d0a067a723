"""A batch on a terminal: a row a story, drawn in place, and a line for all of them."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from storyloom.app.batch.changes import Change
from storyloom.app.batch.snapshot import Snapshot, StoryProgress
from storyloom.memory.orders import TaskState
from storyloom.ui.batch_lines import BatchLines
from storyloom.ui.batch_text import duration, standing, summary
from storyloom.ui.output import printable

_FRAMES_A_SECOND = 4
_BAR_WIDTH = 20
# Lines of the terminal that the rows leave free: the summary, what was left out, and some air.
_LINES_LEFT_FREE = 5
_FEWEST_ROWS = 3
# Who comes first where not all stories fit.
_IMPORTANCE = {
    TaskState.RUNNING: 0,
    TaskState.FAILED: 1,
    TaskState.CANCELLED: 1,
    TaskState.QUEUED: 2,
    TaskState.DONE: 3,
}


class BatchTable(BatchLines):
    """Draws each snapshot over the one before; used as a context manager.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: RenderableType = Text("")
        self._live = Live(
            console=console,
            get_renderable=lambda: self._rows,
            refresh_per_second=_FRAMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:  # noqa: ARG002  (the front's signature)
        """Draw it at the next frame."""
        self._rows = Rows(snapshot)

    def notice(self, text: str) -> None:
        """Print a line above the rows."""
        self._console.print(Text(printable(text), style="yellow"))


class Rows:
    """A snapshot as rich draws it, as many rows as the terminal has room for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        """The rows in the order of the file, and the summary under them."""
        room = max(_FEWEST_ROWS, console.height - _LINES_LEFT_FREE)
        shown = chosen(self._snapshot.stories, room)
        table = Table(
            Column(no_wrap=True, overflow="ellipsis", ratio=1),
            Column(no_wrap=True, justify="right"),
            Column(width=_BAR_WIDTH),
            Column(no_wrap=True, overflow="ellipsis", justify="right", max_width=24),
            box=None,
            show_header=False,
            expand=True,
            pad_edge=False,
        )
        for story in shown:
            table.add_row(*_row(story))
        yield table
        left_out = len(self._snapshot.stories) - len(shown)
        if left_out:
            yield Text(f"… and {left_out:,} more", style="dim")
        yield Text(summary(self._snapshot), style="bold")


def chosen(stories: tuple[StoryProgress, ...], room: int) -> list[StoryProgress]:
    """As many stories as there is room for, those that are being written first to be kept."""
    by_importance = sorted(range(len(stories)), key=lambda place: _IMPORTANCE[stories[place].task.state])
    return [stories[place] for place in sorted(by_importance[:room])]


def _row(story: StoryProgress) -> tuple[RenderableType, ...]:
    state = story.task.state
    bar = ProgressBar(total=1.0, completed=story.share, width=_BAR_WIDTH)
    return (
        Text(printable(story.task.key), style="dim" if state is TaskState.QUEUED else ""),
        Text(standing(story)),
        bar,
        _doing(story),
    )


def _doing(story: StoryProgress) -> Text:
    """Speed and time left of a story being written, or what became of it."""
    state = story.task.state
    if state is TaskState.FAILED:
        return Text("failed", style="red")
    if state is not TaskState.RUNNING:
        return Text("waits" if state is TaskState.QUEUED else state.value, style="dim")
    speed = f"{story.tokens_per_second:.0f} tokens/s" if story.tokens_per_second else ""
    left = duration(story.seconds_left) if story.seconds_left is not None else ""
    return Text("  ".join(part for part in (speed, left) if part) or "writing")
