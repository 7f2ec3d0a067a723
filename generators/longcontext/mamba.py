"""Mamba-2 (arXiv 2405.21060) with attention's heads, so that it can begin as a pretrained attention.

As in Mamba in the Llama (arXiv 2408.15237) and MaTVLM (arXiv 2503.13440): what attention's values are is
written (x), under its keys (B), and is read with its queries (C); key heads are repeated as attention does.
There are as many groups as heads, and a head's state is as wide as the head. How long the state is trusted
is ``mamba_state``'s.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, silu, softplus
from transformers import initialization

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.mamba_state import Scan
from storyloom.generators.longcontext.projections import CausalConv
from storyloom.generators.longcontext.rows import Rows

_STEPS = (1e-3, 0.1)  # between which the time steps of the heads begin
_DECAYS = (1.0, 16.0)  # and how fast they forget in a step of 1


class Mamba(nn.Module):
    """Reads [batch, columns, hidden size] to the same.

    Attributes:
        A_log: logarithm of each head's decay in a step of 1, [heads]; float32 also in a model of half
            precision, as is ``dt_bias``: they're exponents.
        D: how much of x goes past the state, [heads].
        norm: of the gated output, head by head, [heads, head's width].
    """

    def __init__(self, config: Any):
        super().__init__()
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.eps = config.rms_norm_eps
        self.insertion, self.decay = config.hybrid_insertion_scale, config.hybrid_decay_scale
        hidden, bias = config.hidden_size, config.attention_bias
        shared, inner = self.kv_heads * self.width, self.heads * self.width
        self.x_proj = nn.Linear(hidden, shared, bias=bias)
        self.B_proj = nn.Linear(hidden, shared, bias=bias)
        self.C_proj = nn.Linear(hidden, inner, bias=bias)
        self.z_proj = nn.Linear(hidden, inner, bias=False)
        self.dt_proj = nn.Linear(hidden, self.heads, bias=False)
        kernel = config.hybrid_conv
        self.conv = CausalConv(2 * shared + inner, kernel) if kernel > 1 else None
        self.A_log = nn.Parameter(torch.zeros(self.heads))
        self.dt_bias = nn.Parameter(torch.zeros(self.heads))
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = nn.Parameter(torch.ones(self.heads, self.width))
        self.out_proj = nn.Linear(inner, hidden, bias=bias)
        self.scan = Scan(
            chunk=config.hybrid_chunk, cap=config.hybrid_state_cap, window=config.hybrid_state_window
        )

    def initialise(self) -> None:
        """Draw the decays and time steps as Mamba-2 does, so that heads forget at different speeds."""
        decays = torch.empty_like(self.A_log).uniform_(*_DECAYS)
        shortest, longest = (math.log(step) for step in _STEPS)
        steps = torch.empty_like(self.dt_bias).uniform_(shortest, longest).exp()
        initialization.copy_(self.A_log, decays.log())
        initialization.copy_(self.dt_bias, steps + torch.log(-torch.expm1(-steps)))  # softplus gives steps
        initialization.ones_(self.D)
        initialization.ones_(self.norm)

    @torch.no_grad()
    def adopt(self, attention: Any) -> None:
        """Take the projections of a pretrained attention, and keep the exponents in float32 at least."""
        pairs = {"v_proj": "x_proj", "k_proj": "B_proj", "q_proj": "C_proj", "o_proj": "out_proj"}
        for theirs, ours in pairs.items():
            getattr(self, ours).load_state_dict(getattr(attention, theirs).state_dict())
        for exponent in (self.A_log, self.dt_bias):
            exponent.data = exponent.data.to(wide(exponent))

    def forward(self, hidden: Tensor, rows: Rows, cells: Cells) -> Tensor:
        """Read a call's tokens, rows aligned; what is behind a row's tokens means nothing."""
        x, b, c = self._inputs(hidden, rows, cells)
        exponent = wide(x)
        dt = softplus(self.dt_proj(hidden).to(exponent) + self.dt_bias.to(exponent))
        dt = rows.cut(dt)  # Without time, what is behind a row's tokens changes no state.
        a = -self.decay * self.A_log.to(exponent).exp() * dt
        written = x * (self.insertion * dt).to(x.dtype)[..., None]
        read = self.scan(written, a, b, c, rows, cells).to(exponent)
        read = read + self.D.to(exponent)[:, None] * x.to(exponent)
        return self._out(read, self.z_proj(hidden), hidden.dtype)

    def _inputs(self, hidden: Tensor, rows: Rows, cells: Cells) -> tuple[Tensor, Tensor, Tensor]:
        """What is written, under what, and what is asked: [batch, columns, heads, head's width] each."""
        mixed = torch.cat([self.x_proj(hidden), self.B_proj(hidden), self.C_proj(hidden)], dim=-1)
        if self.conv is not None:
            mixed = self.conv(mixed, rows, cells, "conv")
        split = silu(mixed).unflatten(-1, (-1, self.width))
        x, b, c = split.split([self.kv_heads, self.kv_heads, self.heads], dim=2)
        repeats = self.heads // self.kv_heads
        return x.repeat_interleave(repeats, dim=2), b.repeat_interleave(repeats, dim=2), c

    def _out(self, read: Tensor, z: Tensor, dtype: torch.dtype) -> Tensor:
        gated = read * silu(z.to(read.dtype)).unflatten(-1, (self.heads, -1))
        normed = rms_norm(gated, (self.width,), eps=self.eps) * self.norm.to(read.dtype)
        out: Tensor = self.out_proj(normed.flatten(-2).to(dtype))
        return out


def wide(tensor: Tensor) -> torch.dtype:
    """What states and exponents are held in: float32, or float64 beside that."""
    return torch.float64 if tensor.dtype is torch.float64 else torch.float32
