"""Progress on a terminal: the paragraph at hand streams in place, and stands when it is committed."""

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.text import Text

from storyloom.app.events import Stage
from storyloom.memory.story import Step, Story
from storyloom.ui.meter import Meter
from storyloom.ui.output import printable
from storyloom.ui.progress import Progress
from storyloom.ui.stopping import Stop

_FRAMES_A_SECOND = 8
# Lines of the terminal that the draft leaves free: the plan, the status and some air.
_LINES_LEFT_FREE = 6
_FEWEST_LINES = 3


class LiveProgress(Progress):
    """Draws the draft at hand at the terminal's end; a redraw replaces it, a commit settles it.

    Args:
        stop: hears the signals.
        console: the terminal.
    """

    def __init__(self, stop: Stop, console: Console) -> None:
        super().__init__(stop)
        self._console = console
        self._draft = Draft()
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=_FRAMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def on_story(self, story: Story) -> None:
        """Print title and outline, once both are there."""
        super().on_story(story)
        if story.outline:
            self._print(Text(printable(story.title), style="bold"))
            self._print(Text(printable(story.outline), style="italic"))

    def on_plan(self, plan: str, depth: int) -> None:
        """A new paragraph begins."""
        super().on_plan(plan, depth)
        self._draft = Draft(plan, self._draft.beside)

    def on_text(self, text: str) -> None:
        """Show it at the next frame."""
        super().on_text(text)
        self._draft.add(text)

    def on_redraw(self, reason: str) -> None:
        """The draft goes; its plan stays."""
        super().on_redraw(reason)
        self._draft.restart()

    def on_step(self, step: Step) -> None:
        """The paragraph stands as it was stored."""
        super().on_step(step)
        speed = self._draft.speed
        self._draft = Draft(beside=self._draft.beside)
        self._print(Text(printable(f"{step.depth}. {step.plan}"), style="dim"))
        self._print(Text(printable(step.paragraph)))
        if speed:
            self._print(Text(f"{step.seconds:.1f} s, {speed:.0f} tokens/s", style="dim"))

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Work beside the writing: shown under the draft at the next frame."""
        self._draft.beside = f"{what}: {done:,} of {total:,}" if done < total else ""

    def on_notice(self, text: str) -> None:
        """Print it above the draft."""
        self._print(Text(printable(text), style="yellow"))

    def on_stage(self, stage: Stage, depth: int) -> None:
        """A draft that was written stays in sight until it is saved."""
        super().on_stage(stage, depth)
        self._draft.is_streaming = stage == "writing"

    def show_stage(self, doing: str) -> None:
        """Shown under the draft at the next frame."""
        self._draft.doing = doing

    def close(self) -> None:
        """Take the draft away; what was printed stands."""
        self._live.stop()

    def _print(self, text: Text) -> None:
        self._console.print(text, end="\n\n")

    def _render(self) -> RenderableType:
        return self._draft


class Draft:
    """The paragraph at hand, its plan and what goes on, as rich draws it."""

    def __init__(self, plan: str = "", beside: str = "") -> None:
        self.doing = ""
        self.beside = beside
        self.is_streaming = False
        self._plan = plan
        self._text = ""
        self._meter = Meter()

    def add(self, text: str) -> None:
        """A piece came."""
        self._text += text
        self._meter.add()

    def restart(self) -> None:
        """The text so far was thrown away; the speed is still worth knowing."""
        self._text = ""

    @property
    def speed(self) -> float:
        """Tokens a second, as far as is known."""
        return self._meter.speed

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> "list[RenderableType]":
        """The newest lines of the text that fit, under the plan and over the status."""
        parts: list[RenderableType] = []
        if self._plan:
            parts.append(Text(printable(self._plan), style="dim"))
        if self._text:
            lines = Text(printable(self._text)).wrap(console, options.max_width)
            room = max(_FEWEST_LINES, console.height - _LINES_LEFT_FREE)
            parts.append(Text("\n").join(lines[-room:]))
        meter = f" · {self.speed:.0f} tokens/s" if self.is_streaming and self.speed else ""
        doing = f"{self.doing} …{meter}" if self.doing else ""
        parts.append(Text("   ".join(part for part in (doing, self.beside) if part), style="dim"))
        return [Group(*parts)]
