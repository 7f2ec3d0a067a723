"""Measures what a model remembers of long texts, and what it costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from storyloom.app.events import Cancelled, Listener
from storyloom.app.settings import Settings
from storyloom.generators.spec import gguf_path, parse_spec
from storyloom.memory.errors import InvalidSetting, StoreUnavailable

if TYPE_CHECKING:
    from storyloom.generators.evaluation import Evaluation

ALL = "all"


def spec_of(given: str) -> str:
    """A SPEC, or a folder as one."""
    return f"hf:{given}" if Path(given).expanduser().is_dir() else given


def evaluate(
    settings: Settings, spec: str, suite: str, *, plot: Path | None, listener: Listener, **asked: Any
) -> tuple["Evaluation", dict[str, Path]]:
    """Measure a model, and draw what was measured.

    Args:
        settings: name the folders and the number of threads.
        spec: of a model whose weights are here: ``starter``, ``gguf:PATH`` or ``hf:REPO_OR_DIR``.
        suite: one of the suites, or ``all``.
        plot: file of the chart, which ends in .svg; of several suites each gets its own beside it. None for
            the data folder.
        listener: hears how far it is.
        asked: what else the generators' ``Asked`` has.

    Returns:
        What was measured, and the charts' files by suite.

    Raises:
        InvalidSetting: a SPEC, suite, number or file that can't be, or a model of another kind.
        InvalidText: no text in the folder, or none that is long enough.
        ModelUnavailable: the model can't be loaded, or needs more memory than there is.
        StoreUnavailable: a chart can't be written.
        Cancelled: the listener asked to stop.
    """
    named = parse_spec(spec)
    if named.kind not in ("starter", "gguf", "hf"):
        raise InvalidSetting(
            f"{spec} can't be measured, since its weights aren't here. Name a folder, starter, gguf:PATH or "
            "hf:REPO_OR_DIR."
        )
    target = named.target if named.kind == "hf" else str(gguf_path(named, settings.models_dir))
    from storyloom.generators import evaluation

    chosen = evaluation.SUITES if suite == ALL else (suite,)
    wanted = evaluation.Asked(suites=chosen, **asked)
    files = {one: _file(settings, spec, plot, one, several=len(chosen) > 1) for one in chosen}

    def tell(what: str, done: int, total: int) -> None:
        if listener.cancelled():
            raise Cancelled("Stopped; nothing was kept.")
        listener.on_progress(what, done, total)

    found = evaluation.evaluate(
        target, wanted, cache=settings.home / "tokens", threads=settings.threads, tell=tell
    )
    for one, file in files.items():
        _write(file, found.charts[one])
    return found, files


def _file(settings: Settings, spec: str, plot: Path | None, suite: str, *, several: bool) -> Path:
    """Where a chart goes; its folder is made now, before hours of work."""
    if plot is None:
        name = Path(spec.partition(":")[2] or spec).name
        file = settings.home / "evaluations" / f"{name}-{suite}.svg"
    else:
        file = plot.expanduser()
        if file.suffix.lower() != ".svg":
            raise InvalidSetting(f"The plot {file} isn't an SVG file. Let its name end in .svg.")
        file = file.with_stem(f"{file.stem}-{suite}") if several else file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(file, error) from error
    return file


def _write(file: Path, chart: str) -> None:
    try:
        file.write_text(chart, encoding="utf-8")
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"The plot {file} can't be written: {error.strerror or error}. Name another file."
    )
