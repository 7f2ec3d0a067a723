"""Gives a transformers model another RoPE when it is loaded: see ``rope`` for the ways there are.

Linear, dynamic and YaRN are transformers' own, adjusted base frequency is a higher ``rope_theta``; Giraffe's
truncated basis is a type of ours, which ``register`` makes known to transformers.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, RotaryEmbeddingConfigMixin

from storyloom.generators.rope import Rope, raised_base
from storyloom.memory.errors import InvalidSetting

TRUNCATED = "storyloom_truncated"
_DYNAMIC = "dynamic"
# A frequency below the cutoff by more than this turns no more, and others below it turn by 1/16 of it: the
# values in the authors' code (abacusai/Long-Context, interpolate.py); the paper leaves them open.
_NEAR, _SLOW = 8, 16
_KEPT = ("rope_theta", "partial_rotary_factor")


def register() -> None:
    """Make the truncated basis known to transformers, so that a config may name it."""
    ROPE_INIT_FUNCTIONS[TRUNCATED] = _truncated_frequencies
    setattr(RotaryEmbeddingConfigMixin, f"_validate_{TRUNCATED}_rope_parameters", _validate_truncated)


def changes(config: PreTrainedConfig, rope: Rope) -> dict[str, Any]:
    """The fields of a model's config that differ with another RoPE.

    Raises:
        InvalidSetting: the model has no RoPE that can be changed so.
    """
    _check(config, rope)
    trained = config.max_position_embeddings
    parameters = {name: value for name, value in config.rope_parameters.items() if name in _KEPT}
    if rope.name == "abf":
        base = raised_base(parameters["rope_theta"], rope.factor, _width(config))
        parameters |= {"rope_type": "default", "rope_theta": base}
    else:
        kind = TRUNCATED if rope.name == "truncated" else rope.name
        parameters |= {"rope_type": kind, "factor": rope.factor}
    if rope.name in ("yarn", "truncated"):
        parameters["original_max_position_embeddings"] = trained
    # Dynamic scaling is told by how much a text is longer than this.
    length = trained if rope.name == _DYNAMIC else rope.longer(trained)
    return {"rope_parameters": parameters, "max_position_embeddings": length}


def extend(model: PreTrainedModel, rope: Rope) -> None:
    """Give a model another RoPE: its config and the modules that turn queries and keys are changed.

    Raises:
        InvalidSetting: the model has no RoPE that can be changed so.
    """
    register()
    config = model.config.get_text_config()
    for name, value in changes(config, rope).items():
        setattr(config, name, value)
    rotary = list(_rotary(model))
    if not rotary:
        raise _without(config, rope)
    for parent, name, module in rotary:
        setattr(parent, name, type(module)(config=config).to(module.inv_freq.device))
    settle(model)


def context_length(config: PreTrainedConfig) -> int | None:
    """How many tokens a model may read, or None where its config doesn't tell."""
    length = getattr(config, "max_position_embeddings", None)
    if not length:
        return None
    return int(length * config.rope_parameters["factor"]) if is_dynamic(config) else int(length)


def is_dynamic(config: PreTrainedConfig) -> bool:
    """Whether a model turns keys by frequencies that depend on the length of the text."""
    return (getattr(config, "rope_parameters", None) or {}).get("rope_type") == _DYNAMIC


def settle(model: PreTrainedModel, length: int | None = None) -> None:
    """Hold a dynamic RoPE to the length of one text; a model with another is left as it is.

    Left alone, transformers raises the frequencies while a text grows, and keeps them raised for the next
    text. Keys that were cached before wouldn't fit the queries after, and equal prompts would be read in
    different ways.

    Args:
        model: it is changed, until it is settled again.
        length: of the text with what will be written, in tokens; None for the longest it may read.
    """
    config = model.config.get_text_config()
    if not is_dynamic(config):
        return
    for _, _, module in _rotary(model):
        frequencies, scaling = ROPE_INIT_FUNCTIONS[_DYNAMIC](
            config, module.inv_freq.device, seq_len=length or context_length(config)
        )
        module.inv_freq, module.attention_scaling = frequencies, scaling
        module.rope_type = "settled"  # transformers changes the frequencies of dynamic ones only


def truncated(frequencies: Tensor, trained: int) -> Tensor:
    """Giraffe's truncated basis.

    Args:
        frequencies: in radians a token.
        trained: how many tokens the model was trained with; what turns once in them stays.

    Returns:
        Of the same shape: frequencies of at least b stay, those from a to b become rho, and those below a
        become 0, where b = 2 pi / trained, a = b / 8 and rho = b / 16.
    """
    cutoff = 2 * math.pi / trained
    slow = torch.full_like(frequencies, cutoff / _SLOW).where(frequencies >= cutoff / _NEAR, 0.0)
    return frequencies.where(frequencies >= cutoff, slow)


def _truncated_frequencies(
    config: PreTrainedConfig, device: Any = None, **_given: Any
) -> tuple[Tensor, float]:
    """Frequencies and the scale of attention, in the form that transformers asks for."""
    parameters: Any = config.rope_parameters
    width = _width(config)
    steps = torch.arange(0, width, 2, dtype=torch.float, device=device) / width
    frequencies = 1.0 / parameters["rope_theta"] ** steps
    return truncated(frequencies, parameters["original_max_position_embeddings"]), 1.0


def _validate_truncated(
    config: Any, rope_parameters: dict[str, Any], ignore_keys: set[str] | None = None
) -> None:
    needed = {"rope_type", "rope_theta", "factor", "original_max_position_embeddings"}
    config._check_received_keys(TRUNCATED, set(rope_parameters), needed, ignore_keys=ignore_keys)


def _check(config: PreTrainedConfig, rope: Rope) -> None:
    parameters = getattr(config, "rope_parameters", None) or {}
    if "rope_theta" not in parameters or not getattr(config, "max_position_embeddings", None):
        raise _without(config, rope)
    kind = parameters.get("rope_type", "default")
    if kind != "default":
        raise InvalidSetting(
            f"{_name(config)} has an extended RoPE of its own ({kind}), so {rope} can't be added. Leave out "
            "the rope setting."
        )
    if _width(config) < 4:
        raise InvalidSetting(
            f"{_name(config)} turns {_width(config)} channels a head, and {rope} needs at least 4. Leave out "
            "the rope setting."
        )


def _without(config: PreTrainedConfig, rope: Rope) -> InvalidSetting:
    return InvalidSetting(
        f"{_name(config)} is a {config.model_type} without a RoPE like LLaMA's, so {rope} can't be given to "
        "it. Leave out the rope setting, or choose a LLaMA."
    )


def _name(config: PreTrainedConfig) -> str:
    return config.name_or_path or "The model"


def _width(config: Any) -> int:
    """Channels of a head that are turned."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(head * config.rope_parameters.get("partial_rotary_factor", 1.0))


def _rotary(model: PreTrainedModel) -> Iterator[tuple[nn.Module, str, Any]]:
    """The modules of a text model that make cosines and sines, each with its parent and its name there."""
    config = model.config.get_text_config()
    for parent in model.modules():
        for name, module in parent.named_children():
            made: Any = module
            if hasattr(made, "inv_freq") and getattr(made, "config", None) is config:
                yield parent, name, made
