"""Kernels of one fast-weight token: each state is read once and written once, in the layout of the caller.

The window's tokens make a small tile, so that the gradients' sum is one dot; a program takes a memory and, of
the linear one, a tile of values. Names as in ``fast_weight_linear_triton`` and ``fast_weight_mlp_triton``.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.activations_triton import sigmoid, silu_slope
from storyloom.kernels.backend import interpreted
from storyloom.kernels.fast_weight_mixing_triton import Gates
from storyloom.kernels.fast_weight_tiles_triton import (
    dot,
    load_tile,
    precision,
    rows_contiguous,
    span,
    store_tile,
)
from storyloom.kernels.tiles_triton import tile_of


@triton.jit
def _load_gate(gate, batch, head, gate_b, gate_h):
    return tl.load(gate + batch * gate_b + head * gate_h).to(tl.float32)


@triton.jit
def _linear_kernel(
    q, k, v, momentum, rate, decay, weights, momenta, anchor, output, new_weights, new_momenta,
    q_b, q_h, k_b, k_l, k_h, v_b, v_l, v_h, momentum_b, momentum_h, rate_b, rate_h, decay_b, decay_h,
    TOKENS, HEADS, WIDTH: tl.constexpr, VALUES: tl.constexpr,
    T: tl.constexpr, D: tl.constexpr, V: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A tile of values of a linear memory."""
    memory = tl.program_id(0).to(tl.int64)
    batch = memory // HEADS
    head = memory % HEADS
    token, token_in = span(0, T, TOKENS)
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(tl.program_id(1) * V, V, VALUES)
    at = memory * VALUES * WIDTH
    eta = _load_gate(momentum, batch, head, momentum_b, momentum_h)
    theta = _load_gate(rate, batch, head, rate_b, rate_h)
    keep = 1.0 - _load_gate(decay, batch, head, decay_b, decay_h)
    Q = tl.load(q + batch * q_b + head * q_h + width, mask=width_in, other=0.0).to(tl.float32)
    K = load_tile(k + batch * k_b + head * k_h, token, width, k_l, token_in, width_in)
    E = load_tile(v + batch * v_b + head * v_h, token, value, v_l, token_in, value_in).to(tl.float32)
    A = load_tile(anchor + at, value, width, WIDTH, value_in, width_in)
    E = 2.0 * (dot(K, tl.trans(A), DOT, PRECISION) - E)
    S = eta * load_tile(momenta + at, value, width, WIDTH, value_in, width_in)
    S -= theta * dot(tl.trans(E), K, DOT, PRECISION)
    W = keep * load_tile(weights + at, value, width, WIDTH, value_in, width_in) + S
    store_tile(new_momenta + at, S, value, width, WIDTH, value_in, width_in)
    store_tile(new_weights + at, W, value, width, WIDTH, value_in, width_in)
    read = tl.sum(W * Q[None, :], 1)
    tl.store(output + memory * VALUES + value, read.to(output.dtype.element_ty), mask=value_in)


@triton.jit
def _mlp_kernel(
    q, k, v, momentum, rate, decay, first, second, held_first, held_second, anchor_first, anchor_second,
    output, new_first, new_second, new_held_first, new_held_second,
    q_b, q_h, k_b, k_l, k_h, v_b, v_l, v_h, momentum_b, momentum_h, rate_b, rate_h, decay_b, decay_h,
    TOKENS, HEADS, WIDTH: tl.constexpr, VALUES: tl.constexpr, HIDDEN: tl.constexpr,
    T: tl.constexpr, D: tl.constexpr, V: tl.constexpr, F: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A whole perceptron, a tile of hidden units at a time: the error at the output, then the update."""
    memory = tl.program_id(0).to(tl.int64)
    batch = memory // HEADS
    head = memory % HEADS
    token, token_in = span(0, T, TOKENS)
    width, width_in = span(0, D, WIDTH)
    value, value_in = span(0, V, VALUES)
    at_first = memory * HIDDEN * WIDTH
    at_second = memory * VALUES * HIDDEN
    eta = _load_gate(momentum, batch, head, momentum_b, momentum_h)
    theta = _load_gate(rate, batch, head, rate_b, rate_h)
    keep = 1.0 - _load_gate(decay, batch, head, decay_b, decay_h)
    Q = tl.load(q + batch * q_b + head * q_h + width, mask=width_in, other=0.0).to(tl.float32)
    k += batch * k_b + head * k_h
    E2 = tl.zeros((T, V), tl.float32)
    for start in range(0, HIDDEN, F):
        unit, unit_in = span(start, F, HIDDEN)
        U = load_tile(anchor_first + at_first, unit, width, WIDTH, unit_in, width_in)
        X = load_tile(anchor_second + at_second, value, unit, HIDDEN, value_in, unit_in)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        Z = dot(K, tl.trans(U), DOT, PRECISION)
        E2 += dot(Z * sigmoid(Z), tl.trans(X), DOT, PRECISION)
    E2 -= load_tile(v + batch * v_b + head * v_h, token, value, v_l, token_in, value_in).to(tl.float32)
    E2 *= 2.0
    read = tl.zeros((V,), tl.float32)
    for start in range(0, HIDDEN, F):
        unit, unit_in = span(start, F, HIDDEN)
        U = load_tile(anchor_first + at_first, unit, width, WIDTH, unit_in, width_in)
        X = load_tile(anchor_second + at_second, value, unit, HIDDEN, value_in, unit_in)
        K = load_tile(k, token, width, k_l, token_in, width_in)
        Z = dot(K, tl.trans(U), DOT, PRECISION)
        gate = sigmoid(Z)
        E1 = dot(E2, X, DOT, PRECISION) * silu_slope(Z, gate)
        M = eta * load_tile(held_first + at_first, unit, width, WIDTH, unit_in, width_in)
        M -= theta * dot(tl.trans(E1), K, DOT, PRECISION)
        Y = eta * load_tile(held_second + at_second, value, unit, HIDDEN, value_in, unit_in)
        Y -= theta * dot(tl.trans(E2), Z * gate, DOT, PRECISION)
        U = keep * load_tile(first + at_first, unit, width, WIDTH, unit_in, width_in) + M
        X = keep * load_tile(second + at_second, value, unit, HIDDEN, value_in, unit_in) + Y
        store_tile(new_held_first + at_first, M, unit, width, WIDTH, unit_in, width_in)
        store_tile(new_held_second + at_second, Y, value, unit, HIDDEN, value_in, unit_in)
        store_tile(new_first + at_first, U, unit, width, WIDTH, unit_in, width_in)
        store_tile(new_second + at_second, X, value, unit, HIDDEN, value_in, unit_in)
        asked = tl.sum(U * Q[None, :], 1)
        read += tl.sum(X * (asked * sigmoid(asked))[None, :], 1)
    tl.store(output + memory * VALUES + value, read.to(output.dtype.element_ty), mask=value_in)


def step(
    qkv: tuple[Tensor, Tensor, Tensor], gates: Gates, memory: Sequence[Tensor], anchor: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The read, and the memory after it; k and v hold the tokens [batch, tokens, heads, …].

    Args:
        qkv: q [batch, heads, width], and k and v.
        gates: momentum, rate and decay, [batch, heads].
        memory: weights and then momenta.
        anchor: the weights at which gradients are taken.
    """
    q, k, v = (rows_contiguous(tensor) for tensor in qkv)
    memory, anchor = ([layer.contiguous() for layer in layers] for layers in (memory, anchor))
    batch, tokens, heads, values = v.shape
    width, hidden = q.shape[-1], memory[0].shape[-2]
    output = q.new_empty((batch, heads, values))
    after = [torch.empty_like(layer) for layer in memory]
    if not batch:
        return output, after
    steps = (
        *q.stride()[:2],
        *k.stride()[:3],
        *v.stride()[:3],
        *(step for gate in gates for step in gate.stride()),
    )
    sizes = {"WIDTH": width, "VALUES": values, "T": tile_of(tokens), "D": tile_of(width), **precision(q)}
    given = (q, k, v, *gates, *memory, *anchor, output, *after, *steps, tokens, heads)
    if len(anchor) == 1:
        columns = tile_of(values) if interpreted() else 16
        _linear_kernel[(batch * heads, triton.cdiv(values, columns))](*given, V=columns, num_warps=4, **sizes)
    else:
        units = min(tile_of(hidden), 64 if interpreted() else 32)
        _mlp_kernel[(batch * heads,)](
            *given, V=tile_of(values), HIDDEN=hidden, F=units, num_warps=4, num_stages=1, **sizes
        )
    return output, after
