"""Landmark attention backward: the tiles are computed again, once by queries and once by blocks."""

import triton
import triton.language as tl

from storyloom.kernels.landmark_tiles_triton import block_logit, load_block, load_marks, own_queries, within
from storyloom.kernels.softmax_triton import LN2, LOG2E


@triton.jit
def _differentiate_tile(scores, d_weights, logit, gate, far, lse, delta):
    """Weights of a tile, and gradients of its scores, of its landmark's logit, and of the gate."""
    weights, own_total, own, empty = within(scores)
    weights = weights / own_total[:, None]
    logit, above = block_logit(own, logit, gate, far, empty)
    # Never above 1, whatever the sums were rounded to.
    share = tl.exp2(tl.minimum(logit - lse, 0.0))
    final = weights * share[:, None]
    d_scores = final * (d_weights - delta[:, None])
    d_shift = tl.where(far, tl.sum(d_scores, 1), 0.0)
    d_logit = gate * d_shift
    return final, d_scores - d_logit[:, None] * weights, d_logit, d_shift * above


@triton.jit
def _over_blocks(
    qs, d_out, k_ptr, v_ptr, marks_ptr, gate, place, lse, delta, d_q, d_gate, first, last,
    k_t, v_t, l_n, length, scale, inside,
    BLOCK: tl.constexpr, LOCAL: tl.constexpr, BLOCK_N: tl.constexpr, MARKS: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """What the blocks first … last − 1 add to the gradients of a tile of queries."""
    c = tl.arange(0, MARKS)
    own_block = place // BLOCK
    for start in range(first, last, MARKS):
        marks, logits = load_marks(qs, marks_ptr, start, last, l_n, scale, inside, MARKS)
        d_logits = tl.zeros_like(logits)
        for block in range(start, tl.minimum(start + MARKS, last)):
            keys, values, scores = load_block(
                qs, k_ptr, v_ptr, block, place, k_t, v_t, length, scale, inside, BLOCK, BLOCK_N, MASKED
            )
            d_weights = tl.dot(d_out, tl.trans(values), input_precision="ieee")
            is_this = (start + c == block)[None, :]
            logit = tl.sum(tl.where(is_this, logits, 0.0), 1)
            _final, d_scores, d_logit, d_gate_here = _differentiate_tile(
                scores, d_weights, logit, gate, own_block >= block + LOCAL, lse, delta
            )
            d_q += tl.dot(d_scores.to(keys.dtype), keys, input_precision="ieee")
            d_logits = tl.where(is_this, d_logit[:, None], d_logits)
            d_gate += d_gate_here
        d_q += tl.dot(d_logits.to(marks.dtype), marks, input_precision="ieee")
    return d_q, d_gate


@triton.jit
def queries_kernel(
    q_ptr, k_ptr, v_ptr, marks_ptr, gate_ptr, o_ptr, lse_ptr, d_o_ptr, d_lse_ptr,
    d_q_ptr, delta_ptr, d_gate_ptr,
    q_b, q_t, q_h, q_d, k_b, k_t, k_h, k_d, v_b, v_t, v_h, v_d, l_b, l_n, l_h, l_d, gate_h,
    queries, length, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    LOCAL: tl.constexpr, MARKS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Gradients of a tile of queries of one head, and of the gate by each."""
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

    at = (b * queries + row) * HEADS + head
    of = at[:, None] * WIDTH + d[None, :]
    d_out = tl.load(d_o_ptr + of, mask=mask, other=0.0)
    out = tl.load(o_ptr + of, mask=mask, other=0.0)
    d_lse = tl.load(d_lse_ptr + at, mask=real, other=0.0)
    delta = tl.sum(out.to(tl.float32) * d_out.to(tl.float32), 1) - d_lse
    tl.store(delta_ptr + at, delta, mask=real)
    lse = tl.load(lse_ptr + at, mask=real, other=float("inf")) * LOG2E

    d_q = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    d_gate = tl.zeros([BLOCK_M], tl.float32)
    d_q, d_gate = _over_blocks(
        qs, d_out, k_ptr, v_ptr, marks_ptr, gate, place, lse, delta, d_q, d_gate, 0, before,
        k_t, v_t, l_n, length, scale * LOG2E, inside, BLOCK, LOCAL, BLOCK_N, MARKS, False,
    )  # fmt: skip
    d_q, d_gate = _over_blocks(
        qs, d_out, k_ptr, v_ptr, marks_ptr, gate, place, lse, delta, d_q, d_gate, before, last,
        k_t, v_t, l_n, length, scale * LOG2E, inside, BLOCK, LOCAL, BLOCK_N, MARKS, True,
    )  # fmt: skip
    tl.store(d_q_ptr + of, (d_q * scale).to(d_q_ptr.dtype.element_ty), mask=mask)
    tl.store(d_gate_ptr + at, d_gate * LN2, mask=real)


@triton.jit
def _over_queries(
    q_ptr, d_o_ptr, lse_ptr, delta_ptr, keys, values, mark, gate, seen_from, far_from, d_k, d_v, d_mark,
    first, last, queries, q_t, q_d, shift, scale, real_keys, inside, d,
    HEADS: tl.constexpr, WIDTH: tl.constexpr, BLOCK_M: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """What a head's queries first … last − 1 add to a block's gradients; ``MASKED`` if some are its own."""
    for start in range(first, last, BLOCK_M):
        row = start + tl.arange(0, BLOCK_M).to(tl.int64)
        real = row < queries
        mask = real[:, None] & inside[None, :]
        qs = tl.load(q_ptr + row[:, None] * q_t + d[None, :] * q_d, mask=mask, other=0.0)
        d_out = tl.load(d_o_ptr + row[:, None] * (HEADS * WIDTH) + d[None, :], mask=mask, other=0.0)
        lse = tl.load(lse_ptr + row * HEADS, mask=real, other=float("inf")) * LOG2E
        delta = tl.load(delta_ptr + row * HEADS, mask=real, other=0.0)
        scores = tl.dot(qs, tl.trans(keys), input_precision="ieee") * scale
        logit = tl.sum(qs.to(tl.float32) * mark[None, :], 1) * scale
        place = row + shift
        seen = real_keys[None, :]
        if MASKED:
            seen = seen & (seen_from[None, :] <= place[:, None])
        d_weights = tl.dot(d_out, tl.trans(values), input_precision="ieee")
        final, d_scores, d_logit, _d_gate = _differentiate_tile(
            tl.where(seen, scores, float("-inf")), d_weights, logit, gate, place >= far_from, lse, delta
        )
        d_v += tl.dot(tl.trans(final.to(d_out.dtype)), d_out, input_precision="ieee")
        d_k += tl.dot(tl.trans(d_scores.to(qs.dtype)), qs, input_precision="ieee")
        d_mark += tl.sum(d_logit[:, None] * qs.to(tl.float32), 0)
    return d_k, d_v, d_mark


@triton.jit
def blocks_kernel(
    q_ptr, k_ptr, v_ptr, marks_ptr, gate_ptr, lse_ptr, d_o_ptr, delta_ptr, d_k_ptr, d_v_ptr, d_marks_ptr,
    q_b, q_t, q_h, q_d, k_b, k_t, k_h, k_d, v_b, v_t, v_h, v_d, l_b, l_n, l_h, l_d, gate_h,
    queries, length, blocks, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    LOCAL: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Gradients of a block's keys, values and landmark, by all queries of all heads that share them."""
    HEADS: tl.constexpr = KV_HEADS * GROUP
    program = tl.program_id(0)
    block = program % blocks
    kv_head, b = (program // blocks % KV_HEADS).to(tl.int64), (program // blocks // KV_HEADS).to(tl.int64)
    n, d = tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_D)
    token = block * BLOCK + n.to(tl.int64)
    inside, real = d < WIDTH, (n < BLOCK) & (token < length)
    mask = real[:, None] & inside[None, :]
    keys = tl.load(
        k_ptr + b * k_b + token[:, None] * k_t + kv_head * k_h + d[None, :] * k_d, mask=mask, other=0.0
    )
    values = tl.load(
        v_ptr + b * v_b + token[:, None] * v_t + kv_head * v_h + d[None, :] * v_d, mask=mask, other=0.0
    )
    mark = tl.load(
        marks_ptr + b * l_b + block.to(tl.int64) * l_n + kv_head * l_h + d * l_d, mask=inside, other=0.0
    )
    mark = mark.to(tl.float32)

    shift = length - queries
    first = tl.maximum(block * BLOCK - shift, 0)
    own = tl.minimum(tl.maximum((block + 1) * BLOCK - shift, 0), queries)
    # The tiles that hold a query of the block itself, then those that hold none.
    middle = first + tl.cdiv(tl.maximum(own - first, 0), BLOCK_M) * BLOCK_M
    d_k = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    d_v = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    d_mark = tl.zeros([BLOCK_D], tl.float32)
    for member in range(0, GROUP):
        head = kv_head * GROUP + member
        gate = tl.load(gate_ptr + head * gate_h).to(tl.float32)
        of_q, of = q_ptr + b * q_b + head * q_h, b * queries * HEADS + head
        d_k, d_v, d_mark = _over_queries(
            of_q, d_o_ptr + of * WIDTH, lse_ptr + of, delta_ptr + of, keys, values, mark, gate, token,
            (block + LOCAL) * BLOCK, d_k, d_v, d_mark, first, tl.minimum(middle, queries),
            queries, q_t, q_d, shift, scale * LOG2E, real, inside, d,
            HEADS, WIDTH, BLOCK_M, True,
        )  # fmt: skip
        d_k, d_v, d_mark = _over_queries(
            of_q, d_o_ptr + of * WIDTH, lse_ptr + of, delta_ptr + of, keys, values, mark, gate, token,
            (block + LOCAL) * BLOCK, d_k, d_v, d_mark, middle, queries,
            queries, q_t, q_d, shift, scale * LOG2E, real, inside, d,
            HEADS, WIDTH, BLOCK_M, False,
        )  # fmt: skip

    to = ((b * length + token[:, None]) * KV_HEADS + kv_head) * WIDTH + d[None, :]
    tl.store(d_k_ptr + to, (d_k * scale).to(d_k_ptr.dtype.element_ty), mask=mask)
    tl.store(d_v_ptr + to, d_v.to(d_v_ptr.dtype.element_ty), mask=mask)
    to = ((b * blocks + block) * KV_HEADS + kv_head) * WIDTH + d
    tl.store(d_marks_ptr + to, (d_mark * scale).to(d_marks_ptr.dtype.element_ty), mask=inside)
