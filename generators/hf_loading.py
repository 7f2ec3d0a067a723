"""Loads a transformers model and its tokenizer: a hub id, a folder or a GGUF file.

Never a pickle, and never code that comes with a model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from storyloom.generators.gguf_format import read_head
from storyloom.generators.hf_rope import context_length, extend, settle
from storyloom.generators.rope import Rope
from storyloom.memory.errors import ModelUnavailable


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to write.

    Attributes:
        model: on its device, in evaluation mode, with no sampling defaults of its own.
        tokenizer: the model's.
        ends: ids of the tokens that end a text.
        trained_context: how many tokens it was trained with, or may read with another RoPE; None where it
            doesn't tell.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    ends: tuple[int, ...]
    trained_context: int | None


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it was saved, to be made into another.

    Attributes:
        model: on the CPU, in the dtype of its weights (float32 for a .gguf file).
        tokenizer: the model's.
        ends: ids of the tokens that end a text.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    ends: tuple[int, ...]


def load_source(target: str, *, rope: Rope | None = None) -> Source:
    """Load a model as it was saved.

    Args:
        target: a hub id, a local folder, or the path of a .gguf file.
        rope: how it shall read longer texts than it was trained with; None for as it is.

    Raises:
        ModelUnavailable: missing, damaged, pickled, or not to be fetched.
        InvalidSetting: its RoPE can't be changed so.
    """
    dtype: Any = torch.float32 if target.endswith(".gguf") else "auto"
    model, tokenizer = _read(target, "cpu", dtype, rope)
    return Source(model, tokenizer, _ends(model, tokenizer))


def load(target: str, *, exact: bool = False, rope: Rope | None = None) -> Loaded:
    """Load on the GPU in bfloat16 (float16 where it lacks that), else on the CPU in float32.

    Args:
        target: a hub id, a local folder, or the path of a .gguf file.
        exact: float32 on the GPU too.
        rope: how it shall read longer texts than it was trained with; None for as it is.

    Raises:
        ModelUnavailable: missing, damaged, pickled, too large for the memory, or not to be fetched.
        InvalidSetting: its RoPE can't be changed so.
    """
    device, dtype = _device(exact=exact)
    model, tokenizer = _read(target, device, dtype, rope)
    ends = _ends(model, tokenizer)
    # A model may bring sampling defaults; only what a request asks for may draw.
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=list(ends) or None,
        pad_token_id=ends[0] if ends else 0,
        bos_token_id=tokenizer.bos_token_id,
    )
    return Loaded(model, tokenizer, ends, context_length(model.config.get_text_config()))


def _read(target: str, device: str, dtype: Any, rope: Rope | None) -> tuple[Any, Any]:
    """The model in evaluation mode, and its tokenizer."""
    # This registers the models that this project makes, too.
    from storyloom.generators.longcontext.mamba_mixers import use_our_scan

    where = _where(target)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(**where, trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(
            **where, dtype=dtype, trust_remote_code=False, use_safetensors=True
        )
        if rope is not None:
            extend(model, rope)
        settle(model)  # a model may bring a dynamic RoPE of its own
        use_our_scan(model)
        return model.to(device).eval(), tokenizer
    except torch.OutOfMemoryError as error:
        raise ModelUnavailable(
            f"{target} doesn't fit the memory of {device}. Use a smaller model, or a "
            "quantised one by gguf:PATH."
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelUnavailable(_told(target, error)) from error


def _where(target: str) -> dict[str, str]:
    """The target in from_pretrained's words."""
    path = Path(target).expanduser()
    if path.suffix == ".gguf":
        read_head(path)  # a missing or damaged file is told plainly, and at once
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    if path.is_dir():
        weights = {file.suffix for file in path.iterdir()}
        if ".safetensors" not in weights and weights & {".bin", ".pt", ".pth", ".ckpt"}:
            raise ModelUnavailable(
                f"{target} holds only pickled weights, which could run any program when they are loaded. "
                "Convert them to safetensors, or choose a model that has them."
            )
        return {"pretrained_model_name_or_path": str(path)}
    if path.is_absolute() or target.startswith((".", "~")) or target.count("/") > 1:
        raise ModelUnavailable(
            f"There is no folder {target}. Name a folder with a model, or a hub id like OWNER/NAME."
        )
    return {"pretrained_model_name_or_path": target}


def _device(*, exact: bool) -> tuple[str, torch.dtype]:
    if not torch.cuda.is_available():
        return "cpu", torch.float32
    if exact:
        return "cuda", torch.float32
    return "cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _told(target: str, error: Exception) -> str:
    """What to say of a failure of transformers, whose own words run over many lines."""
    gist = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if isinstance(error, ImportError):
        return f"A package that {target} needs is missing: {gist}. Install it into Storyloom's environment."
    if Path(target).expanduser().exists():
        return (
            f"{target} can't be loaded ({gist}). Check that it is a whole causal language model "
            "with safetensors weights."
        )
    return (
        f"The model {target} can't be fetched or loaded ({gist}). Check its name and the network, or "
        "name a local folder; without a hub, use `starter` or gguf:PATH."
    )


def _ends(model: PreTrainedModel, tokenizer: Any) -> tuple[int, ...]:
    """Every token that the model or its tokenizer takes for an end, in a fixed order."""
    found = getattr(model.generation_config, "eos_token_id", None)
    ids = found if isinstance(found, list) else [found]
    return tuple(dict.fromkeys(id_ for id_ in [*ids, tokenizer.eos_token_id] if id_ is not None))
