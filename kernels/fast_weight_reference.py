"""The chunked fast-weight memory in plain torch: what the equations say, and what the kernels are held to.

Within a chunk every gradient is taken at the weights W0 that the chunk began with, so that nothing but
scalars links its tokens. With u_j = ∇‖M(k_j) − v_j‖² at W0 and B_ji = 1 where j − window < i ≤ j (and i lies
in the chunk), the token's update

    S_t = η_t S_{t−1} − θ_t Σ_i B_ti u_i          W_t = (1 − α_t) W_{t−1} + S_t

is linear in S0, W0 and the u_i. Unrolled, with P_tj = Π_{m=j+1..t} η_m and A_ti = Π_{m=i+1..t} (1 − α_m):

    S_t = P_t0 S0 − Σ_j P_tj θ_j Σ_i B_ji u_i      = p_t S0 − Σ_i P̃_ti u_i,   P̃ = P diag(θ) B
    W_t = A_t0 W0 + Σ_j A_tj S_j                   = β_t W0 + c_t S0 − Σ_i G̃_ti u_i,   G̃ = A P̃

so a window only multiplies the band B into Titans' G from the right: G̃_ti = Σ_{j=i..i+window−1} G_tj θ_j, and
window 1 gives Titans' G_ti θ_i back. The window is cut at the chunk's start, where the anchor changes.

G̃ and P̃ are not computed from those products but by the token's own recurrence on their rows,

    P̃_t = η_t P̃_{t−1} + θ_t B_t        G̃_t = (1 − α_t) G̃_{t−1} + P̃_t

which multiplies by factors in [0, 1] and never divides: a forgetting of 1 − α = 1e-7 or a momentum of
exactly 0 is as exact as any other, in the gradients too, where logarithms would need a special case.

A layer with input x_j and backpropagated error e_j has u_j = e_j x_jᵀ, so the token's weights never exist:
W_t y = β_t W0 y + c_t S0 y − Σ_j G̃_tj (x_j · y) e_j.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import silu

Tensors = tuple[Tensor, ...]


class Mixing(NamedTuple):
    """What the gates of a chunk come to; the last axis of each is the chunk's tokens, but for ``restart``."""

    updates: Tensor  # G̃ [..., token, token]: how much of each token's gradient is in each token's weights
    kept: Tensor  # β [..., token]: how much of the chunk's first weights is
    carried: Tensor  # c [..., token]: how much of its first momentum is
    surprise: Tensor  # the last row of P̃ [..., token]: how much of each gradient is in the last momentum
    restart: Tensor  # p of the last token [...]: how much of the first momentum is


class Scalars(NamedTuple):
    """The gates, each [batch, heads, length]."""

    momentum: Tensor
    rate: Tensor
    decay: Tensor


def fast_weight(
    qkv: tuple[Tensor, Tensor, Tensor],
    gates: tuple[Tensor, Tensor, Tensor],
    weights: Tensors,
    momenta: Tensors,
    chunk: int,
    window: int,
) -> tuple[Tensor, Tensors, Tensors]:
    """The whole sequence, a chunk at a time; arguments as in the public function."""
    given = qkv[0].dtype
    dtype = weights[0].dtype
    q, k, v = (tensor.to(dtype).transpose(1, 2) for tensor in qkv)
    scalars = Scalars(*(gate.to(dtype).transpose(1, 2) for gate in gates))
    outputs = []
    # Split once: each slice of a tensor would cost the backward a whole tensor of zeros.
    tokens = (torch.split(tensor, chunk, 2) for tensor in (q, k, v))
    for mixing, asked, keys, values in zip(_mixings(scalars, chunk, window), *tokens, strict=True):
        inputs, errors = _gradients(weights, keys, values)
        outputs.append(_read(weights, momenta, mixing, asked, inputs, errors))
        weights, momenta = _advance(weights, momenta, mixing, inputs, errors)
    return torch.cat(outputs, dim=2).transpose(1, 2).to(given), weights, momenta


def fast_weight_step(
    qkv: tuple[Tensor, Tensor, Tensor],
    gates: tuple[Tensor, Tensor, Tensor],
    weights: Tensors,
    momenta: Tensors,
    anchor: Tensors,
) -> tuple[Tensor, Tensors, Tensors]:
    """One token; k and v [batch, tokens, heads, width] hold the window's tokens, the newest last."""
    dtype = weights[0].dtype
    q = qkv[0].to(dtype)
    k, v = (tensor.to(dtype).transpose(1, 2) for tensor in qkv[1:])
    momentum, rate, decay = (gate.to(dtype)[..., None, None] for gate in gates)
    inputs, errors = _gradients(anchor, k, v)
    momenta = tuple(
        momentum * held - rate * error.transpose(-1, -2) @ seen
        for held, seen, error in zip(momenta, inputs, errors, strict=True)
    )
    weights = tuple((1 - decay) * weight + held for weight, held in zip(weights, momenta, strict=True))
    hidden = q[..., None]
    for layer, weight in enumerate(weights):
        hidden = weight @ (silu(hidden) if layer else hidden)
    return hidden[..., 0].to(qkv[0].dtype), weights, momenta


def _mixings(scalars: Scalars, chunk: int, window: int) -> list[Mixing]:
    """Each chunk's mixing; the whole chunks' recurrences run side by side."""
    length = scalars.rate.shape[-1]
    whole = length - length % chunk
    mixings = []
    if whole:
        chunks = (*scalars.rate.shape[:2], whole // chunk, chunk)
        together = _mix(Scalars(*(gate[..., :whole].reshape(chunks) for gate in scalars)), window)
        mixings = [Mixing(*parts) for parts in zip(*(part.unbind(2) for part in together), strict=True)]
    if whole < length:
        mixings.append(_mix(Scalars(*(gate[..., whole:] for gate in scalars)), window))
    return mixings


def _mix(scalars: Scalars, window: int) -> Mixing:
    size = scalars.rate.shape[-1]
    column = torch.arange(size, device=scalars.rate.device)
    surprise = update = torch.zeros_like(scalars.rate)
    restart = kept = torch.ones_like(scalars.rate[..., 0])
    carried = torch.zeros_like(kept)
    rows = []
    for token, gates in enumerate(zip(*(gate.unbind(-1) for gate in scalars), strict=True)):
        momentum, rate, decay = gates
        in_window = (column <= token) & (column > token - window)
        surprise = momentum[..., None] * surprise + rate[..., None] * in_window
        update = (1 - decay)[..., None] * update + surprise
        restart = momentum * restart
        carried = (1 - decay) * carried + restart
        kept = (1 - decay) * kept
        rows.append((update, kept, carried))
    updates, keeps, carries = zip(*rows, strict=True)
    return Mixing(
        torch.stack(updates, -2), torch.stack(keeps, -1), torch.stack(carries, -1), surprise, restart
    )


def _gradients(weights: Tensors, k: Tensor, v: Tensor) -> tuple[Tensors, Tensors]:
    """Each layer's inputs x_j and errors e_j: the gradient of token j is e_j x_jᵀ."""
    if len(weights) == 1:
        return (k,), (2 * (k @ weights[0].transpose(-1, -2) - v),)
    first, second = weights
    before = k @ first.transpose(-1, -2)
    hidden = silu(before)
    error = 2 * (hidden @ second.transpose(-1, -2) - v)
    gate = torch.sigmoid(before)
    slope = gate * (1 + before * (1 - gate))
    return (k, hidden), (error @ second * slope, error)


def _read(
    weights: Tensors, momenta: Tensors, mixing: Mixing, q: Tensor, inputs: Tensors, errors: Tensors
) -> Tensor:
    """What each token reads with its own weights, a layer at a time."""
    hidden = q
    for layer, (weight, held) in enumerate(zip(weights, momenta, strict=True)):
        if layer:
            hidden = silu(hidden)
        alike = mixing.updates * (hidden @ inputs[layer].transpose(-1, -2))
        hidden = (
            mixing.kept[..., None] * (hidden @ weight.transpose(-1, -2))
            + mixing.carried[..., None] * (hidden @ held.transpose(-1, -2))
            - alike @ errors[layer]
        )
    return hidden


def _advance(
    weights: Tensors, momenta: Tensors, mixing: Mixing, inputs: Tensors, errors: Tensors
) -> tuple[Tensors, Tensors]:
    """The weights and the momenta after the chunk's last token."""
    kept, carried = mixing.kept[..., -1, None, None], mixing.carried[..., -1, None, None]
    update, surprise = mixing.updates[..., -1, :, None], mixing.surprise[..., None]
    after, held = [], []
    for weight, before, seen, error in zip(weights, momenta, inputs, errors, strict=True):
        after.append(kept * weight + carried * before - (update * error).transpose(-1, -2) @ seen)
        held.append(mixing.restart[..., None, None] * before - (surprise * error).transpose(-1, -2) @ seen)
    return tuple(after), tuple(held)
