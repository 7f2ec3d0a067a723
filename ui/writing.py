"""``write`` and ``continue``: a story grows on the terminal."""

import os
import sys
from collections import deque
from collections.abc import Callable

import typer

from storyloom.app.beginning import Beginning
from storyloom.app.events import Cancelled
from storyloom.app.given_text import checked_premise
from storyloom.app.offline import stay_offline
from storyloom.app.recurrence import Wish
from storyloom.app.settings import Settings, load_settings
from storyloom.app.studio import Studio
from storyloom.app.wiring import open_studio
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Mode
from storyloom.ui import given, output, shapes
from storyloom.ui.fetching import fetch_missing
from storyloom.ui.journals import mention_journals, waiting_journals
from storyloom.ui.progress import PrintedProgress, Progress
from storyloom.ui.stopping import Stop

Work = Callable[[Studio, Progress], None]


def beginning(premise: str, title: str, mode: Mode, language: str, style: str, seed: int | None) -> Beginning:
    """What a story starts from, read from files where the arguments name them.

    Raises:
        InvalidText: the premise is empty or too long, or a text isn't UTF-8.
    """
    return Beginning(
        premise=checked_premise(given.text(premise, "premise")),
        title=given.spoken(title, "title"),
        mode=mode,
        language=given.spoken(language, "language"),
        style=given.text(style, "style") if style != "-" else style,
        seed=seed,
    )


def wish(plan: str | None, choose: int | None) -> Wish:
    """What a person asked of the next step.

    Raises:
        InvalidText: a plan was given, and it is empty or not UTF-8.
    """
    if plan is None:
        return Wish(choice=choose)
    if not plan.strip():
        raise InvalidText("The plan is empty. Say what shall happen next, or leave --plan out.")
    return Wish(plan=given.spoken(plan, "plan"))


def write(start: Beginning, *, paragraphs: int, model: str | None, as_json: bool) -> None:
    """Start a story and write its first paragraphs."""
    settings = load_settings()
    with Stop() as stop, open_studio(settings) as studio:
        _prepare(settings, model or settings.model)
        studio.warm_up()

        def work(studio: Studio, progress: Progress) -> None:
            story = studio.begin(start, progress, model=model).story
            deque(studio.write(story.id, progress, paragraphs=paragraphs), maxlen=0)

        _run(studio, work, _Frame(settings, stop, paragraphs, as_json))


def go_on(
    reference: str, first: Wish, *, strand: str | None, paragraphs: int, model: str | None, as_json: bool
) -> None:
    """Write the next paragraphs of a story."""
    settings = load_settings()
    reference = given.spoken(reference, "story")
    with Stop() as stop, open_studio(settings) as studio:
        now = studio.show(reference, strand, last=0)
        _prepare(settings, model or now.story.settings.get("model") or settings.model)
        studio.warm_up()
        mention_journals(studio, now)

        def work(studio: Studio, progress: Progress) -> None:
            progress.story = now.story
            steps = studio.write(
                now.story.id, progress, paragraphs=paragraphs, wish=first, strand=now.strand.id, model=model
            )
            deque(steps, maxlen=0)

        branch = now.strand.id if now.strand.parent_id else None
        _run(studio, work, _Frame(settings, stop, paragraphs, as_json, branch))


class _Frame:
    """What surrounds the writing: how it is stopped, and how its end is told; ``strand`` names a branch."""

    def __init__(
        self, settings: Settings, stop: Stop, paragraphs: int, as_json: bool, strand: str | None = None
    ) -> None:
        self.stop = stop
        self.paragraphs = paragraphs
        self.as_json = as_json
        self.strand = strand
        self.place = settings.place


def _prepare(settings: Settings, spec: str) -> None:
    """Keep the libraries offline, and fetch what the models lack, before anything heavy is loaded."""
    specs = [settings.models.get("writer", spec), *settings.models.values()]
    stay_offline(specs)
    fetch_missing(settings, specs)


def _run(studio: Studio, work: Work, frame: _Frame) -> None:
    """Write, and tell what was kept however it ends."""
    progress = _progress(frame)
    try:
        try:
            work(studio, progress)
        finally:
            progress.close()
            if frame.as_json and progress.story is not None:
                shown = studio.show(progress.story.id, frame.strand, last=0)
                states = studio.neural_states(shown.story.id, shown.strand.id)
                output.emit(shapes.written(shown.story, shown.strand.id, progress.steps, states))
    except (Cancelled, KeyboardInterrupt) as error:
        _tell_stop(studio, progress, frame)
        raise typer.Exit(frame.stop.exit_code) from error
    except Exception:
        if progress.story is not None:
            output.note(f"{_kept(progress, frame)} {_how_to_go_on(progress.story.id, frame)}")
        raise
    if not frame.as_json:
        _tell_end(progress, frame)


def _progress(frame: _Frame) -> Progress:
    if frame.as_json:
        return Progress(frame.stop)
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return PrintedProgress(frame.stop)
    from rich.console import Console

    from storyloom.ui.live import LiveProgress

    return LiveProgress(frame.stop, Console(highlight=False, markup=False, emoji=False))


def _tell_end(progress: Progress, frame: _Frame) -> None:
    """The plans on offer, where the story is, and how to go on: beside the text when that goes to a file."""
    if progress.story is None or not progress.steps:
        return
    tell = output.say if sys.stdout.isatty() else output.note
    tell("What could come next:")
    for number, plan in enumerate(progress.steps[-1].plans, start=1):
        tell(f"  {number}. {plan.text}")
    tell(f"\nThe story {progress.story.id} is kept in {frame.place}.")
    tell(f"{_how_to_go_on(progress.story.id, frame)} (--choose 1, 2 or 3, or --plan TEXT, says what happens)")


def _tell_stop(studio: Studio, progress: Progress, frame: _Frame) -> None:
    if progress.story is None:
        output.note("Stopped before a story was made.")
        return
    story_id = progress.story.id
    strand = studio.show(story_id, frame.strand, last=0).strand
    in_flight = waiting_journals(studio, story_id, strand.id)
    words = (
        f" The words of the paragraph in flight are kept too: storyloom show {story_id} --journal."
        if in_flight
        else ""
    )
    output.note(f"Stopped. {_kept(progress, frame)}{words} {_how_to_go_on(story_id, frame)}")


def _kept(progress: Progress, frame: _Frame) -> str:
    return f"{len(progress.steps)} of {frame.paragraphs} paragraphs were written and are kept."


def _how_to_go_on(story_id: str, frame: _Frame) -> str:
    strand = f" --strand {frame.strand}" if frame.strand else ""
    return f"Go on with: storyloom continue {story_id}{strand}"
