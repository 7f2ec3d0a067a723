"""Makes a family's model out of a pretrained LLaMA: the same weights, and a memory that says nothing yet."""

from collections.abc import Mapping
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedModel

from storyloom.generators.longcontext.configuration import LongContextConfig
from storyloom.generators.longcontext.families import FAMILIES
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.memory.errors import InvalidSetting, ModelUnavailable

# Models with LLaMA's weights under LLaMA's names.
_LLAMAS = ("llama", "mistral")
# What a family's config says for itself. What a .gguf file's says of its numbers isn't true of a model that
# was made of them, and keeps transformers from changing its dtype.
_OWN = {
    "model_type",
    "architectures",
    "transformers_version",
    "layer_types",
    "sliding_window",
    "quantization_config",
}


def check_family(family: str) -> None:
    """Refuse a name that is no family's.

    Raises:
        InvalidSetting: there is no such family.
    """
    if family not in FAMILIES:
        raise InvalidSetting(f"There is no family {family!r}. Choose one of {', '.join(FAMILIES)}.")


def converted(
    source: PreTrainedModel, family: str, options: Mapping[str, Any], *, seed: int = 0
) -> LongContextForCausalLM:
    """A model of the family with the source's weights, in the source's dtype, in evaluation mode.

    Args:
        source: a LLaMA; it isn't changed.
        family: one of ``FAMILIES``.
        options: fields of the family's config.
        seed: what the new weights are drawn from.

    Raises:
        InvalidSetting: no such family, or options that can't be.
        ModelUnavailable: the source is no LLaMA.
    """
    check_family(family)
    config = _config(source, FAMILIES[family].config_class, family, options)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = FAMILIES[family](config)
    for weight in model.parameters():  # and not the frequencies of the positions, which are float32 always
        weight.data = weight.data.to(source.dtype)
    missing, unexpected = model.load_state_dict(source.state_dict(), strict=False)
    grown = tuple(f"model.layers.{index}." for index in config.memory_layers or ())
    lost = [name for name in missing if not name.startswith(grown)]
    odd_ones = [name for name in unexpected if not name.startswith(grown)]
    if lost or odd_ones:
        odd = f"{lost[0]} is missing" if lost else f"it has {odd_ones[0]} too"
        raise ModelUnavailable(f"{_name(source)} isn't built as LLaMA is: {odd}. Convert another model.")
    model.tie_weights()
    model.adopt(source)
    made: LongContextForCausalLM = model.eval()
    return made


def _config(
    source: PreTrainedModel, made: type[LongContextConfig], family: str, options: Mapping[str, Any]
) -> LongContextConfig:
    if source.config.model_type not in _LLAMAS:
        raise ModelUnavailable(
            f"{_name(source)} is a {source.config.model_type}, and only models of the LLaMA family can be "
            f"converted ({', '.join(_LLAMAS)}). Choose another source."
        )
    unknown = sorted(set(options) - choices(made).keys())
    if unknown:
        raise InvalidSetting(f"{family} has no option {unknown[0]}. It has {', '.join(choices(made))}.")
    inherited = {name: value for name, value in source.config.to_dict().items() if name not in _OWN}
    chosen = {"sliding_window": _window(source, made), **options}
    try:
        return made(**inherited, **chosen)
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise InvalidSetting(f"{family} can't be made so: {_gist(error)}") from error


def choices(made: type[LongContextConfig]) -> dict[str, Any]:
    """The options of a family and their defaults."""
    return {"memory_layers": None, "sliding_window": made.default_window, **made.own_options()}


def _window(source: PreTrainedModel, made: type[LongContextConfig]) -> int | None:
    """The family's window, or the source's where that is narrower."""
    windows = (made.default_window, getattr(source.config, "sliding_window", None))
    return min((window for window in windows if window is not None), default=None)


def _name(source: PreTrainedModel) -> str:
    return source.config.name_or_path or "The model"


def _gist(error: Exception) -> str:
    """The last line of an error: a validator's own words, without those of the class that called it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip().removeprefix("ValueError: ")
