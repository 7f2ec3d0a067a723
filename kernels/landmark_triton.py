"""Landmark attention in Triton, forward and backward; see ``landmark``.

Flash attention whose tile of keys is one block: its softmax, computed in the tile anyway, gives the block's
own log-sum-exp, and the landmark changes the weight of the tile as a whole. Nothing of the size queries ×
keys or queries × blocks is stored; the backward computes the tiles again, once by queries and once by blocks.
Logits are kept in base 2.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_LOG2E = 1.4426950408889634
# Landmarks that are multiplied with the queries at a time: the least that a matrix unit takes.
_MARKS = 16


@torch.library.custom_op("storyloom::landmark_attention", mutates_args=())
def landmark_attention_triton(
    q: Tensor, k: Tensor, v: Tensor, landmarks: Tensor, gate: Tensor, scale: float, block: int
) -> tuple[Tensor, Tensor]:
    """The public function's arithmetic; its arguments have been checked."""
    batch, queries, heads, width = q.shape
    length, kv_heads = k.shape[1:3]
    o, lse = _outputs(q)
    if batch == 0:
        return o, lse
    config = _config(q.dtype, width, block, "forward")
    _forward[(triton.cdiv(queries, config["BLOCK_M"]) * batch * heads,)](
        q, k, v, landmarks, gate, o, lse,
        *q.stride(), *k.stride(), *v.stride(), *landmarks.stride(), gate.stride(0),
        queries, length, scale * _LOG2E,
        KV_HEADS=kv_heads, GROUP=heads // kv_heads, WIDTH=width, BLOCK=block, MARKS=_MARKS, **config,
    )  # fmt: skip
    return o, lse


@landmark_attention_triton.register_fake
def _(q, k, v, landmarks, gate, scale, block):  # noqa: ARG001
    return _outputs(q)


@torch.library.custom_op("storyloom::landmark_attention_backward", mutates_args=())
def _backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    landmarks: Tensor,
    gate: Tensor,
    o: Tensor,
    lse: Tensor,
    d_o: Tensor,
    d_lse: Tensor,
    scale: float,
    block: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, landmarks and gate."""
    batch, queries, heads, width = q.shape
    length, kv_heads = k.shape[1:3]
    d_q, d_k, d_v, d_landmarks, d_gate = _gradients(q, k, v, landmarks, gate)
    if batch == 0:
        return d_q, d_k, d_v, d_landmarks, d_gate.zero_()
    d_o, d_lse = d_o.contiguous(), d_lse.contiguous()
    # What the softmax's gradient subtracts, and the gate's gradient, a query of a head.
    delta, d_gates = torch.empty_like(lse), torch.empty_like(lse)
    strides = (*q.stride(), *k.stride(), *v.stride(), *landmarks.stride(), gate.stride(0))
    sizes = {"KV_HEADS": kv_heads, "GROUP": heads // kv_heads, "WIDTH": width, "BLOCK": block}
    config = _config(q.dtype, width, block, "queries")
    _backward_queries[(triton.cdiv(queries, config["BLOCK_M"]) * batch * heads,)](
        q, k, v, landmarks, gate, o, lse, d_o, d_lse, d_q, delta, d_gates, *strides,
        queries, length, scale, MARKS=_MARKS, **sizes, **config,
    )  # fmt: skip
    config = _config(q.dtype, width, block, "blocks")
    _backward_blocks[(landmarks.shape[1] * batch * kv_heads,)](
        q, k, v, landmarks, gate, lse, d_o, delta, d_k, d_v, d_landmarks, *strides,
        queries, length, landmarks.shape[1], scale, **sizes, **config,
    )  # fmt: skip
    return d_q, d_k, d_v, d_landmarks, d_gates.sum((0, 1)).to(gate.dtype)


@_backward.register_fake
def _(q, k, v, landmarks, gate, o, lse, d_o, d_lse, scale, block):  # noqa: ARG001
    return _gradients(q, k, v, landmarks, gate)


def _setup(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[:5], *output)
    ctx.scale, ctx.block = inputs[5:]


def _differentiate(ctx, d_o, d_lse):
    return *_backward(*ctx.saved_tensors, d_o, d_lse, ctx.scale, ctx.block), None, None


landmark_attention_triton.register_autograd(_differentiate, setup_context=_setup)


def _outputs(q: Tensor) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape), q.new_empty(q.shape[:3], dtype=torch.float32)


def _gradients(*inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in inputs)


def _config(dtype: torch.dtype, width: int, block: int, kernel: str) -> dict[str, int]:
    """Tile sizes: a tile of keys is a block; float32 takes twice the room and no matrix unit."""
    keys, half = max(16, triton.next_power_of_2(block)), dtype.itemsize == 2
    depth = max(16, triton.next_power_of_2(width))
    large = keys * depth > 64 * 64
    rows = (
        {"forward": 128, "queries": 64, "blocks": 64 if keys * depth <= 64 * 128 else 32}[kernel]
        if half
        else 32
    )
    warps = 8 if large or kernel == "blocks" else 4
    return {
        "BLOCK_M": rows,
        "BLOCK_N": keys,
        "BLOCK_D": depth,
        "num_warps": warps if half else 16 if large else 8,
        "num_stages": 2 if half else 1,
    }


@triton.jit
def _within(scores):
    """Softmax within a block: weights, their sum, the log-sum-exp, and whether a query sees none of it."""
    top = tl.max(scores, 1)
    top = tl.where(top == float("-inf"), 0.0, top)
    weights = tl.exp2(scores - top[:, None])
    total = tl.sum(weights, 1)
    empty = total == 0
    total = tl.where(empty, 1.0, total)
    return weights, total, top + tl.log2(total), empty


@triton.jit
def _block_logit(own, logit, gate, earlier, empty):
    """A block's logit, and what its landmark has over its own log-sum-exp (0 for the query's own block)."""
    above = tl.where(earlier, logit - own, 0.0)
    return tl.where(empty, float("-inf"), own + gate * above), above


@triton.jit
def _forward_blocks(
    qs, k_ptr, v_ptr, marks_ptr, gate, place, top, total, acc, first, last,
    k_t, v_t, l_n, length, scale, inside,
    BLOCK: tl.constexpr, BLOCK_N: tl.constexpr, MARKS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Add the blocks first … last − 1 to a running softmax; ``MASKED`` unless all lie before every query."""
    n, c = tl.arange(0, BLOCK_N).to(tl.int64), tl.arange(0, MARKS).to(tl.int64)
    own_block = place // BLOCK
    for start in range(first, last, MARKS):
        there = (start + c < last)[:, None] & inside[None, :]
        marks = tl.load(marks_ptr + (start + c)[:, None] * l_n, mask=there, other=0.0)
        logits = tl.dot(qs, tl.trans(marks), input_precision="ieee") * scale
        for block in range(start, tl.minimum(start + MARKS, last)):
            token = block * BLOCK + n
            real = n < BLOCK
            if MASKED:
                real = real & (token < length)
            mask = real[:, None] & inside[None, :]
            keys = tl.load(k_ptr + token[:, None] * k_t, mask=mask, other=0.0)
            values = tl.load(v_ptr + token[:, None] * v_t, mask=mask, other=0.0)
            scores = tl.dot(qs, tl.trans(keys), input_precision="ieee") * scale
            seen = real[None, :]
            if MASKED:
                seen = seen & (token[None, :] <= place[:, None])
            weights, own_total, own, empty = _within(tl.where(seen, scores, float("-inf")))
            logit = tl.sum(tl.where((start + c == block)[None, :], logits, 0.0), 1)
            logit, _above = _block_logit(own, logit, gate, own_block > block, empty)
            highest = tl.maximum(top, logit)
            base = tl.where(highest == float("-inf"), 0.0, highest)
            weight, shrink = tl.exp2(logit - base), tl.exp2(top - base)
            total = total * shrink + weight
            weights = (weights * (weight / own_total)[:, None]).to(values.dtype)
            acc = acc * shrink[:, None] + tl.dot(weights, values, input_precision="ieee")
            top = highest
    return top, total, acc


@triton.jit
def _forward(
    q_ptr, k_ptr, v_ptr, marks_ptr, gate_ptr, o_ptr, lse_ptr,
    q_b, q_t, q_h, q_d, k_b, k_t, k_h, k_d, v_b, v_t, v_h, v_d, l_b, l_n, l_h, l_d, gate_h,
    queries, length, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    MARKS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """A tile of queries of one head; the last ones, which see most, come first."""
    HEADS: tl.constexpr = KV_HEADS * GROUP
    tiles = tl.cdiv(queries, BLOCK_M)
    program = tl.program_id(0)
    row = ((tiles - 1 - program % tiles) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    head, b = (program // tiles % HEADS).to(tl.int64), (program // tiles // HEADS).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside, real = d < WIDTH, row < queries
    mask = real[:, None] & inside[None, :]
    qs = tl.load(q_ptr + b * q_b + row[:, None] * q_t + head * q_h + d[None, :] * q_d, mask=mask, other=0.0)
    k_ptr += b * k_b + head // GROUP * k_h + d[None, :] * k_d
    v_ptr += b * v_b + head // GROUP * v_h + d[None, :] * v_d
    marks_ptr += b * l_b + head // GROUP * l_h + d[None, :] * l_d
    gate = tl.load(gate_ptr + head * gate_h).to(tl.float32)

    place = row + length - queries
    start = (tiles - 1 - program % tiles) * BLOCK_M + length - queries
    before, last = start // BLOCK, tl.cdiv(tl.minimum(start + BLOCK_M, length), BLOCK)
    top = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    top, total, acc = _forward_blocks(
        qs, k_ptr, v_ptr, marks_ptr, gate, place, top, total, acc, 0, before,
        k_t, v_t, l_n, length, scale, inside, BLOCK, BLOCK_N, MARKS, False,
    )  # fmt: skip
    top, total, acc = _forward_blocks(
        qs, k_ptr, v_ptr, marks_ptr, gate, place, top, total, acc, before, last,
        k_t, v_t, l_n, length, scale, inside, BLOCK, BLOCK_N, MARKS, True,
    )  # fmt: skip

    to = (b * queries + row) * HEADS + head
    tl.store(lse_ptr + to, (top + tl.log2(total)) * 0.6931471805599453, mask=real)
    acc = acc / total[:, None]
    tl.store(o_ptr + to[:, None] * WIDTH + d[None, :], acc.to(o_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _differentiate_tile(scores, d_weights, logit, gate, earlier, lse, delta):
    """Weights of a tile, and gradients of its scores, of its landmark's logit, and of the gate."""
    weights, own_total, own, empty = _within(scores)
    weights = weights / own_total[:, None]
    logit, above = _block_logit(own, logit, gate, earlier, empty)
    # Never above 1, whatever the sums were rounded to.
    share = tl.exp2(tl.minimum(logit - lse, 0.0))
    final = weights * share[:, None]
    d_scores = final * (d_weights - delta[:, None])
    d_shift = tl.where(earlier, tl.sum(d_scores, 1), 0.0)
    d_logit = gate * d_shift
    return final, d_scores - d_logit[:, None] * weights, d_logit, d_shift * above


@triton.jit
def _backward_queries_blocks(
    qs, d_out, k_ptr, v_ptr, marks_ptr, gate, place, lse, delta, d_q, d_gate, first, last,
    k_t, v_t, l_n, length, scale, inside,
    BLOCK: tl.constexpr, BLOCK_N: tl.constexpr, MARKS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """What the blocks first … last − 1 add to the gradients of a tile of queries."""
    n, c = tl.arange(0, BLOCK_N).to(tl.int64), tl.arange(0, MARKS).to(tl.int64)
    own_block = place // BLOCK
    for start in range(first, last, MARKS):
        there = (start + c < last)[:, None] & inside[None, :]
        marks = tl.load(marks_ptr + (start + c)[:, None] * l_n, mask=there, other=0.0)
        logits = tl.dot(qs, tl.trans(marks), input_precision="ieee") * scale
        d_logits = tl.zeros_like(logits)
        for block in range(start, tl.minimum(start + MARKS, last)):
            token = block * BLOCK + n
            real = n < BLOCK
            if MASKED:
                real = real & (token < length)
            mask = real[:, None] & inside[None, :]
            keys = tl.load(k_ptr + token[:, None] * k_t, mask=mask, other=0.0)
            values = tl.load(v_ptr + token[:, None] * v_t, mask=mask, other=0.0)
            scores = tl.dot(qs, tl.trans(keys), input_precision="ieee") * scale
            seen = real[None, :]
            if MASKED:
                seen = seen & (token[None, :] <= place[:, None])
            d_weights = tl.dot(d_out, tl.trans(values), input_precision="ieee")
            is_this = (start + c == block)[None, :]
            logit = tl.sum(tl.where(is_this, logits, 0.0), 1)
            scores = tl.where(seen, scores, float("-inf"))
            _final, d_scores, d_logit, d_gate_here = _differentiate_tile(
                scores, d_weights, logit, gate, own_block > block, lse, delta
            )
            d_q += tl.dot(d_scores.to(keys.dtype), keys, input_precision="ieee")
            d_logits = tl.where(is_this, d_logit[:, None], d_logits)
            d_gate += d_gate_here
        d_q += tl.dot(d_logits.to(marks.dtype), marks, input_precision="ieee")
    return d_q, d_gate


@triton.jit
def _backward_queries(
    q_ptr, k_ptr, v_ptr, marks_ptr, gate_ptr, o_ptr, lse_ptr, d_o_ptr, d_lse_ptr,
    d_q_ptr, delta_ptr, d_gate_ptr,
    q_b, q_t, q_h, q_d, k_b, k_t, k_h, k_d, v_b, v_t, v_h, v_d, l_b, l_n, l_h, l_d, gate_h,
    queries, length, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    MARKS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Gradients of a tile of queries of one head, and of the gate by each."""
    HEADS: tl.constexpr = KV_HEADS * GROUP
    tiles = tl.cdiv(queries, BLOCK_M)
    program = tl.program_id(0)
    row = ((tiles - 1 - program % tiles) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    head, b = (program // tiles % HEADS).to(tl.int64), (program // tiles // HEADS).to(tl.int64)
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
    lse = tl.load(lse_ptr + at, mask=real, other=float("inf")) * 1.4426950408889634

    place = row + length - queries
    start = (tiles - 1 - program % tiles) * BLOCK_M + length - queries
    before, last = start // BLOCK, tl.cdiv(tl.minimum(start + BLOCK_M, length), BLOCK)
    d_q = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    d_gate = tl.zeros([BLOCK_M], tl.float32)
    d_q, d_gate = _backward_queries_blocks(
        qs, d_out, k_ptr, v_ptr, marks_ptr, gate, place, lse, delta, d_q, d_gate, 0, before,
        k_t, v_t, l_n, length, scale * 1.4426950408889634, inside, BLOCK, BLOCK_N, MARKS, False,
    )  # fmt: skip
    d_q, d_gate = _backward_queries_blocks(
        qs, d_out, k_ptr, v_ptr, marks_ptr, gate, place, lse, delta, d_q, d_gate, before, last,
        k_t, v_t, l_n, length, scale * 1.4426950408889634, inside, BLOCK, BLOCK_N, MARKS, True,
    )  # fmt: skip
    tl.store(d_q_ptr + of, (d_q * scale).to(d_q_ptr.dtype.element_ty), mask=mask)
    tl.store(d_gate_ptr + at, d_gate * 0.6931471805599453, mask=real)


@triton.jit
def _backward_blocks_queries(
    q_ptr, d_o_ptr, lse_ptr, delta_ptr, keys, values, mark, gate, seen_from, next_block, d_k, d_v, d_mark,
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
        lse = tl.load(lse_ptr + row * HEADS, mask=real, other=float("inf")) * 1.4426950408889634
        delta = tl.load(delta_ptr + row * HEADS, mask=real, other=0.0)
        scores = tl.dot(qs, tl.trans(keys), input_precision="ieee") * scale
        logit = tl.sum(qs.to(tl.float32) * mark[None, :], 1) * scale
        place = row + shift
        seen = real_keys[None, :]
        if MASKED:
            seen = seen & (seen_from[None, :] <= place[:, None])
        d_weights = tl.dot(d_out, tl.trans(values), input_precision="ieee")
        final, d_scores, d_logit, _d_gate = _differentiate_tile(
            tl.where(seen, scores, float("-inf")), d_weights, logit, gate, place >= next_block, lse, delta
        )
        d_v += tl.dot(tl.trans(final.to(d_out.dtype)), d_out, input_precision="ieee")
        d_k += tl.dot(tl.trans(d_scores.to(qs.dtype)), qs, input_precision="ieee")
        d_mark += tl.sum(d_logit[:, None] * qs.to(tl.float32), 0)
    return d_k, d_v, d_mark


@triton.jit
def _backward_blocks(
    q_ptr, k_ptr, v_ptr, marks_ptr, gate_ptr, lse_ptr, d_o_ptr, delta_ptr, d_k_ptr, d_v_ptr, d_marks_ptr,
    q_b, q_t, q_h, q_d, k_b, k_t, k_h, k_d, v_b, v_t, v_h, v_d, l_b, l_n, l_h, l_d, gate_h,
    queries, length, blocks, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
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
        d_k, d_v, d_mark = _backward_blocks_queries(
            of_q, d_o_ptr + of * WIDTH, lse_ptr + of, delta_ptr + of, keys, values, mark, gate, token,
            (block + 1) * BLOCK, d_k, d_v, d_mark, first, tl.minimum(middle, queries),
            queries, q_t, q_d, shift, scale * 1.4426950408889634, real, inside, d,
            HEADS, WIDTH, BLOCK_M, True,
        )  # fmt: skip
        d_k, d_v, d_mark = _backward_blocks_queries(
            of_q, d_o_ptr + of * WIDTH, lse_ptr + of, delta_ptr + of, keys, values, mark, gate, token,
            (block + 1) * BLOCK, d_k, d_v, d_mark, middle, queries,
            queries, q_t, q_d, shift, scale * 1.4426950408889634, real, inside, d,
            HEADS, WIDTH, BLOCK_M, False,
        )  # fmt: skip

    to = ((b * length + token[:, None]) * KV_HEADS + kv_head) * WIDTH + d[None, :]
    tl.store(d_k_ptr + to, (d_k * scale).to(d_k_ptr.dtype.element_ty), mask=mask)
    tl.store(d_v_ptr + to, d_v.to(d_v_ptr.dtype.element_ty), mask=mask)
    to = ((b * blocks + block) * KV_HEADS + kv_head) * WIDTH + d
    tl.store(d_marks_ptr + to, (d_mark * scale).to(d_marks_ptr.dtype.element_ty), mask=inside)
