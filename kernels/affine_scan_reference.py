"""Affine scans in plain torch: work in proportion to the length, depth in proportion to its logarithm."""

import torch
from torch import Tensor

# Stands for a maximum over nothing; a difference of two such is 0, where −∞ would give NaN.
LOWEST_SCORE = -1e30


def affine_scan_reference(a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
    """The scan of ``affine_scan``, in float32 or, for float64 inputs, float64."""
    kind = torch.promote_types(a.dtype, torch.float32)
    wide_a, wide_b = a.to(kind), b.to(kind)
    if reverse:
        wide_a, wide_b = wide_a.flip(1), wide_b.flip(1)
    h = scan(wide_a, wide_b, initial.to(kind))
    return (h.flip(1) if reverse else h).to(a.dtype)


def scan(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """Every state of h_t = a_t h_{t−1} + b_t along axis 1, from ``initial`` on.

    Two steps in a row are one: h → a₂ (a₁ h + b₁) + b₂. A scan over the pairs, half as long, gives every
    second state, and one more step from each of those the rest.
    """
    first = a[:, :1] * initial.unsqueeze(1) + b[:, :1]
    length = a.shape[1]
    if length == 1:
        return first
    pairs = length // 2
    early_a, early_b = a[:, : 2 * pairs : 2], b[:, : 2 * pairs : 2]
    late_a, late_b = a[:, 1::2], b[:, 1::2]
    late = scan(late_a * early_a, late_a * early_b + late_b, initial)
    # States 0, 2, 4, …: the first, then one step from each late state that another step follows.
    steps = (length - 1) // 2
    early = torch.cat((first, a[:, 2::2] * late[:, :steps] + b[:, 2::2]), 1)
    both = torch.stack((early[:, :pairs], late), 2).flatten(1, 2)
    return both if length == 2 * pairs else torch.cat((both, early[:, pairs:]), 1)


def aaren_reference(
    scores: Tensor, values: Tensor, state: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """The prefix attention of ``aaren``: a running maximum, then scans for u and w."""
    kind = torch.promote_types(values.dtype, torch.float32)
    s, v = scores.to(kind), values.to(kind)
    m0, u0, w0 = state
    # The maximum only scales u and w, and cancels in w / u: no gradient goes through it.
    start = torch.where(u0 > 0, m0, LOWEST_SCORE).detach().unsqueeze(1)
    running = torch.cummax(torch.cat((start, s.detach()), 1), 1).values
    decay = torch.exp(running[:, :-1] - running[:, 1:])
    weight = torch.exp(s - running[:, 1:])
    u = scan(decay, weight, u0)
    # A token without weight leaves nothing behind, even where its value is NaN.
    v = torch.where(weight.unsqueeze(-1) == 0, 0.0, v)
    w = scan(decay.unsqueeze(-1), weight.unsqueeze(-1) * v, w0)
    some = u != 0
    out = torch.where(some.unsqueeze(-1), w, 0.0) / torch.where(some, u, 1.0).unsqueeze(-1)
    return out.to(values.dtype), (running[:, -1], u[:, -1], w[:, -1])
