"""LaCT's fast weights in plain torch: the form that the Triton kernels are held to.

Shapes: b batch, t tokens, w width, h hidden.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu

from storyloom.kernels.newton_schulz_reference import widened


def lact_apply_reference(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor) -> Tensor:
    """W1(silu(W0 q) ⊙ W2 q) of each token; see :func:`lact.lact_apply`."""
    gate, up, down, x = (widened(tensor) for tensor in (w0, w2, w1, q))
    hidden = silu(x @ gate.mT) * (x @ up.mT)
    return (hidden @ down.mT).to(q.dtype)


def lact_gradients_reference(
    w0: Tensor, w1: Tensor, w2: Tensor, k: Tensor, v: Tensor, rates: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The way down of −⟨f(k), v⟩, summed over tokens; see :func:`lact.lact_gradients`."""
    dtype = w0.dtype
    w0, w1, w2, k, v, rates = (widened(tensor) for tensor in (w0, w1, w2, k, v, rates))
    rate0, rate1, rate2 = torch.split(rates.to(k.dtype), 1, dim=-1)
    gate, up = k @ w0.mT, k @ w2.mT
    share = torch.sigmoid(gate)
    active, slope = gate * share, share * (1 + gate * (1 - share))
    # ∂⟨f(k), v⟩ / ∂ hidden, [b, t, h].
    back = v @ w1
    d0 = (rate0 * back * up * slope).mT @ k
    d1 = (rate1 * v).mT @ (active * up)
    d2 = (rate2 * back * active).mT @ k
    return d0.to(dtype), d1.to(dtype), d2.to(dtype)
