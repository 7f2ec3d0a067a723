"""``batch``: a file of stories, written to the end, however often it is broken off."""

import os
import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import typer

from storyloom.app import weights
from storyloom.app.batch.changes import changes
from storyloom.app.batch.engines import Engine, LocalEngine
from storyloom.app.batch.matrix import expand
from storyloom.app.batch.ray_engine import RayEngine, RayPlan
from storyloom.app.batch.reading import read_spec
from storyloom.app.batch.report import Report, report
from storyloom.app.batch.running import Enqueued, enqueue, export_missing, run
from storyloom.app.batch.snapshot import Snapshot, Watch
from storyloom.app.batch.spec import Spec
from storyloom.app.books import Books
from storyloom.app.offline import stay_offline
from storyloom.app.settings import Settings, load_settings
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.wiring import open_works
from storyloom.memory.errors import InvalidSetting
from storyloom.ui import batch_report, output
from storyloom.ui.batch_lines import BatchEvents, BatchLines
from storyloom.ui.batch_options import EngineName, Options
from storyloom.ui.boundary import PROBLEM
from storyloom.ui.fetching import fetch_missing
from storyloom.ui.stopping import Stop


def write(file: Path, options: Options) -> None:
    """Write a batch's stories to their end, and report on them."""
    spec = read_spec(file)
    planned = expand(spec, folder=file.parent)
    settings, crew_size = _settings(spec, options, len(planned))
    specs = weights.asked(settings, (one.order for one in planned))
    stay_offline(specs)
    with Stop() as stop, open_works(settings) as (shelf, studio):
        given = enqueue(shelf, spec.name, {one.key: one.order for one in planned})
        try:
            with _front(as_json=options.as_json) as front:
                for notice in given.notices:
                    front.notice(notice)
                watch = Watch(shelf.database, given.batch, given.keys)
                if not watch.take().ended:
                    fetch_missing(settings, specs)
                    if options.engine is EngineName.RAY:
                        crew = _ray_crew(
                            settings, specs, _plan(settings, options, crew_size, len(planned)), front
                        )
                    else:
                        crew = _local_crew(shelf, studio, crew_size, front)
                    _run(crew, watch, given, front, stop)
                for written in export_missing(studio, watch.take()):
                    front.notice(f"written again: {written}")
        except KeyboardInterrupt as error:
            raise _stopped(file, stop) from error
        found = report(shelf.database, given.batch, given.keys)
    _tell(found, options)
    if not found.whole:
        raise _stopped(file, stop) if stop.asked is not None else typer.Exit(PROBLEM)


def _local_crew(shelf: Shelf, studio: Studio, workers: int, front: BatchLines) -> Engine:
    """Threads of this process."""
    studio.warm_up()
    return LocalEngine(shelf.database, Books(studio), workers=workers, on_notice=front.notice)


def _ray_crew(settings: Settings, specs: Sequence[str], plan: RayPlan, front: BatchLines) -> Engine:
    """Processes of Ray."""
    return RayEngine(settings, specs, plan, on_notice=front.notice)


def _plan(settings: Settings, options: Options, workers: int, stories: int) -> RayPlan:
    """Each process writes as many stories side by side as it has slots, and no more than its share."""
    return RayPlan(
        workers=workers,
        stories=1 if settings.reproducible else min(settings.slots, ceil(stories / workers)),
        gpus=options.gpus_per_worker,
        address=options.ray_address,
    )


def _run(crew: Engine, watch: Watch, given: Enqueued, front: BatchLines, stop: Stop) -> None:
    """Let the workers write, and show how it goes; the first signal asks them to stop."""
    last: Snapshot | None = None

    def show(snapshot: Snapshot) -> None:
        nonlocal last
        front.show(snapshot, list(changes(last, snapshot)) if last else [])
        last = snapshot

    stop.patient = True
    run(crew, watch, given.batch, stopping=lambda: stop.asked is not None, on_snapshot=show)
    stop.patient = False


def _stopped(file: Path, stop: Stop) -> typer.Exit:
    """Say how to go on; the exit that tells of the signal."""
    output.note(f"Stopped; everything that was committed is kept. Go on with: storyloom batch {str(file)!r}")
    return typer.Exit(stop.exit_code)


def _settings(spec: Spec, options: Options, stories: int) -> tuple[Settings, int]:
    """The settings with a slot for each thread that writes, and how many workers there are.

    Raises:
        InvalidSetting: several workers are asked for where the text shall be the same each time.
    """
    settings = load_settings()
    asked = options.workers or spec.workers
    if spec.reproducible or settings.reproducible:
        if asked is not None and asked > 1:
            raise InvalidSetting(
                f"{asked} workers are asked for, and the batch is reproducible: beside other texts a model's "
                "words differ from run to run. Give --workers 1, or take `reproducible` out."
            )
        return load_settings(reproducible=True), 1
    if options.engine is EngineName.RAY:
        return settings, min(asked or 1, stories)
    count = asked or min(settings.slots, stories)
    return load_settings(slots=max(settings.slots, count)), count


def _front(*, as_json: bool) -> BatchLines:
    if as_json:
        return BatchEvents()
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return BatchLines()
    from rich.console import Console

    from storyloom.ui.batch_table import BatchTable

    return BatchTable(Console(highlight=False, markup=False, emoji=False))


def _tell(found: Report, options: Options) -> None:
    if options.report is not None:
        batch_report.write(found, options.report)
    if options.as_json:
        output.emit({"event": "report", **batch_report.document(found)}, indent=None)
    else:
        batch_report.show(found)
