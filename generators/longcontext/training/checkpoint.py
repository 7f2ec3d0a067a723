"""What the next slice of a training needs: one file, which is there whole or not at all."""

import os
from pathlib import Path
from typing import Any

import torch

from storyloom.memory.errors import ModelUnavailable, StoreUnavailable

_NAME = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Keep a state of tensors, numbers, texts, lists and dictionaries, in the place of the one before.

    Raises:
        StoreUnavailable: it can't be written.
    """
    partial = folder / f".{_NAME}"
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / _NAME)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise StoreUnavailable(
            f"The training can't be kept in {folder}: {error}. Make room there; the same command goes on."
        ) from error


def load(folder: Path) -> dict[str, Any] | None:
    """What was kept last, or None; nothing in it is run.

    Raises:
        ModelUnavailable: it is damaged.
    """
    path = folder / _NAME
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return found
    except Exception as error:
        raise ModelUnavailable(
            f"{path} is damaged ({type(error).__name__}). Remove {folder} to train from the beginning."
        ) from error


def remove(folder: Path) -> None:
    """Forget it."""
    (folder / _NAME).unlink(missing_ok=True)
