"""Fetching weights, with a bar on a terminal and two lines elsewhere."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storyloom.app import weights
from storyloom.app.settings import Settings
from storyloom.ui import output

OnProgress = Callable[[int, int], None]


def fetch_missing(settings: Settings, specs: Iterable[str]) -> None:
    """Fetch the weights that the models need and that are not here yet.

    Raises:
        ModelUnavailable: they can't be fetched.
    """
    for name in weights.missing(settings, specs):
        output.note(f"The model {name} isn't here yet and is fetched once.")
        fetch(settings, name)


def fetch(settings: Settings, name: str) -> Path:
    """Fetch a model's weights and say where they are.

    Raises:
        InvalidSetting: no model has that name.
        ModelUnavailable: they can't be fetched.
    """
    with _bar(name) as on_progress:
        path = weights.pull(settings, name, on_progress)
    output.note(f"The weights of {name} are in {path}.")
    return path


@contextmanager
def _bar(name: str) -> Iterator[OnProgress]:
    """A bar for bytes done and bytes in all on stderr; silent where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
