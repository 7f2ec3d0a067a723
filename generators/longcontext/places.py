"""Where a memory stands in a layer: beside attention, before it, or as its context (Titans, section 4).

Any memory can stand at any place. A memory is a module with

    width: int                                                  how many channels it gives
    forward(hidden, rows, cells) -> Tensor                      [batch, columns, hidden size] to
                                                                [batch, columns, width]

where rows are aligned (``rows.align`` was done), and which leaves in the cells what its next call needs.
Each place has exactly one zero factor, so that a layer without training is the layer it was made from.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import initialization

from storyloom.generators.longcontext.cells import Cells, cells_of
from storyloom.generators.longcontext.chunks import Tensors, read_in_chunks
from storyloom.generators.longcontext.configuration import LongContextConfig, MemoryConfig
from storyloom.generators.longcontext.modeling import (
    LongContextModel,
    ReadingLayer,
    WideNorm,
    ZeroLinear,
    ZeroScale,
)
from storyloom.generators.longcontext.rows import Rows


class Gated(nn.Module):
    """A memory's reading, let through by a gate of the hidden state, and back into the residual stream.

    Titans' memory as gate: what attention says and what the memory says meet in a sum.
    """

    def __init__(self, config: LongContextConfig, memory: Any):
        super().__init__()
        self.memory = memory
        self.gate = nn.Linear(config.hidden_size, memory.width, bias=False)
        self.out = ZeroLinear(memory.width, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells) -> Tensor:
        """[batch, columns, hidden size] to the same."""
        return self.out(self.memory(hidden, rows, cells) * torch.sigmoid(self.gate(hidden)))


class Layered(nn.Module):
    """A memory as a layer of its own before attention's, with its own norm and a zero scale."""

    def __init__(self, config: MemoryConfig, memory: Any):
        super().__init__()
        self.norm = WideNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.memory = memory
        self.out = nn.Linear(memory.width, config.hidden_size, bias=False)
        self.scale = ZeroScale(config.hidden_size)

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells) -> Tensor:
        """[batch, columns, hidden size] to the same."""
        return self.scale(self.out(self.memory(self.norm(hidden), rows, cells)))


class Contextual(nn.Module):
    """Attention over what the memory says of the tokens of this segment, and over persistent tokens.

    Titans' memory as context puts those before the segment in attention's own softmax, which would change
    a pretrained layer; here they have an attention of their own, whose output begins at zero. A token sees
    the memory's tokens of its segment up to itself.

    A segment is a chunk of the memory, and the attention has its heads.
    """

    def __init__(self, config: MemoryConfig, memory: Any):
        super().__init__()
        assert config.memory_heads is not None
        self.memory = memory
        self.heads = config.memory_heads
        self.segment = config.memory_chunk
        self.persistent = nn.Parameter(torch.zeros(config.memory_persistent, memory.width))
        self.q_proj = nn.Linear(config.hidden_size, memory.width, bias=False)
        self.k_proj = nn.Linear(memory.width, memory.width, bias=False)
        self.v_proj = nn.Linear(memory.width, memory.width, bias=False)
        self.out = ZeroLinear(memory.width, config.hidden_size, bias=False)

    def initialise(self) -> None:
        """Draw the persistent tokens as a memory's reading is: of variance 1."""
        initialization.normal_(self.persistent)

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells) -> Tensor:
        """[batch, columns, hidden size] to the same."""
        tokens = self.memory(hidden, rows, cells)
        keys, values = self.k_proj(tokens), self.v_proj(tokens)
        seen = read_in_chunks(
            self._attend,
            (self.q_proj(hidden),),
            (keys, values),
            (),
            rows=rows,
            cells=cells,
            name="context",
            chunk=self.segment,
        )
        return self.out(seen)

    def _attend(self, asks: Tensors, writes: Tensors, _states: Tensors) -> tuple[Tensor, Tensors]:
        """Segments side by side, each with its own tokens and the persistent ones."""
        batch, tokens, _ = asks[0].shape
        size = min(self.segment, tokens)
        q, k, v = (self._split(tensor.reshape(-1, size, tensor.shape[-1])) for tensor in (asks[0], *writes))
        always = self.persistent.expand(len(q), -1, -1)
        k = torch.cat([self._split(self.k_proj(always)), k], dim=2)
        v = torch.cat([self._split(self.v_proj(always)), v], dim=2)
        seen = torch.ones(size, k.shape[2], dtype=torch.bool, device=q.device)
        seen = seen.tril(k.shape[2] - size)
        read = scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return read.transpose(1, 2).reshape(batch, tokens, -1), ()

    def _split(self, tokens: Tensor) -> Tensor:
        """[batch, tokens, width] to [batch, heads, tokens, head's width]."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class BesideAttention(ReadingLayer):
    """A layer whose branch reads what attention reads, and adds to what attention says."""

    def __init__(self, config: LongContextConfig, index: int, branch: nn.Module):
        super().__init__(config, index)
        self.index = index
        self.branch = branch

    def forward(self, hidden_states: Tensor, *, rows: Rows, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """As ``LlamaDecoderLayer.forward``, with the branch in the first sum."""
        normed = self.input_layernorm(hidden_states)
        attended, _ = self.self_attn(hidden_states=normed, **kwargs)
        hidden = hidden_states + attended + read_branch(self, normed, rows, kwargs)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class BeforeAttention(ReadingLayer):
    """A layer whose branch reads the residual stream and adds to it before attention does."""

    def __init__(self, config: LongContextConfig, index: int, branch: nn.Module):
        super().__init__(config, index)
        self.index = index
        self.branch = branch

    def forward(self, hidden_states: Tensor, *, rows: Rows, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """As ``LlamaDecoderLayer.forward``, after the branch."""
        return super().forward(hidden_states + read_branch(self, hidden_states, rows, kwargs), **kwargs)


def read_branch(layer: Any, hidden: Tensor, rows: Rows, kwargs: dict[str, Any]) -> Tensor:
    """Let a layer's branch read its real tokens, and count them in its cells."""
    cells = cells_of(kwargs.get("past_key_values"), layer.index)
    cells.begin(hidden.shape[0])
    said = rows.restore(layer.branch(rows.align(hidden), rows, cells))
    cells.advance(rows.lengths)
    return said


class PlacedModel(LongContextModel):
    """A stack with one kind of memory at one place of the memory's layers."""

    def make_memory(self, config: MemoryConfig) -> nn.Module:
        """The family's memory, for one layer."""
        raise NotImplementedError

    def make_layer(self, config: LongContextConfig, index: int) -> nn.Module:
        """The memory at the config's place."""
        assert isinstance(config, MemoryConfig)
        memory = self.make_memory(config)
        if config.memory_place == "layer":
            return BeforeAttention(config, index, Layered(config, memory))
        branch = Contextual if config.memory_place == "context" else Gated
        return BesideAttention(config, index, branch(config, memory))
