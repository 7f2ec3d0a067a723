"""Puts trained weights in the place of a model's old ones: its folder can be loaded at every moment.

New weights are first saved whole, in one file, which then takes the old one's name. A kill on the way is
made good by the next call of ``settle``.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel

from storyloom.memory.errors import StoreUnavailable

RECORD = "training.json"

_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"
_SAVED = "saved"
_ONE_FILE = "1000TB"


def save(model: PreTrainedModel, record: dict[str, Any], folder: Path, work: Path) -> None:
    """Replace the weights in a model's folder, and keep what is recorded of their training beside them.

    Args:
        model: whole, in the dtype to save.
        record: a JSON document.
        folder: the model's; all but its weights and its config stays as it is.
        work: a folder in it for what isn't whole yet.

    Raises:
        StoreUnavailable: it can't be written; the old weights are still there.
    """
    saved = work / _SAVED
    try:
        shutil.rmtree(saved, ignore_errors=True)
        model.save_pretrained(saved, max_shard_size=_ONE_FILE)
        _flush(saved / _WEIGHTS)
        _write(saved / RECORD, json.dumps(record, indent=2) + "\n")
        settle(folder, work)
    except (OSError, SafetensorError) as error:
        raise StoreUnavailable(
            f"The trained model can't be saved in {folder}: {error}. Make room there; the same command "
            "goes on."
        ) from error


def settle(folder: Path, work: Path) -> bool:
    """Move what was saved whole to its place; whether there was something.

    The record is written last when saving and moved last here: where it is, the weights are whole, in one of
    the two places.
    """
    saved = work / _SAVED
    if not (saved / RECORD).is_file():
        return False
    # The config is another only where a hybrid's attention was dropped.
    for name in (_WEIGHTS, _CONFIG):
        if (saved / name).is_file():
            (saved / name).replace(folder / name)
    # Loaders prefer the one file to a row of parts, which would only be old now.
    (folder / f"{_WEIGHTS}.index.json").unlink(missing_ok=True)
    for part in folder.glob("model-*-of-*.safetensors"):
        part.unlink()
    (saved / RECORD).replace(folder / RECORD)
    shutil.rmtree(saved, ignore_errors=True)
    return True


def recorded(folder: Path) -> dict[str, Any]:
    """What is recorded of a model's last training that came to its end; empty where there is none."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def weights_digest(folder: Path) -> str:
    """SHA-256 over a model's files of weights, in hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    _flush(partial)
    partial.replace(path)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
