"""sLSTM and GRU in plain torch, a step at a time."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

# Stands for the maximum over nothing; a difference of two such is 0, where −∞ would give NaN.
LOWEST_GATE = -1e30


def slstm_reference(
    gates: Tensor, recurrent: Tensor, state: tuple[Tensor, Tensor, Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The cell of ``slstm``, in float32 or, for float64 inputs, float64."""
    kind = torch.promote_types(gates.dtype, torch.float32)
    weights = recurrent.to(kind)
    h, c, n, m = state
    # m only scales c and n, and cancels in c / n: no gradient goes through it.
    m = torch.where(n > 0, m, LOWEST_GATE).detach()
    outs = []
    for x in gates.to(kind).unbind(1):
        i, f, z, o = (x + _recur(weights, h)).unbind(2)
        kept = logsigmoid(f) + m
        m = torch.maximum(kept, i).detach()
        enter, keep = torch.exp(i - m), torch.exp(kept - m)
        c = keep * c + enter * torch.tanh(z)
        n = keep * n + enter
        h = torch.sigmoid(o) * (c / n)
        outs.append(h)
    return torch.stack(outs, 1).to(gates.dtype), (h, c, n, m)


def gru_reference(gates: Tensor, recurrent: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The cell of ``gru``, in float32 or, for float64 inputs, float64."""
    kind = torch.promote_types(gates.dtype, torch.float32)
    weights = recurrent.to(kind)
    h, outs = state, []
    for x in gates.to(kind).unbind(1):
        recurred = _recur(weights, h)
        r = torch.sigmoid(x[:, :, 0] + recurred[:, :, 0])
        z = torch.sigmoid(x[:, :, 1] + recurred[:, :, 1])
        n = torch.tanh(x[:, :, 2] + r * recurred[:, :, 2])
        h = (1 - z) * n + z * h
        outs.append(h)
    return torch.stack(outs, 1).to(gates.dtype), h


def _recur(weights: Tensor, h: Tensor) -> Tensor:
    """What h gives to each gate of its own head: [heads, gates, width, width] by [batch, heads, width]."""
    return torch.einsum("hgoi,bhi->bhgo", weights, h)
