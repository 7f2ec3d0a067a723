"""Another RoPE for a GGUF model, in llama.cpp's words: see ``rope`` for the ways there are."""

from typing import Any

from storyloom.generators.gguf_format import GgufHead
from storyloom.generators.rope import Rope, raised_base
from storyloom.memory.errors import InvalidSetting

_DEFAULT_BASE = 10000.0  # llama.cpp's, where the file tells none
# Numbers of llama_rope_scaling_type in llama.h.
_LINEAR, _YARN = 1, 2


def engine_settings(head: GgufHead, rope: Rope, name: str) -> dict[str, Any]:
    """llama.cpp's common parameters that differ with another RoPE, by name.

    Args:
        head: of the model's file.
        rope: how it shall read longer texts.
        name: of the model, for what is told.

    Raises:
        InvalidSetting: llama.cpp knows no such RoPE, or the model has none that can be changed so.
    """
    if rope.name in ("dynamic", "truncated"):
        raise InvalidSetting(
            f"llama.cpp has no {rope.name} RoPE, so {name} can't have {rope}. Set linear, yarn or abf, or "
            "load the model by hf:."
        )
    base, width = head.told("rope.freq_base"), head.turned_channels
    if not head.training_context or not (base or head.told("rope.dimension_count")) or width < 4:
        raise InvalidSetting(f"{name} tells of no RoPE that {rope} could change. Leave out the rope setting.")
    kind = head.told("rope.scaling.type", "none")
    if kind != "none":
        raise InvalidSetting(
            f"{name} has an extended RoPE of its own ({kind}), so {rope} can't be added. Leave out the rope "
            "setting."
        )
    if rope.name == "abf":
        return {"rope_freq_base": raised_base(float(base or _DEFAULT_BASE), rope.factor, width)}
    scaled: dict[str, Any] = {"rope_freq_scale": 1 / rope.factor}
    if rope.name == "linear":
        return {"rope_scaling_type": _LINEAR, **scaled}
    return {"rope_scaling_type": _YARN, "yarn_orig_ctx": head.training_context, **scaled}
