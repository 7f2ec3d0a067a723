"""Hidden values of LaCT's fast weights, and their derivatives: products over the width, fused with silu.

Names: b batch, t tokens, w width, h hidden; gate = W0 x, up = W2 x, back = W1ᵀ v. Weights are contiguous.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.activations_triton import sigmoid, silu_bend, silu_slope
from storyloom.kernels.tiles_triton import own_tile, tile_of


@triton.jit
def _place(T, H, BLOCK_T: tl.constexpr, BLOCK_H: tl.constexpr):
    """The batch entry, tokens and hidden values of a program, and the place of its tile along the latter."""
    batch, tile_t, tile_h = own_tile(T, H, BLOCK_T, BLOCK_H)
    tokens = tile_t * BLOCK_T + tl.arange(0, BLOCK_T)
    hidden = tile_h * BLOCK_H + tl.arange(0, BLOCK_H)
    return batch, tokens, hidden, tile_h


@triton.jit
def _weights_at(batch, hidden, inner, W, H):
    """Where the weights of some hidden values begin: in W0 and W2, and in W1."""
    first = batch * H * W
    return (
        first + hidden[None, :].to(tl.int64) * W + inner[:, None],
        first + inner[:, None].to(tl.int64) * H + hidden[None, :],
    )


@triton.jit
def _values_at(batch, tokens, hidden, T, H):
    """Where a program's tile lies among [b, t, h], and which of it is real."""
    inside = (tokens < T)[:, None] & (hidden < H)[None, :]
    return batch * T * H + tokens.to(tl.int64)[:, None] * H + hidden[None, :], inside


@triton.jit
def _weigh(acc, token, weight, mask):
    """``acc`` with some tokens times a tile of weights added."""
    return tl.dot(token, tl.load(weight, mask=mask, other=0.0), acc, input_precision="ieee")


@triton.jit
def _hidden_kernel(
    w0, w2, x, out, x_b, x_t, x_w, T, W, H,
    BLOCK_T: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A tile of silu(W0 x) ⊙ W2 x, [b, t, h]."""
    batch, tokens, hidden, _ = _place(T, H, BLOCK_T, BLOCK_H)
    inner = tl.arange(0, BLOCK_K)
    x += batch * x_b + tokens.to(tl.int64)[:, None] * x_t + inner[None, :] * x_w
    weight, _ = _weights_at(batch, hidden, inner, W, H)
    gate = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    up = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    for start in range(0, W, BLOCK_K):
        here = start + inner < W
        weighed = here[:, None] & (hidden < H)[None, :]
        token = tl.load(x, mask=(tokens < T)[:, None] & here[None, :], other=0.0)
        gate = _weigh(gate, token, w0 + weight, weighed)
        up = _weigh(up, token, w2 + weight, weighed)
        x += BLOCK_K * x_w
        weight += BLOCK_K
    value = gate * sigmoid(gate) * up
    place, inside = _values_at(batch, tokens, hidden, T, H)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _backward_kernel(
    w0, w1, w2, x, v, rates, value_out, gate_out, up_out,
    x_b, x_t, x_w, v_b, v_t, v_w, rates_b, rates_t, rates_c, T, W, H,
    RATES: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A tile of the hidden values, and of the gradients of gate and up of ⟨f(x), v⟩; each times its rate.

    The three products over the width share one loop.
    """
    batch, tokens, hidden, _ = _place(T, H, BLOCK_T, BLOCK_H)
    inner = tl.arange(0, BLOCK_K)
    x += batch * x_b + tokens.to(tl.int64)[:, None] * x_t + inner[None, :] * x_w
    v += batch * v_b + tokens.to(tl.int64)[:, None] * v_t + inner[None, :] * v_w
    weight, turned = _weights_at(batch, hidden, inner, W, H)
    gate = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    up = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    back = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    for start in range(0, W, BLOCK_K):
        here = start + inner < W
        weighed = here[:, None] & (hidden < H)[None, :]
        known = (tokens < T)[:, None] & here[None, :]
        token = tl.load(x, mask=known, other=0.0)
        gate = _weigh(gate, token, w0 + weight, weighed)
        up = _weigh(up, token, w2 + weight, weighed)
        token = tl.load(v, mask=known, other=0.0)
        back = _weigh(back, token, w1 + turned, weighed)
        x += BLOCK_K * x_w
        v += BLOCK_K * v_w
        weight += BLOCK_K
        turned += BLOCK_K * H
    share = sigmoid(gate)
    active = gate * share
    value = active * up
    d_gate = back * up * silu_slope(gate, share)
    d_up = back * active
    if RATES:
        rates += batch * rates_b + tokens.to(tl.int64) * rates_t
        d_gate *= tl.load(rates, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
        value *= tl.load(rates + rates_c, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
        d_up *= tl.load(rates + 2 * rates_c, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
    place, inside = _values_at(batch, tokens, hidden, T, H)
    tl.store(value_out + place, value.to(value_out.dtype.element_ty), mask=inside)
    tl.store(gate_out + place, d_gate.to(gate_out.dtype.element_ty), mask=inside)
    tl.store(up_out + place, d_up.to(up_out.dtype.element_ty), mask=inside)


@triton.jit
def _second_kernel(
    w0, w1, w2, e0, e1, e2, k, v, rates,
    d_gate_out, d_up_out, d_back_out, r_gate_out, r_value_out, r_up_out, d_rates,
    k_b, k_t, k_w, v_b, v_t, v_w, rates_b, rates_t, rates_c, B, T, W, H,
    BLOCK_T: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A tile of all that the gradients of the directions need: six products over the width in one loop.

    The upstream E0, E1, E2 of d0, d1, d2 make a scalar of each hidden value, with m0 = E0 k, m2 = E2 k and
    m1 = E1ᵀ v::

        r0 back up s'(gate) m0 + r2 back s(gate) m2 + r1 s(gate) up m1

    Written are its derivatives by gate, up, back, m0, m1 and m2, and the tile's sums of those by the rates.
    """
    batch, tokens, hidden, tile_h = _place(T, H, BLOCK_T, BLOCK_H)
    inner = tl.arange(0, BLOCK_K)
    k += batch * k_b + tokens.to(tl.int64)[:, None] * k_t + inner[None, :] * k_w
    v += batch * v_b + tokens.to(tl.int64)[:, None] * v_t + inner[None, :] * v_w
    weight, turned = _weights_at(batch, hidden, inner, W, H)
    gate = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    up = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    back = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    m0 = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    m1 = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    m2 = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    for start in range(0, W, BLOCK_K):
        here = start + inner < W
        weighed = here[:, None] & (hidden < H)[None, :]
        known = (tokens < T)[:, None] & here[None, :]
        token = tl.load(k, mask=known, other=0.0)
        gate = _weigh(gate, token, w0 + weight, weighed)
        up = _weigh(up, token, w2 + weight, weighed)
        m0 = _weigh(m0, token, e0 + weight, weighed)
        m2 = _weigh(m2, token, e2 + weight, weighed)
        token = tl.load(v, mask=known, other=0.0)
        back = _weigh(back, token, w1 + turned, weighed)
        m1 = _weigh(m1, token, e1 + turned, weighed)
        k += BLOCK_K * k_w
        v += BLOCK_K * v_w
        weight += BLOCK_K
        turned += BLOCK_K * H
    rates += batch * rates_b + tokens.to(tl.int64) * rates_t
    rate0 = tl.load(rates, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
    rate1 = tl.load(rates + rates_c, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
    rate2 = tl.load(rates + 2 * rates_c, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
    share = sigmoid(gate)
    active = gate * share
    slope = silu_slope(gate, share)
    bend = silu_bend(gate, share)
    d_gate = rate0 * back * up * bend * m0 + rate2 * back * slope * m2 + rate1 * slope * up * m1
    d_up = rate0 * back * slope * m0 + rate1 * active * m1
    d_back = rate0 * up * slope * m0 + rate2 * active * m2
    place, inside = _values_at(batch, tokens, hidden, T, H)
    dtype: tl.constexpr = d_gate_out.dtype.element_ty
    tl.store(d_gate_out + place, d_gate.to(dtype), mask=inside)
    tl.store(d_up_out + place, d_up.to(dtype), mask=inside)
    tl.store(d_back_out + place, d_back.to(dtype), mask=inside)
    tl.store(r_gate_out + place, (rate0 * back * up * slope).to(dtype), mask=inside)
    tl.store(r_value_out + place, (rate1 * active * up).to(dtype), mask=inside)
    tl.store(r_up_out + place, (rate2 * back * active).to(dtype), mask=inside)
    d_rates += ((tile_h * B + batch) * T + tokens.to(tl.int64)) * 3
    tl.store(d_rates, tl.sum(back * up * slope * m0, 1), mask=tokens < T)
    tl.store(d_rates + 1, tl.sum(active * up * m1, 1), mask=tokens < T)
    tl.store(d_rates + 2, tl.sum(back * active * m2, 1), mask=tokens < T)


def hidden_values(w0: Tensor, w2: Tensor, x: Tensor) -> Tensor:
    """silu(W0 x) ⊙ W2 x, [b, t, h]."""
    batch, hidden, width = w0.shape
    value = x.new_empty((batch, x.shape[1], hidden))
    if batch:
        grid, config = _config(x, hidden, products=2)
        _hidden_kernel[grid](w0, w2, x, value, *x.stride(), x.shape[1], width, hidden, **config)
    return value


def hidden_backward(
    w0: Tensor, w1: Tensor, w2: Tensor, x: Tensor, v: Tensor, rates: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden values and the gradients of gate and up, [b, t, h] each; times the rates where there are."""
    batch, hidden, width = w0.shape
    tokens = x.shape[1]
    value, d_gate, d_up = x.new_empty((3, batch, tokens, hidden))
    stepped = x if rates is None else rates
    if batch:
        grid, config = _config(x, hidden, products=3)
        _backward_kernel[grid](
            w0, w1, w2, x, v, stepped, value, d_gate, d_up,
            *x.stride(), *v.stride(), *stepped.stride(), tokens, width, hidden,
            RATES=rates is not None, **config,
        )  # fmt: skip
    return value, d_gate, d_up


def hidden_second(
    weights: tuple[Tensor, Tensor, Tensor], upstream: tuple[Tensor, Tensor, Tensor],
    k: Tensor, v: Tensor, rates: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """What the gradients of the directions need of each hidden value.

    Returns:
        [6, b, t, h] in the dtype of ``k``: the derivatives by gate, up, back, m0, m1 and m2; and those by the
        rates, [tiles of h, b, t, 3] in float32, to be summed over the tiles.
    """
    batch, hidden, width = weights[0].shape
    tokens = k.shape[1]
    derivatives = k.new_empty((6, batch, tokens, hidden))
    grid, config = _config(k, hidden, products=6)
    tiles_h = triton.cdiv(hidden, config["BLOCK_H"])
    d_rates = k.new_empty((tiles_h, batch, tokens, 3), dtype=torch.float32)
    if batch:
        _second_kernel[grid](
            *weights, *upstream, k, v, rates, *derivatives, d_rates,
            *k.stride(), *v.stride(), *rates.stride(), batch, tokens, width, hidden, **config,
        )  # fmt: skip
    return derivatives, d_rates


def _config(x: Tensor, hidden: int, products: int) -> tuple[tuple[int], dict[str, int]]:
    """The grid and tiles of a kernel that holds some products of tokens and weights in registers at once."""
    batch, tokens, width = x.shape
    full = x.dtype == torch.float32
    block_t = tile_of(tokens, 64 if full or products > 3 else 128)
    block_h = tile_of(hidden, 32 if full and products > 2 else 64)
    grid = (batch * triton.cdiv(tokens, block_t) * triton.cdiv(hidden, block_h),)
    return grid, {
        "BLOCK_T": block_t,
        "BLOCK_H": block_h,
        "BLOCK_K": tile_of(width, 32 if full or products > 3 else 64),
        "num_warps": 8 if products * block_t * block_h > 64 * 64 else 4,
        "num_stages": 2 if full else 3,
    }
