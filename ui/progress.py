"""Progress without a terminal: stage lines beside the result, paragraphs when they are committed."""

from storyloom.app.events import Listener, Stage
from storyloom.memory.story import Step, Story
from storyloom.ui import output
from storyloom.ui.stopping import Stop

_DOING: dict[Stage, str] = {
    "loading": "loading the model",
    "waiting": "waiting for another writer of this strand",
    "outlining": "finding a title and an outline",
    "planning": "planning what could come next",
    "recalling": "recalling",
    "writing": "writing",
    "remembering": "bringing short-term memory up to date",
    "saving": "saving",
}

_MUCH = 100  # parts of other work that are worth a line


class Progress(Listener):
    """Keeps what was committed, says on stderr what goes on, and knows when stopping can wait.

    A signal that comes before a paragraph has words stops at once. While they come the writer asks
    ``cancelled`` between them, and once the paragraph stands its step is finished first.

    Args:
        stop: hears the signals.

    Attributes:
        story: the story, once it was made.
        steps: the steps that were committed, oldest first.
    """

    def __init__(self, stop: Stop) -> None:
        self.story: Story | None = None
        self.steps: list[Step] = []
        self._stop = stop
        self._drafted = False

    def on_story(self, story: Story) -> None:
        """Keep the story, so that a failure later can name it."""
        self.story = story

    def on_stage(self, stage: Stage, depth: int) -> None:
        """Say what goes on, and let a signal wait only behind a paragraph that stands."""
        self._drafted = self._drafted or stage in {"remembering", "saving"}
        self._stop.patient = self._drafted
        self.show_stage(f"step {depth}: {_DOING[stage]}" if depth else _DOING[stage])

    def on_text(self, text: str) -> None:  # noqa: ARG002  (the listener's signature)
        """Words come: whoever writes them asks ``cancelled`` before the next."""
        self._stop.patient = True

    def on_step(self, step: Step) -> None:
        """Keep a committed step."""
        self.steps.append(step)
        self._drafted = False

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Work beside the writing: a line when much of it begins, and one when that ends."""
        if total > _MUCH and done in {0, total}:
            output.note(f"{what}: {done:,} of {total:,}")

    def on_notice(self, text: str) -> None:
        """Pass it on."""
        output.note(text)

    def cancelled(self) -> bool:
        """Whether a signal came."""
        return self._stop.asked is not None

    def show_stage(self, doing: str) -> None:
        """A line a stage."""
        output.note(f"{doing} …")

    def close(self) -> None:
        """Nothing more will come."""


class PrintedProgress(Progress):
    """Prints title, outline and each paragraph once it is committed: for pipes and files."""

    def on_story(self, story: Story) -> None:
        """Print title and outline, once both are there."""
        super().on_story(story)
        if story.outline:
            output.say(f"{story.title}\n\n{story.outline}\n")

    def on_step(self, step: Step) -> None:
        """Print the paragraph as it was stored."""
        super().on_step(step)
        output.say(f"{step.paragraph}\n")
