"""Trains a model's folder on books, a slice at a time."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storyloom.app.conversions import local_target
from storyloom.app.settings import Settings
from storyloom.generators.cores import calm_openmp, physical_cores
from storyloom.memory.errors import InvalidSetting

if TYPE_CHECKING:
    from storyloom.generators.training import OnProgress, Trained


def train(
    settings: Settings,
    folder: Path,
    text: Path | None,
    options: Mapping[str, Any],
    *,
    minutes: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
    on_progress: "OnProgress | None" = None,
) -> "Trained":
    """Train a model, or go on where the last slice of its training ended.

    Args:
        settings: name the folder of the starter's weights, and how many threads compute.
        folder: the model's.
        text: a folder with books; None for that of the training that goes on.
        options: those of the plan that were given, by name; ``teacher`` is a SPEC, and ``lengths`` numbers
            with commas between them.
        minutes: how long this slice is; None for no limit.
        stopped: whether somebody asks to stop; what was learned is kept then.
        on_progress: is told of each step.

    Raises:
        InvalidSetting: what can't be; see ``train_folder``.
        InvalidText: no text, or none that can be read.
        ModelUnavailable: a model can't be loaded, a package is missing, or the checkpoint is damaged.
        StoreUnavailable: the disk is full.
    """
    if minutes is not None and minutes < 0:
        raise InvalidSetting(f"minutes is {minutes}; it must be 0 or more.")
    wanted = dict(options)
    if "lengths" in wanted:
        wanted["lengths"] = _lengths(wanted["lengths"])
    if wanted.get("teacher"):
        wanted["teacher"] = local_target(settings, wanted["teacher"], "teach")
    calm_openmp()
    from storyloom.generators.longcontext.training.loop import Limits
    from storyloom.generators.training import train_folder

    return train_folder(
        folder.expanduser(),
        None if text is None else text.expanduser(),
        wanted,
        limits=Limits(seconds=None if minutes is None else 60 * minutes, stopped=stopped),
        on_progress=on_progress,
        threads=settings.threads or physical_cores(),
    )


def _lengths(given: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in given.split(","))
    except ValueError as error:
        raise InvalidSetting(
            f"lengths is {given!r}; write numbers of tokens with commas between them, such as 512,2048."
        ) from error
