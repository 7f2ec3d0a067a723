"""Hybrid Mamba: a LLaMA some of whose layers have Mamba-2 for attention (arXiv 2503.13440, 2408.15237).

The way there leaves the model whole: Mamba begins beside attention, with attention's own projections and a
gate of zero; a training moves attention's share from 1 to 0; then ``finish_annealing`` drops attention.
"""

from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import PreTrainedModel

from storyloom.generators.longcontext.configuration import LongContextConfig, spread
from storyloom.generators.longcontext.mamba import Mamba
from storyloom.generators.longcontext.modeling import (
    LongContextForCausalLM,
    LongContextModel,
    ReadingLayer,
    ZeroScale,
)
from storyloom.generators.longcontext.places import read_branch
from storyloom.generators.longcontext.rows import Rows
from storyloom.memory.errors import InvalidSetting

MODES = ("parallel", "replace")
_ONE_IN = 4


@strict
class HybridConfig(LongContextConfig):
    """A LLaMA with Mamba-2 at some layers, at one in four where none are named.

    Attributes:
        hybrid_mode: ``parallel`` has Mamba beside attention, ``replace`` in its place, which changes what a
            pretrained model says until it has learned.
        hybrid_attention_share: what attention's output is multiplied by in ``parallel``; at 0 it isn't
            computed, and its keys and values aren't kept.
        hybrid_conv: tokens that Mamba's convolution reaches over; 1 for none.
        hybrid_insertion_scale: what is written into the state is multiplied by it; below 1 against collapse.
        hybrid_decay_scale: the state decays so many times as fast; above 1 against collapse.
        hybrid_state_cap: the largest norm that a head's state keeps; None for any.
        hybrid_state_window: tokens that the state reaches back over; None for all.
        hybrid_chunk: tokens after which cap and window act; the window is a multiple of it.
    """

    model_type = "storyloom_hybrid"
    # The layers that keep attention are what the hybrid is for; a window makes a token's cost flat.
    default_window: ClassVar[int | None] = None

    hybrid_mode: str = "parallel"
    hybrid_attention_share: float | int = 1.0
    hybrid_conv: int = 4
    hybrid_insertion_scale: float | int = 1.0
    hybrid_decay_scale: float | int = 1.0
    hybrid_state_cap: float | int | None = None
    hybrid_state_window: int | None = None
    hybrid_chunk: int = 256

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what wasn't said."""
        if self.memory_layers is None:
            self.memory_layers = spread(self.num_hidden_layers, max(1, self.num_hidden_layers // _ONE_IN))
        super().__post_init__(**kwargs)

    @property
    def keeps_keys(self) -> bool:
        """Only while attention has a share."""
        return self.hybrid_mode == "parallel" and self.hybrid_attention_share > 0

    def validate_hybrid(self) -> None:
        """Hold the options to what can be, and to each other."""
        if self.hybrid_mode not in MODES:
            known = ", ".join(MODES)
            raise ValueError(f"hybrid_mode is {self.hybrid_mode!r}; it must be one of {known}.")
        self.check_range("hybrid_attention_share", 0, 1)
        self.check_range("hybrid_conv", 1, 64)
        self.check_range("hybrid_chunk", 1, 2**20)
        for name in ("hybrid_insertion_scale", "hybrid_decay_scale", "hybrid_state_cap"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value}; it must be above 0.")
        window, chunk = self.hybrid_state_window, self.hybrid_chunk
        if window is not None and (window < 2 * chunk or window % chunk):
            raise ValueError(
                f"hybrid_state_window is {window}; it must be at least two times hybrid_chunk, {chunk}, and "
                "a multiple of it."
            )


class HybridLayer(ReadingLayer):
    """LLaMA's layer with Mamba beside attention or in its place."""

    def __init__(self, config: HybridConfig, index: int):
        super().__init__(config, index)
        self.index = index
        self.options = config
        self.branch = Mamba(config)
        self.scale: ZeroScale | None = ZeroScale(config.hidden_size)
        if config.hybrid_mode == "replace":
            self._drop()

    @torch.no_grad()
    def finish(self) -> None:
        """Drop attention, and fold the gate into Mamba's last projection."""
        assert self.scale is not None
        out = self.branch.out_proj
        out.weight.mul_(self.scale.weight[:, None])
        if out.bias is not None:
            out.bias.mul_(self.scale.weight)
        self._drop()

    def forward(self, hidden_states: Tensor, *, rows: Rows, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """As ``LlamaDecoderLayer.forward``."""
        normed = self.input_layernorm(hidden_states)
        said = read_branch(self, normed, rows, kwargs)
        if self.scale is not None:
            said = self.scale(said)
        if self.options.keeps_keys:
            attended, _ = self.self_attn(hidden_states=normed, **kwargs)
            said = said + self.options.hybrid_attention_share * attended
        elif kwargs.get("past_key_values") is not None:
            kwargs["past_key_values"].layers[self.index].count(normed)
        hidden = hidden_states + said
        return hidden + self.mlp(self.post_attention_layernorm(hidden))

    def _drop(self) -> None:
        del self.self_attn
        self.scale = None


class HybridModel(LongContextModel):
    """LLaMA's stack with Mamba at some layers."""

    config_class = HybridConfig
    _keep_in_fp32_modules_strict = ["A_log", "dt_bias"]  # noqa: RUF012

    def make_layer(self, config: LongContextConfig, index: int) -> nn.Module:
        """A layer with Mamba."""
        assert isinstance(config, HybridConfig)
        return HybridLayer(config, index)


class HybridForCausalLM(LongContextForCausalLM):
    """Hybrid Mamba as a language model."""

    config_class = HybridConfig
    model_class = HybridModel
    _keep_in_fp32_modules_strict = ["A_log", "dt_bias"]  # noqa: RUF012

    def adopt(self, source: PreTrainedModel) -> None:
        """Begin every Mamba with its layer's attention."""
        theirs: Any = source
        for layer in self._hybrid_layers():
            layer.branch.adopt(theirs.model.layers[layer.index].self_attn)

    def set_attention_share(self, share: float) -> None:
        """Let attention count for so much from now on; a cache goes on only from above 0 to above 0.

        Args:
            share: from 0, where only Mamba is heard, to 1.

        Raises:
            InvalidSetting: it can't be that, or there is no attention any more.
        """
        if not 0 <= share <= 1:
            raise InvalidSetting(f"Attention's share is {share}; it must be from 0 to 1.")
        if self.config.hybrid_mode != "parallel":
            raise InvalidSetting("This hybrid's attention is dropped already; it has no share any more.")
        self.config.hybrid_attention_share = float(share)

    @property
    def can_anneal(self) -> bool:
        """Whether there is attention whose share can go to nothing."""
        return self.config.hybrid_mode == "parallel"

    def anneal(self, done: float) -> None:
        """Take attention's share from all, where nothing is done, to nothing, where all is; see there."""
        self.set_attention_share(1 - done)

    def finish_annealing(self) -> None:
        """Drop the attention whose share is 0: from ``parallel`` to ``replace``, saying the same.

        Raises:
            InvalidSetting: attention still has a share, or is dropped already.
        """
        if self.config.hybrid_mode != "parallel":
            raise InvalidSetting("This hybrid's attention is dropped already.")
        if self.config.hybrid_attention_share > 0:
            raise InvalidSetting(
                f"Attention still has a share of {self.config.hybrid_attention_share}. Bring it to 0 first."
            )
        for layer in self._hybrid_layers():
            layer.finish()
        self.config.hybrid_mode = "replace"

    def _hybrid_layers(self) -> list[HybridLayer]:
        return [layer for layer in self.model.layers if isinstance(layer, HybridLayer)]
