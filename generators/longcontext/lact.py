"""LaCT (arXiv 2505.23884): a SwiGLU of fast weights that learns from large chunks.

A chunk is read with the weights that it began with, and then learned from: what is nearer than a chunk is
attention's part, so its window should be no shorter. Keys and values have their own projections.
"""

import math
from typing import ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn.functional import softplus
from transformers import initialization

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.chunks import Tensors
from storyloom.generators.longcontext.configuration import MemoryConfig
from storyloom.generators.longcontext.modeling import LongContextForCausalLM, WideNorm
from storyloom.generators.longcontext.places import PlacedModel
from storyloom.generators.longcontext.projections import HeadProjections, quiet_gates
from storyloom.generators.longcontext.rows import Rows
from storyloom.generators.longcontext.turns import Turn, joined, moved, turns
from storyloom.kernels.lact import LactState, lact_apply, lact_gradients, lact_update

_GAIN = 0.5  # of the initial weights, as in the paper's program
_RATE = 1e-3
_THREE = 3  # w0, w1 and w2


@strict
class LactConfig(MemoryConfig):
    """A LLaMA with LaCT's memory.

    Attributes:
        memory_expansion: hidden units of the SwiGLU, in widths of a head.
        memory_orthogonal: whether a step is orthogonalised by Newton–Schulz.
    """

    model_type = "storyloom_lact"
    widest_head: ClassVar[int] = 1024
    longest_chunk: ClassVar[int] = 16_384

    memory_chunk: int = 512
    memory_expansion: int = 1
    memory_orthogonal: bool = True

    def validate_lact(self) -> None:
        """Hold the memory's own shape to what there is."""
        self.check_range("memory_expansion", 1, 16)


class LactGates(nn.Module):
    """How far each token moves each of the three weights, and how much of the past movement goes on."""

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.heads = heads
        self.proj = nn.Linear(hidden, (_THREE + 1) * heads, bias=False)
        self.bias = nn.Parameter(torch.zeros(heads, _THREE + 1))

    def initialise(self) -> None:
        """Set where they begin: rates of a thousandth, half of the movement."""
        start = torch.full_like(self.bias, math.log(math.expm1(_RATE)))
        start[:, -1] = 0
        initialization.copy_(self.bias, start)
        quiet_gates(self.proj)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, columns, hidden size] to rates [batch, columns, heads, 3] and momentum without the 3."""
        raw = self.proj(hidden).unflatten(-1, (self.heads, _THREE + 1))
        wide = torch.promote_types(raw.dtype, torch.float32)
        raw = raw.to(wide) + self.bias.to(wide)
        return softplus(raw[..., :_THREE]), torch.sigmoid(raw[..., _THREE])


class SwiGLUStart(nn.Module):
    """The weights that a memory begins with; see ``lact_apply``."""

    def __init__(self, heads: int, hidden: int, width: int):
        super().__init__()
        self.w0 = nn.Parameter(torch.zeros(heads, hidden, width))
        self.w1 = nn.Parameter(torch.zeros(heads, width, hidden))
        self.w2 = nn.Parameter(torch.zeros(heads, hidden, width))

    def initialise(self) -> None:
        """Draw them."""
        for weight in self.parameters():
            initialization.normal_(weight, std=_GAIN * weight.shape[-1] ** -0.5)

    def forward(self, rows: int, dtype: torch.dtype) -> Tensors:
        """The three, of each row and head: [rows × heads, ...]."""
        return tuple(
            weight.to(dtype).expand(rows, *weight.shape).flatten(0, 1)
            for weight in (self.w0, self.w1, self.w2)
        )


class LactMemory(nn.Module):
    """Fast weights that a chunk reads and then writes; normed by head.

    The cells keep, of every row: what the weights have learned, the velocities, the directions of the chunk
    that isn't whole yet, and its momentum so far.
    """

    def __init__(self, config: LactConfig):
        super().__init__()
        assert config.memory_heads is not None
        self.heads, width = config.memory_heads, config.memory_width
        self.width = self.heads * width
        self.chunk = config.memory_chunk
        self.orthogonal = config.memory_orthogonal
        self.projections = HeadProjections(config.hidden_size, self.heads, width, kernel=config.memory_conv)
        self.gates = LactGates(config.hidden_size, self.heads)
        self.start = SwiGLUStart(self.heads, config.memory_expansion * width, width)
        self.norm = WideNorm(width, eps=config.rms_norm_eps)

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells) -> Tensor:
        """[batch, columns, hidden size] to [batch, columns, width]; see ``places``."""
        q, k, v = self.projections(hidden, rows, cells)
        rates, momentum = self.gates(hidden)
        start = self.start(len(hidden), rates.dtype)
        held = self._held(cells, len(hidden), start)
        pieces = []
        for turn in turns(rows, cells.read, self.chunk, hidden.device):
            part = (tensor[:, turn.columns] for tensor in (q, k, v, rates, momentum))
            read, held = self._turn(turn, tuple(part), start, held)
            pieces.append((turn, read))
        for place, tensor in enumerate(held):
            cells.tensors[f"lact.{place}"] = tensor
        return self.norm(joined(pieces, v)).flatten(-2)

    def _held(self, cells: Cells, rows: int, start: Tensors) -> Tensors:
        """Learned, velocities and directions, three each, and the momentum: [rows, heads, ...]."""
        blank = [weight.new_zeros(rows, self.heads, *weight.shape[1:]) for weight in start] * _THREE
        blank.append(start[0].new_zeros(rows, self.heads))
        return tuple(cells.get(f"lact.{place}", tensor) for place, tensor in enumerate(blank))

    def _turn(self, turn: Turn, tokens: Tensors, start: Tensors, held: Tensors) -> tuple[Tensor, Tensors]:
        q, k, v, rates, momentum = tokens
        learned, directions = held[:_THREE], held[2 * _THREE : 3 * _THREE]
        weights = [w + delta.flatten(0, 1) for w, delta in zip(start, learned, strict=True)]
        w0, w1, w2 = (weight.to(q.dtype) for weight in weights)
        read = lact_apply(w0, w1, w2, _by_head(q))
        added = lact_gradients(w0, w1, w2, _by_head(k), _by_head(v), _by_head(turn.mask(rates)))
        directions = tuple(
            before + new.to(before.dtype).unflatten(0, before.shape[:2])
            for before, new in zip(directions, added, strict=True)
        )
        total = held[-1] + turn.mask(momentum).sum(1)
        now = (*held[: 2 * _THREE], *directions, total)
        if any(turn.ended):
            now = moved(now, self._learned(weights, start, now), turn.ended)
        return read.unflatten(0, (len(q), self.heads)).transpose(1, 2), now

    def _learned(self, weights: list[Tensor], start: Tensors, held: Tensors) -> Tensors:
        """What is held after a chunk was learned from, as if every row's were whole."""
        velocities, directions = (
            [t.flatten(0, 1) for t in held[a : a + _THREE]] for a in (_THREE, 2 * _THREE)
        )
        norms = [weight.norm(dim=-1) for weight in start]
        state = LactState(tuple(weights), tuple(velocities), tuple(norms))  # type: ignore[arg-type]
        share = (held[-1] / self.chunk).flatten()[:, None]
        after = lact_update(state, tuple(directions), share, orthogonalise=self.orthogonal)  # type: ignore[arg-type]
        learned = (w - first for w, first in zip(after.weights, start, strict=True))
        kept = (tensor.unflatten(0, held[-1].shape) for tensor in (*learned, *after.velocities))
        return (*kept, *(torch.zeros_like(t) for t in held[2 * _THREE :]))


def _by_head(tokens: Tensor) -> Tensor:
    """[rows, tokens, heads, ...] to [rows × heads, tokens, ...]."""
    return tokens.transpose(1, 2).flatten(0, 1)


class LactModel(PlacedModel):
    """LLaMA's stack with LaCT's memory."""

    config_class = LactConfig

    def make_memory(self, config: MemoryConfig) -> nn.Module:
        """One layer's memory."""
        assert isinstance(config, LactConfig)
        return LactMemory(config)


class LactForCausalLM(LongContextForCausalLM):
    """LaCT as a language model."""

    config_class = LactConfig
    model_class = LactModel
