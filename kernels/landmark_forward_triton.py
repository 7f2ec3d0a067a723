"""Landmark attention forward: a running softmax over the blocks' logits, a tile of queries a program."""

import triton
import triton.language as tl

from storyloom.kernels.landmark_tiles_triton import block_logit, load_block, load_marks, own_queries, within
from storyloom.kernels.softmax_triton import LN2, raise_top


@triton.jit
def _forward_blocks(
    qs, k_ptr, v_ptr, marks_ptr, gate, place, top, total, acc, first, last,
    k_t, v_t, l_n, length, scale, inside,
    BLOCK: tl.constexpr, LOCAL: tl.constexpr, BLOCK_N: tl.constexpr, MARKS: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """Add the blocks first … last − 1 to a running softmax; ``MASKED`` unless all lie before every query."""
    c = tl.arange(0, MARKS)
    own_block = place // BLOCK
    for start in range(first, last, MARKS):
        _marks, logits = load_marks(qs, marks_ptr, start, last, l_n, scale, inside, MARKS)
        for block in range(start, tl.minimum(start + MARKS, last)):
            _keys, values, scores = load_block(
                qs, k_ptr, v_ptr, block, place, k_t, v_t, length, scale, inside, BLOCK, BLOCK_N, MASKED
            )
            weights, own_total, own, empty = within(scores)
            logit = tl.sum(tl.where((start + c == block)[None, :], logits, 0.0), 1)
            logit, _above = block_logit(own, logit, gate, own_block >= block + LOCAL, empty)
            top, base, shrink = raise_top(top, logit)
            weight = tl.exp2(logit - base)
            total = total * shrink + weight
            weights = (weights * (weight / own_total)[:, None]).to(values.dtype)
            acc = acc * shrink[:, None] + tl.dot(weights, values, input_precision="ieee")
    return top, total, acc


@triton.jit
def forward_kernel(
    q_ptr, k_ptr, v_ptr, marks_ptr, gate_ptr, o_ptr, lse_ptr,
    q_b, q_t, q_h, q_d, k_b, k_t, k_h, k_d, v_b, v_t, v_h, v_d, l_b, l_n, l_h, l_d, gate_h,
    queries, length, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    LOCAL: tl.constexpr, MARKS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    """A tile of queries of one head; the last ones, which see most, come first."""
    HEADS: tl.constexpr = KV_HEADS * GROUP
    b, head, row, place, before, last = own_queries(queries, length, HEADS, BLOCK, BLOCK_M)
    d = tl.arange(0, BLOCK_D)
    inside, real = d < WIDTH, row < queries
    mask = real[:, None] & inside[None, :]
    qs = tl.load(q_ptr + b * q_b + row[:, None] * q_t + head * q_h + d[None, :] * q_d, mask=mask, other=0.0)
    k_ptr += b * k_b + head // GROUP * k_h + d[None, :] * k_d
    v_ptr += b * v_b + head // GROUP * v_h + d[None, :] * v_d
    marks_ptr += b * l_b + head // GROUP * l_h + d[None, :] * l_d
    gate = tl.load(gate_ptr + head * gate_h).to(tl.float32)

    top = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    top, total, acc = _forward_blocks(
        qs, k_ptr, v_ptr, marks_ptr, gate, place, top, total, acc, 0, before,
        k_t, v_t, l_n, length, scale, inside, BLOCK, LOCAL, BLOCK_N, MARKS, False,
    )  # fmt: skip
    top, total, acc = _forward_blocks(
        qs, k_ptr, v_ptr, marks_ptr, gate, place, top, total, acc, before, last,
        k_t, v_t, l_n, length, scale, inside, BLOCK, LOCAL, BLOCK_N, MARKS, True,
    )  # fmt: skip

    to = (b * queries + row) * HEADS + head
    tl.store(lse_ptr + to, (top + tl.log2(total)) * LN2, mask=real)
    acc = acc / total[:, None]
    tl.store(o_ptr + to[:, None] * WIDTH + d[None, :], acc.to(o_ptr.dtype.element_ty), mask=mask)
