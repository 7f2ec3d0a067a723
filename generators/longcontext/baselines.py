"""What a long-context model is held against: the LLaMA in it, with full attention or with a window."""

import re
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedModel

from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.memory.errors import InvalidSetting

_LLAMA = re.compile(
    r"lm_head\.weight|model\.(norm|embed_tokens)\.weight|model\.layers\.\d+\."
    r"((input|post_attention)_layernorm|self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.(weight|bias)"
)
_PLAIN = ("llama", "mistral")
# What both have; a bias in attention, which Mistral lacks, is refused by its weights.
_SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "tie_word_embeddings",
    "rope_parameters",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


def is_backbone(name: str) -> bool:
    """Whether a weight of this name is one that a plain LLaMA has too."""
    return _LLAMA.fullmatch(name) is not None


def has_memory(model: PreTrainedModel) -> bool:
    """Whether a model is one of the long-context families."""
    return isinstance(model, LongContextForCausalLM)


def check_llama(model: PreTrainedModel, folder: object) -> None:
    """Refuse a model that is neither of a long-context family nor a plain LLaMA.

    Raises:
        InvalidSetting: it is another.
    """
    if not has_memory(model) and model.config.model_type not in _PLAIN:
        raise InvalidSetting(
            f"{folder} is a {model.config.model_type}: neither a long-context model nor a LLaMA. Make one "
            "with storyloom models convert."
        )


def plain(model: PreTrainedModel, window: int | None = None) -> PreTrainedModel:
    """The LLaMA in a model, without any memory; it shares the model's weights.

    Args:
        model: of a long-context family, or a LLaMA. A hybrid's replaced attention is not in it any more:
            there the LLaMA's is random, which is good for timing only.
        window: how many of the last tokens attention sees, itself included; None for all.

    Raises:
        InvalidSetting: a window that can't be, or weights that a model with a window hasn't.
    """
    fields: dict[str, Any] = {name: getattr(model.config, name) for name in _SHARED}
    weights = {name: held for name, held in model.state_dict().items() if is_backbone(name)}
    made: Any
    if window is None:
        biased: dict[str, Any] = {
            name: getattr(model.config, name, False) for name in ("attention_bias", "mlp_bias")
        }
        made = LlamaForCausalLM(LlamaConfig(**fields, **biased))
    else:
        if window < 2:
            raise InvalidSetting(f"The window is {window}; it must be at least 2 tokens.")
        if any(name.endswith(".bias") for name in weights):
            raise InvalidSetting("A LLaMA whose projections have a bias can't be given a window here.")
        made = MistralForCausalLM(MistralConfig(**fields, sliding_window=window))
    made = made.to(device=model.device, dtype=model.dtype)
    with torch.no_grad():
        made.load_state_dict(weights, strict=False, assign=True)
    made.tie_weights()
    result: PreTrainedModel = made.eval()
    return result
