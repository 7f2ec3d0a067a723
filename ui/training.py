"""``models train``: how far it is, and what came of it."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

from storyloom.app import trainings
from storyloom.app.offline import stay_offline
from storyloom.app.settings import load_settings
from storyloom.ui import output
from storyloom.ui.bars import started_bars
from storyloom.ui.fetching import fetch_missing
from storyloom.ui.stopping import Stop

if TYPE_CHECKING:
    from storyloom.generators.longcontext.training.log import Logged
    from storyloom.generators.training import Trained

_LINE_SECONDS = 30.0


def train(
    folder: Path, text: Path | None, options: Mapping[str, Any], *, minutes: float | None, as_json: bool
) -> None:
    """Train a model's folder until it is done, the time is over or a signal comes; say how to go on."""
    settings = load_settings()
    named = [options["teacher"]] if options.get("teacher") else []
    stay_offline(named)
    fetch_missing(settings, named)
    with Stop() as stop, _Progress() as progress:

        def stopped() -> bool:
            # From here on a signal waits for the end of a step, which is then kept.
            stop.patient = True
            return stop.asked is not None

        trained = trainings.train(
            settings, folder, text, options, minutes=minutes, stopped=stopped, on_progress=progress.show
        )
    if as_json:
        output.emit(_document(trained))
    else:
        _say(trained)
    if stop.asked is not None and not trained.done:
        output.note("Stopped; what was learned is kept.")
        raise typer.Exit(stop.exit_code)


class _Progress:
    """A bar with the loss on a terminal; a line now and then elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._told = 0.0

    def __enter__(self) -> "_Progress":
        self._bar = started_bars(percent=True)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, step: "Logged", total: int) -> None:
        """Tell of a step."""
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("", total=total)
            told = f"step {step.step:,}, loss {step.loss:.3f}"
            self._bar.update(self._task, completed=step.tokens, description=told)
        elif time.monotonic() - self._told >= _LINE_SECONDS:
            self._told = time.monotonic()
            output.note(
                f"step {step.step:,}: {step.tokens:,} of {total:,} tokens, loss {step.loss:.3f} nats a token"
            )


def _document(trained: "Trained") -> dict[str, Any]:
    return {
        "spec": f"hf:{trained.folder}",
        "plan": trained.plan.as_json(),
        "tokens": trained.tokens,
        "total_tokens": trained.total,
        "steps": trained.steps,
        "loss": trained.loss,
        "seconds": trained.seconds,
        "done": trained.done,
        "plot": None if trained.picture is None else str(trained.picture),
    }


def _say(trained: "Trained") -> None:
    loss = "" if trained.loss is None else f", loss {trained.loss:.3f} nats a token"
    output.say(
        f"hf:{trained.folder}: {trained.tokens:,} of {trained.total:,} tokens in {trained.steps:,} steps"
        f"{loss}, {trained.seconds:,.0f} seconds."
    )
    if trained.picture is not None:
        output.say(f"Plot: {trained.picture}")
    if trained.done:
        output.note(f"It is trained. Write with it: storyloom write --model hf:{trained.folder} PREMISE")
    else:
        output.note(f"It isn't trained to its end. Go on with: storyloom models train {trained.folder}")
