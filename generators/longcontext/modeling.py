"""A LLaMA whose layers may be others: the base of every long-context family.

A family subclasses ``LongContextModel``, saying in ``make_layer`` which layer stands at which place, and
``LongContextForCausalLM``, naming that model. A layer that keeps a memory subclasses ``ReadingLayer``; the
other layers are transformers' own. A module that holds parameters itself, not in a child, may have a method
``initialise`` that sets them by ``transformers.initialization``, which leaves loaded weights alone; of
others, transformers doesn't call it.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel, initialization
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.models.llama.modeling_llama import (
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaModel,
    LlamaPreTrainedModel,
    LlamaRMSNorm,
)
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from storyloom.generators.longcontext.cells import give_cells
from storyloom.generators.longcontext.configuration import LongContextConfig
from storyloom.generators.longcontext.rows import Rows


class ReadingLayer(LlamaDecoderLayer):
    """A layer with a memory: its ``forward`` is also given what ``LongContextModel.reading`` says."""


class ZeroLinear(nn.Linear):
    """A projection that begins at zero: through it a new branch says nothing until it is trained."""

    def initialise(self) -> None:
        """Set it to zero."""
        initialization.zeros_(self.weight)


class WideNorm(LlamaRMSNorm):
    """LLaMA's norm, which computes in float32 at least: LLaMA's own rounds float64 to float32 too."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Norm [..., width]."""
        wide = hidden_states.to(torch.promote_types(hidden_states.dtype, torch.float32))
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * wide.to(hidden_states.dtype)


class ZeroScale(nn.Module):
    """A factor a channel that begins at zero."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def initialise(self) -> None:
        """Set it to zero."""
        initialization.zeros_(self.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """Scale [..., width]."""
        return hidden * self.weight


class LongContextPreTrainedModel(LlamaPreTrainedModel):
    """What transformers must know of all of them."""

    config_class = LongContextConfig
    config: LongContextConfig
    _no_split_modules = [  # noqa: RUF012
        "LlamaDecoderLayer",
        "BesideAttention",
        "BeforeAttention",
        "HopeLayer",
        "HybridLayer",
    ]
    # A memory can't be turned back to an earlier token.
    _is_stateful = True
    _can_compile_fullgraph = False
    _supports_flex_attn = False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        initialise = getattr(module, "initialise", None)
        if initialise is None:
            super()._init_weights(module)
        else:
            initialise()

    def zero_factors(self) -> Iterator[Tensor]:
        """The parameters that begin at zero, one in each new branch."""
        for module in self.modules():
            if isinstance(module, ZeroLinear | ZeroScale):
                yield module.weight


class LongContextModel(LongContextPreTrainedModel, LlamaModel):
    """LLaMA's stack with the family's layers."""

    def __init__(self, config: LongContextConfig):
        super().__init__(config)
        for index in config.memory_layers or ():
            self.layers[index] = self.make_layer(config, index)
        self.post_init()

    def make_layer(self, config: LongContextConfig, index: int) -> nn.Module:
        """The layer that stands at one of the memory's places."""
        raise NotImplementedError

    def reading(self, embedded: Tensor, rows: Rows) -> dict[str, Any]:
        """What a layer with a memory is given beside what every layer is.

        Args:
            embedded: what the stack begins with, [batch, columns, hidden size].
            rows: the call's real tokens.
        """
        del embedded
        return {"rows": rows}

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Read tokens; see ``LlamaModel.forward``.

        Args:
            input_ids: [batch, columns].
            attention_mask: [batch, tokens], 0 at padding, which may be anywhere; None for none.
            position_ids: [batch, columns]; None counts on from the cache.
            past_key_values: a ``DynamicCache`` with what was read before; it is changed.
            inputs_embeds: instead of ``input_ids``.
            use_cache: make a cache where none is given.
            kwargs: for attention.

        Raises:
            ValueError: both or none of ids and embeddings; a cache or a mask of another form.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give either input_ids or inputs_embeds.")
        hidden = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        if past_key_values is not None:
            give_cells(past_key_values, self.config)
        if position_ids is None:
            seen = 0 if past_key_values is None else past_key_values.get_seq_length()
            position_ids = (torch.arange(hidden.shape[1], device=hidden.device) + seen)[None]
        mask = self._attention_mask(hidden, attention_mask, past_key_values, position_ids)
        rows = Rows.of(attention_mask, hidden.shape[0], hidden.shape[1])
        rotary = self.rotary_emb(hidden, position_ids=position_ids)
        if self.config.sliding_window is not None:
            kwargs["sliding_window"] = self.config.sliding_window
        reading = self.reading(hidden, rows)
        for layer in self.layers:
            hidden = layer(
                hidden,
                attention_mask=mask,
                position_embeddings=rotary,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                **(reading if isinstance(layer, ReadingLayer) else {}),
                **kwargs,
            )
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden), past_key_values=past_key_values)

    def _attention_mask(
        self, hidden: Tensor, mask: Tensor | None, cache: Cache | None, positions: Tensor
    ) -> Any:
        windowed = self.config.sliding_window is not None
        make = create_sliding_window_causal_mask if windowed else create_causal_mask
        return make(
            config=self.config,
            inputs_embeds=hidden,
            attention_mask=mask,
            past_key_values=cache,
            position_ids=positions,
        )


class LongContextForCausalLM(LongContextPreTrainedModel, LlamaForCausalLM):
    """The family's model with a language model's head; ``generate()`` is transformers'."""

    model_class: ClassVar[type[LongContextModel]]

    def __init__(self, config: LongContextConfig):
        # LlamaForCausalLM's own would make a whole LLaMA first.
        super(LlamaForCausalLM, self).__init__(config)
        self.model = self.model_class(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def latest(self, state: dict[str, Tensor], _tokens: int) -> dict[str, Tensor]:
        """What of a state a training brings into its next segment, where states grow with the text.

        Args:
            state: of ``state_dict_of``; it isn't changed.
            _tokens: how many of the last tokens are enough.
        """
        return state

    def adopt(self, source: PreTrainedModel) -> None:
        """Begin new weights as those of the LLaMA that this was converted from, where a family does."""
