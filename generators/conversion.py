"""Converts a pretrained LLaMA into a long-context family's model, from its files into a new folder."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storyloom.generators.hf_loading import Source, load_source
from storyloom.generators.longcontext.convert import check_family, converted
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.rope import Rope
from storyloom.memory.errors import InvalidSetting, StoreUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What was made.

    Attributes:
        folder: where it is.
        family: its name.
        layers: indices of the layers with a memory.
        window: how many tokens attention sees; None for all.
        parameters: how many weights it has.
        new: how many of them the source hasn't.
    """

    folder: Path
    family: str
    layers: tuple[int, ...]
    window: int | None
    parameters: int
    new: int


def convert(
    target: str,
    family: str,
    folder: Path,
    *,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    rope: Rope | None = None,
) -> Converted:
    """Convert a model and save it with its tokenizer; the folder appears whole or not at all.

    Args:
        target: a hub id, a local folder or the path of a .gguf file, of a LLaMA.
        family: one of ``FAMILIES``.
        folder: where to save it; it mustn't exist.
        options: fields of the family's config; its own defaults otherwise.
        seed: what the new weights are drawn from.
        rope: how the new model shall read longer texts than the source; None for as it does.

    Raises:
        InvalidSetting: no such family, options or RoPE that can't be, or the folder exists.
        ModelUnavailable: the source can't be loaded, or is no LLaMA.
        StoreUnavailable: the folder can't be written.
    """
    check_family(family)
    if folder.exists():
        raise InvalidSetting(f"{folder} exists already. Name a new folder, or remove that one.")
    source = load_source(target, rope=rope)
    model = converted(source.model, family, options or {}, seed=seed)
    _save(model, source, folder)
    old = sum(weight.numel() for weight in source.model.parameters())
    count = sum(weight.numel() for weight in model.parameters())
    return Converted(
        folder=folder,
        family=family,
        layers=tuple(model.config.memory_layers or ()),
        window=model.config.sliding_window,
        parameters=count,
        new=count - old,
    )


def _save(model: LongContextForCausalLM, source: Source, folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            model.save_pretrained(made)
            source.tokenizer.save_pretrained(made)
            _describe(made, source)
            made.chmod(0o755)
            made.rename(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        raise StoreUnavailable(
            f"The model can't be saved in {folder}: {error.strerror or error}. Make room there, or name "
            "another folder."
        ) from error


def _describe(folder: Path, source: Source) -> None:
    """Keep what the source says of the ends of a text, which its weights don't."""
    defaults = {"eos_token_id": list(source.ends), "_from_model_config": False}
    (folder / "generation_config.json").write_text(json.dumps(defaults, indent=2) + "\n", encoding="utf-8")
