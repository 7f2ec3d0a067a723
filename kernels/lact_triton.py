"""LaCT's fast weights in Triton: products over the width give hidden values, products of those all else.

Hidden values are held in the tokens' dtype from one launch to the next; none is kept for the backward, which
computes them again. Between launches torch allocates, lays weights out contiguously, adds up partial sums.

Names: b batch, t tokens, w width, h hidden; gate = W0 x, up = W2 x, back = W1ᵀ v.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Programs that keep a large GPU busy: long sums are split until there are so many.
_BUSY = 256
_MOST_SPLITS = 8
_LEAST_STEPS = 4


@triton.jit
def _sigmoid(x):
    """1 / (1 + e⁻ˣ) without an overflow at either end."""
    small = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, small) / (1.0 + small)


@triton.jit
def _place(T, H, BLOCK_T: tl.constexpr, BLOCK_H: tl.constexpr):
    """The batch entry, tokens and hidden values of a program."""
    tiles_h = tl.cdiv(H, BLOCK_H)
    tiles = tl.cdiv(T, BLOCK_T) * tiles_h
    tile = tl.program_id(0) % tiles
    tokens = tile // tiles_h * BLOCK_T + tl.arange(0, BLOCK_T)
    hidden = tile % tiles_h * BLOCK_H + tl.arange(0, BLOCK_H)
    return tl.program_id(0).to(tl.int64) // tiles, tokens, hidden, tile % tiles_h


@triton.jit
def _hidden(
    w0, w2, x, out, x_b, x_t, x_w, T, W, H,
    BLOCK_T: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A tile of silu(W0 x) ⊙ W2 x, [b, t, h]."""
    batch, tokens, hidden, _ = _place(T, H, BLOCK_T, BLOCK_H)
    inner = tl.arange(0, BLOCK_K)
    x += batch * x_b + tokens.to(tl.int64)[:, None] * x_t + inner[None, :] * x_w
    weight = batch * H * W + hidden[None, :].to(tl.int64) * W + inner[:, None]
    gate = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    up = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    for start in range(0, W, BLOCK_K):
        here = start + inner < W
        weighed = here[:, None] & (hidden < H)[None, :]
        token = tl.load(x, mask=(tokens < T)[:, None] & here[None, :], other=0.0)
        gate = tl.dot(token, tl.load(w0 + weight, mask=weighed, other=0.0), gate, input_precision="ieee")
        up = tl.dot(token, tl.load(w2 + weight, mask=weighed, other=0.0), up, input_precision="ieee")
        x += BLOCK_K * x_w
        weight += BLOCK_K
    value = gate * _sigmoid(gate) * up
    inside = (tokens < T)[:, None] & (hidden < H)[None, :]
    place = batch * T * H + tokens.to(tl.int64)[:, None] * H + hidden[None, :]
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _hidden_backward(
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
    weight = batch * H * W + hidden[None, :].to(tl.int64) * W + inner[:, None]
    turned = batch * H * W + inner[:, None].to(tl.int64) * H + hidden[None, :]
    gate = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    up = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    back = tl.zeros((BLOCK_T, BLOCK_H), tl.float32)
    for start in range(0, W, BLOCK_K):
        here = start + inner < W
        weighed = here[:, None] & (hidden < H)[None, :]
        known = (tokens < T)[:, None] & here[None, :]
        token = tl.load(x, mask=known, other=0.0)
        gate = tl.dot(token, tl.load(w0 + weight, mask=weighed, other=0.0), gate, input_precision="ieee")
        up = tl.dot(token, tl.load(w2 + weight, mask=weighed, other=0.0), up, input_precision="ieee")
        token = tl.load(v, mask=known, other=0.0)
        back = tl.dot(token, tl.load(w1 + turned, mask=weighed, other=0.0), back, input_precision="ieee")
        x += BLOCK_K * x_w
        v += BLOCK_K * v_w
        weight += BLOCK_K
        turned += BLOCK_K * H
    share = _sigmoid(gate)
    active = gate * share
    value = active * up
    d_gate = back * up * share * (1.0 + gate * (1.0 - share))
    d_up = back * active
    if RATES:
        rates += batch * rates_b + tokens.to(tl.int64) * rates_t
        d_gate *= tl.load(rates, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
        value *= tl.load(rates + rates_c, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
        d_up *= tl.load(rates + 2 * rates_c, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
    inside = (tokens < T)[:, None] & (hidden < H)[None, :]
    place = batch * T * H + tokens.to(tl.int64)[:, None] * H + hidden[None, :]
    tl.store(value_out + place, value.to(value_out.dtype.element_ty), mask=inside)
    tl.store(gate_out + place, d_gate.to(gate_out.dtype.element_ty), mask=inside)
    tl.store(up_out + place, d_up.to(up_out.dtype.element_ty), mask=inside)


@triton.jit
def _hidden_second(  # noqa: PLR0915
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
    weight = batch * H * W + hidden[None, :].to(tl.int64) * W + inner[:, None]
    turned = batch * H * W + inner[:, None].to(tl.int64) * H + hidden[None, :]
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
        gate = tl.dot(token, tl.load(w0 + weight, mask=weighed, other=0.0), gate, input_precision="ieee")
        up = tl.dot(token, tl.load(w2 + weight, mask=weighed, other=0.0), up, input_precision="ieee")
        m0 = tl.dot(token, tl.load(e0 + weight, mask=weighed, other=0.0), m0, input_precision="ieee")
        m2 = tl.dot(token, tl.load(e2 + weight, mask=weighed, other=0.0), m2, input_precision="ieee")
        token = tl.load(v, mask=known, other=0.0)
        back = tl.dot(token, tl.load(w1 + turned, mask=weighed, other=0.0), back, input_precision="ieee")
        m1 = tl.dot(token, tl.load(e1 + turned, mask=weighed, other=0.0), m1, input_precision="ieee")
        k += BLOCK_K * k_w
        v += BLOCK_K * v_w
        weight += BLOCK_K
        turned += BLOCK_K * H
    rates += batch * rates_b + tokens.to(tl.int64) * rates_t
    rate0 = tl.load(rates, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
    rate1 = tl.load(rates + rates_c, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
    rate2 = tl.load(rates + 2 * rates_c, mask=tokens < T, other=0.0).to(tl.float32)[:, None]
    share = _sigmoid(gate)
    active = gate * share
    slope = share * (1.0 + gate * (1.0 - share))
    bend = share * (1.0 - share) * (2.0 + gate * (1.0 - 2.0 * share))
    d_gate = rate0 * back * up * bend * m0 + rate2 * back * slope * m2 + rate1 * slope * up * m1
    d_up = rate0 * back * slope * m0 + rate1 * active * m1
    d_back = rate0 * up * slope * m0 + rate2 * active * m2
    inside = (tokens < T)[:, None] & (hidden < H)[None, :]
    place = batch * T * H + tokens.to(tl.int64)[:, None] * H + hidden[None, :]
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


@triton.jit
def _pair(
    acc, left, right, left_m, left_k, right_k, right_n, rows, columns, first, last, M, N,
    BLOCK_K: tl.constexpr,
):  # fmt: skip
    """``acc`` with a tile of left @ right added, over a range of the inner axis."""
    inner = tl.arange(0, BLOCK_K).to(tl.int64)
    left += rows.to(tl.int64)[:, None] * left_m + (first + inner)[None, :] * left_k
    right += (first + inner)[:, None] * right_k + columns.to(tl.int64)[None, :] * right_n
    for start in range(first, last, BLOCK_K):
        here = start + inner < last
        a = tl.load(left, mask=(rows < M)[:, None] & here[None, :], other=0.0)
        b = tl.load(right, mask=here[:, None] & (columns < N)[None, :], other=0.0)
        acc = tl.dot(a, b, acc, input_precision="ieee")
        left += BLOCK_K * left_k
        right += BLOCK_K * right_k
    return acc


@triton.jit
def _products(
    left0, left1, left2, left3, right0, right1, right2, right3, out,
    left_b, left_m, left_k, right_b, right_k, right_n, B, M, N, K, part,
    PAIRS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A tile of the sum of one, two or four products, over one part of the inner axis: [parts, b, m, n]."""
    tiles_n = tl.cdiv(N, BLOCK_N)
    tiles = tl.cdiv(M, BLOCK_M) * tiles_n
    tile = tl.program_id(0) % tiles
    whole = tl.program_id(0).to(tl.int64) // tiles
    batch = whole % B
    rows = tile // tiles_n * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tile % tiles_n * BLOCK_N + tl.arange(0, BLOCK_N)
    first = (whole // B * part).to(tl.int32)
    last = tl.minimum(first + part, K)
    left_b *= batch
    right_b *= batch
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    acc = _pair(acc, left0 + left_b, right0 + right_b, left_m, left_k, right_k, right_n,
                rows, columns, first, last, M, N, BLOCK_K)  # fmt: skip
    if PAIRS > 1:
        acc = _pair(acc, left1 + left_b, right1 + right_b, left_m, left_k, right_k, right_n,
                    rows, columns, first, last, M, N, BLOCK_K)  # fmt: skip
    if PAIRS > 2:
        acc = _pair(acc, left2 + left_b, right2 + right_b, left_m, left_k, right_k, right_n,
                    rows, columns, first, last, M, N, BLOCK_K)  # fmt: skip
        acc = _pair(acc, left3 + left_b, right3 + right_b, left_m, left_k, right_k, right_n,
                    rows, columns, first, last, M, N, BLOCK_K)  # fmt: skip
    place = whole * M * N + rows.to(tl.int64)[:, None] * N + columns[None, :]
    inside = (rows < M)[:, None] & (columns < N)[None, :]
    tl.store(out + place, acc.to(out.dtype.element_ty), mask=inside)


def lact_apply_triton(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor) -> Tensor:
    """:func:`lact.lact_apply`."""
    output: Tensor = _apply(w0, w1, w2, q)
    return output


def lact_gradients_triton(
    w0: Tensor, w1: Tensor, w2: Tensor, k: Tensor, v: Tensor, rates: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`lact.lact_gradients`."""
    d0, d1, d2 = _gradients(w0, w1, w2, k, v, rates)
    return d0, d1, d2


@torch.library.custom_op("storyloom::lact_apply", mutates_args=())
def _apply(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor) -> Tensor:
    w0, w1, w2 = w0.contiguous(), w1.contiguous(), w2.contiguous()
    batch, hidden, width = w0.shape
    value = q.new_empty((batch, q.shape[1], hidden))
    if batch:
        grid, config = _hidden_config(q, hidden, products=2)
        _hidden[grid](w0, w2, q, value, *q.stride(), q.shape[1], width, hidden, **config)
    return _multiply([value], [w1.mT])


@torch.library.custom_op("storyloom::lact_apply_backward", mutates_args=())
def _apply_backward(
    w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    w0, w1, w2 = w0.contiguous(), w1.contiguous(), w2.contiguous()
    value, d_gate, d_up = _back(w0, w1, w2, q, upstream, None)
    dq = _multiply([d_gate, d_up], [w0, w2])
    return _multiply([d_gate.mT], [q]), _multiply([upstream.mT], [value]), _multiply([d_up.mT], [q]), dq


@torch.library.custom_op("storyloom::lact_gradients", mutates_args=())
def _gradients(
    w0: Tensor, w1: Tensor, w2: Tensor, k: Tensor, v: Tensor, rates: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    value, d_gate, d_up = _back(w0.contiguous(), w1.contiguous(), w2.contiguous(), k, v, rates)
    return _multiply([d_gate.mT], [k]), _multiply([v.mT], [value]), _multiply([d_up.mT], [k])


@torch.library.custom_op("storyloom::lact_gradients_backward", mutates_args=())
def _gradients_backward(
    w0: Tensor,
    w1: Tensor,
    w2: Tensor,
    k: Tensor,
    v: Tensor,
    rates: Tensor,
    e0: Tensor,
    e1: Tensor,
    e2: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    w0, w1, w2 = w0.contiguous(), w1.contiguous(), w2.contiguous()
    e0, e1, e2 = e0.contiguous(), e1.contiguous(), e2.contiguous()
    batch, hidden, width = w0.shape
    tokens = k.shape[1]
    d_gate, d_up, d_back, r_gate, r_value, r_up = k.new_empty((6, batch, tokens, hidden))
    grid, config = _hidden_config(k, hidden, products=6)
    tiles_h = triton.cdiv(hidden, config["BLOCK_H"])
    d_rates = k.new_empty((tiles_h, batch, tokens, 3), dtype=torch.float32)
    if batch:
        _hidden_second[grid](
            w0, w1, w2, e0, e1, e2, k, v, rates, d_gate, d_up, d_back, r_gate, r_value, r_up, d_rates,
            *k.stride(), *v.stride(), *rates.stride(), batch, tokens, width, hidden, **config,
        )  # fmt: skip
    return (
        _multiply([d_gate.mT], [k]),
        _multiply([v.mT], [d_back]),
        _multiply([d_up.mT], [k]),
        _multiply([d_gate, d_up, r_gate, r_up], [w0, w2, e0, e2]),
        _multiply([d_back, r_value], [w1.mT, e1.mT]),
        d_rates.sum(0).to(rates.dtype),
    )


@_apply.register_fake
def _(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor) -> Tensor:  # noqa: ARG001
    return q.new_empty(q.shape)


@_apply_backward.register_fake
def _(*inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs[:4])


@_gradients.register_fake
def _(w0: Tensor, w1: Tensor, w2: Tensor, *tokens: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG001
    return tuple(tensor.new_empty(tensor.shape) for tensor in (w0, w1, w2))


@_gradients_backward.register_fake
def _(*inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs[:6])


def _save(ctx, inputs, output) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _back_apply(ctx, upstream: Tensor):
    return _apply_backward(*ctx.saved_tensors, upstream)


def _back_gradients(ctx, e0: Tensor, e1: Tensor, e2: Tensor):
    return _gradients_backward(*ctx.saved_tensors, e0, e1, e2)


_apply.register_autograd(_back_apply, setup_context=_save)
_gradients.register_autograd(_back_gradients, setup_context=_save)


def _back(
    w0: Tensor, w1: Tensor, w2: Tensor, x: Tensor, v: Tensor, rates: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden values and the gradients of gate and up, [b, t, h] each; times the rates where there are."""
    batch, hidden, width = w0.shape
    tokens = x.shape[1]
    value, d_gate, d_up = x.new_empty((3, batch, tokens, hidden))
    stepped = x if rates is None else rates
    if batch:
        grid, config = _hidden_config(x, hidden, products=3)
        _hidden_backward[grid](
            w0, w1, w2, x, v, stepped, value, d_gate, d_up,
            *x.stride(), *v.stride(), *stepped.stride(), tokens, width, hidden,
            RATES=rates is not None, **config,
        )  # fmt: skip
    return value, d_gate, d_up


def _multiply(lefts: list[Tensor], rights: list[Tensor]) -> Tensor:
    """The sum of one, two or four products [b, m, k] @ [b, k, n], in their dtype.

    All on a side have the same strides. A long inner axis is split where the result has few tiles; torch adds
    up the parts.
    """
    left, right = lefts[0], rights[0]
    batch, m, inner = left.shape
    n = right.shape[2]
    config = _product_config(left.dtype, m, n, inner)
    tiles = batch * triton.cdiv(m, config["BLOCK_M"]) * triton.cdiv(n, config["BLOCK_N"])
    parts = _parts(tiles, inner, config["BLOCK_K"])
    part = triton.cdiv(triton.cdiv(inner, parts), config["BLOCK_K"]) * config["BLOCK_K"]
    parts = triton.cdiv(inner, part)
    out = left.new_empty((parts, batch, m, n), dtype=torch.float32 if parts > 1 else left.dtype)
    if batch:
        _products[(tiles * parts,)](
            *(lefts * 4)[:4], *(rights * 4)[:4], out, *left.stride(), *right.stride(),
            batch, m, n, inner, part, PAIRS=len(lefts), **config,
        )  # fmt: skip
    return out.sum(0).to(left.dtype) if parts > 1 else out[0]


def _parts(tiles: int, inner: int, block: int) -> int:
    """How many programs share a sum: so many that a GPU is busy, each with some steps of its own."""
    wanted = int(triton.cdiv(_BUSY, max(tiles, 1)))
    return max(1, min(wanted, _MOST_SPLITS, inner // (_LEAST_STEPS * block)))


def _block(size: int, most: int) -> int:
    """The power of two that holds a size, at least the 16 that a product needs.

    Where it would be too large: the tile for it, half the largest one where that pads much less.
    """
    block = max(16, int(triton.next_power_of_2(size)))
    if block <= most:
        return block
    half = most // 2
    return half if -size // most * most < 1.2 * (-size // half * half) else most


def _hidden_config(x: Tensor, hidden: int, products: int) -> tuple[tuple[int], dict[str, int]]:
    """The grid and tiles of a kernel that holds some products of tokens and weights in registers at once."""
    batch, tokens, width = x.shape
    full = x.dtype == torch.float32
    block_t = _block(tokens, 64 if full or products > 3 else 128)
    block_h = _block(hidden, 32 if full and products > 2 else 64)
    grid = (batch * triton.cdiv(tokens, block_t) * triton.cdiv(hidden, block_h),)
    return grid, {
        "BLOCK_T": block_t,
        "BLOCK_H": block_h,
        "BLOCK_K": _block(width, 32 if full or products > 3 else 64),
        "num_warps": 8 if products * block_t * block_h > 64 * 64 else 4,
        "num_stages": 2 if full else 3,
    }


def _product_config(dtype: torch.dtype, m: int, n: int, inner: int) -> dict[str, int]:
    # Products of float32 are unrolled into single multiplications: small tiles keep the program short.
    full = dtype == torch.float32
    largest = 64 if full else 128
    block_m, block_n = _block(m, largest), _block(n, largest)
    return {
        "BLOCK_M": block_m,
        "BLOCK_N": block_n,
        "BLOCK_K": _block(inner, 32 if full else 64),
        "num_warps": 8 if block_m * block_n > 64 * 64 else 4,
        "num_stages": 3,
    }
