"""Attention over chosen blocks of a cache in Triton; see ``gather_decode``.

Flash-decoding: the selection is split, a program attends to one part of it for all query heads of a key head,
and a second kernel combines the parts. Logits are kept in base 2.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.operators import operator
from storyloom.kernels.softmax_triton import LN2, LOG2E, raise_top
from storyloom.kernels.tiles_triton import tile_of

# More parts than this cost the second kernel more than they gain the first.
_MAX_PARTS = 64
# Programs that keep a device busy, a multiprocessor; and multiprocessors where none can be asked.
_WAVES = 2
_FEW = 4


@operator("storyloom::gather_decode")
def gather_decode_triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    indices: Tensor,
    block_logits: Tensor | None,
    gate: Tensor | None,
    lengths: Tensor | None,
    scale: float,
    block: int,
) -> tuple[Tensor, Tensor]:
    """The public function's arithmetic; its arguments have been checked."""
    batch, queries, heads, width = q.shape
    kv_length, kv_heads = k.shape[1:3]
    selected = indices.shape[2]
    o, lse = _outputs(q)
    if batch == 0:
        return o, lse
    grouped, gated = block_logits is not None, gate is not None
    group = heads // kv_heads
    config = _config(q.dtype, queries * group, width, block, grouped)
    programs = batch * kv_heads * triton.cdiv(queries * group, config["BLOCK_M"])
    # A part is a run of blocks where they have logits of their own, else of tokens, in whole tiles.
    units, tile = (selected, 1) if grouped else (selected * block, config["BLOCK_N"])
    parts, part = _split(q.device, programs, units, tile)
    if parts == 1:
        part_o, part_lse = o, lse
    else:
        part_o = q.new_empty((parts, *o.shape), dtype=torch.float32)
        part_lse = q.new_empty((parts, *lse.shape), dtype=torch.float32)
    logits = q.new_empty((1, 1, 1, 1)) if block_logits is None else block_logits
    gates = q.new_empty(1) if gate is None else gate
    ends = indices.new_empty(1) if lengths is None else lengths
    _attend[(programs, parts)](
        q, k, v, indices, logits, gates, ends, part_o, part_lse,
        *q.stride(), *k.stride(), *v.stride(), *indices.stride(), *logits.stride(), *gates.stride(),
        *ends.stride(),
        batch, queries, kv_length, units, part, scale * LOG2E.value,
        KV_HEADS=kv_heads, GROUP=group, WIDTH=width, BLOCK=block, GROUPED=grouped, GATED=gated,
        HAS_LENGTHS=lengths is not None, WHOLE=parts == 1, **config,
    )  # fmt: skip
    if parts > 1:
        rows = batch * queries * heads
        _combine[(rows,)](
            part_o, part_lse, o, lse, rows, parts,
            WIDTH=width, BLOCK_D=config["BLOCK_D"], BLOCK_S=triton.next_power_of_2(parts), num_warps=2,
        )  # fmt: skip
    return o, lse


@gather_decode_triton.register_fake
def _(q, k, v, indices, block_logits, gate, lengths, scale, block):  # noqa: ARG001
    return _outputs(q)


def _outputs(q: Tensor) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape), q.new_empty(q.shape[:3], dtype=torch.float32)


def _config(dtype: torch.dtype, rows: int, width: int, block: int, grouped: bool) -> dict[str, int]:
    """Tile sizes. A row is a query of a head; 16 is the least that a matrix unit takes."""
    wide = width * dtype.itemsize
    tokens = 128 if wide <= 128 else 64 if wide <= 512 else 32
    if grouped:
        tokens = min(tokens, tile_of(block))
    return {
        "BLOCK_M": min(64, tile_of(rows)),
        "BLOCK_N": tokens,
        "BLOCK_D": tile_of(width),
        "num_warps": 4 if wide <= 512 else 8,
        "num_stages": 3 if wide <= 256 else 2,
    }


def _split(device: torch.device, programs: int, units: int, tile: int) -> tuple[int, int]:
    """How many parts the selection is split into, and the units of one: enough to fill the device."""
    processors = (
        torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else _FEW
    )
    tiles = triton.cdiv(units, tile)
    wanted = max(1, min(triton.cdiv(_WAVES * processors, programs), tiles, _MAX_PARTS))
    part = triton.cdiv(tiles, wanted) * tile
    return triton.cdiv(units, part), part


@triton.jit
def _scores(queries, keys, live, scale):
    scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
    return tl.where(live[None, :], scores, float("-inf"))


@triton.jit
def _add(scores, values, top, total, acc):
    """Add a tile of tokens to a running softmax: highest score, sum of weights, weighted values."""
    top, base, shrink = raise_top(top, tl.max(scores, 1))
    weights = tl.exp2(scores - base[:, None])
    total = total * shrink + tl.sum(weights, 1)
    acc = acc * shrink[:, None] + tl.dot(weights.to(values.dtype), values, input_precision="ieee")
    return top, total, acc


@triton.jit
def _log2(total):
    """Of a sum of weights; -inf for 0."""
    return tl.where(total == 0, float("-inf"), tl.log2(tl.where(total == 0, 1.0, total)))


@triton.jit
def _attend_tokens(
    qs, k_ptr, v_ptr, indices_ptr, top, total, acc, first, last, end, k_t, v_t, i_s, scale, inside,
    BLOCK: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Add the chosen tokens first … last − 1 to a running softmax, whichever blocks they are of."""
    n = tl.arange(0, BLOCK_N)
    for start in range(first, last, BLOCK_N):
        at = start + n
        index = tl.load(indices_ptr + (at // BLOCK) * i_s, mask=at < last, other=-1).to(tl.int64)
        token = index * BLOCK + at % BLOCK
        live = (index >= 0) & (token < end)
        mask = live[:, None] & inside[None, :]
        keys = tl.load(k_ptr + token[:, None] * k_t, mask=mask, other=0.0)
        values = tl.load(v_ptr + token[:, None] * v_t, mask=mask, other=0.0)
        top, total, acc = _add(_scores(qs, keys, live, scale), values, top, total, acc)
    return top, total, acc


@triton.jit
def _attend_blocks(
    qs, k_ptr, v_ptr, indices_ptr, logits_ptr, gate, real, top, total, acc, first, last, end,
    k_t, v_t, i_s, g_s, scale, inside,
    BLOCK: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Add the chosen blocks first … last − 1 to a running softmax, each weighed by its logit."""
    n = tl.arange(0, BLOCK_N)
    for slot in range(first, last):
        index = tl.load(indices_ptr + slot * i_s).to(tl.int64)
        own_top = tl.full([BLOCK_M], float("-inf"), tl.float32)
        own_total = tl.zeros([BLOCK_M], tl.float32)
        own_acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
        for offset in range(0, BLOCK, BLOCK_N):
            token = index * BLOCK + offset + n
            live = (offset + n < BLOCK) & (token >= 0) & (token < end)
            mask = live[:, None] & inside[None, :]
            keys = tl.load(k_ptr + token[:, None] * k_t, mask=mask, other=0.0)
            values = tl.load(v_ptr + token[:, None] * v_t, mask=mask, other=0.0)
            scores = _scores(qs, keys, live, scale)
            own_top, own_total, own_acc = _add(scores, values, own_top, own_total, own_acc)
        empty = own_total == 0
        own = tl.where(empty, 0.0, own_top) + _log2(tl.where(empty, 1.0, own_total))
        logit = tl.load(logits_ptr + slot * g_s, mask=real, other=0.0).to(tl.float32) * LOG2E
        logit = tl.where(empty, float("-inf"), own + gate * (logit - own))
        top, base, shrink = raise_top(top, logit)
        weight = tl.exp2(logit - base)
        total = total * shrink + weight
        acc = acc * shrink[:, None] + own_acc * (weight / tl.where(empty, 1.0, own_total))[:, None]
    return top, total, acc


@triton.jit
def _attend(
    q_ptr, k_ptr, v_ptr, indices_ptr, logits_ptr, gate_ptr, lengths_ptr, o_ptr, lse_ptr,
    q_b, q_q, q_h, q_d, k_b, k_t, k_h, k_d, v_b, v_t, v_h, v_d, i_b, i_h, i_s,
    g_b, g_q, g_h, g_s, gate_h, end_b,
    batch, queries, kv_length, units, part, scale,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    GROUPED: tl.constexpr, GATED: tl.constexpr, HAS_LENGTHS: tl.constexpr, WHOLE: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """One part of the selection, for the queries of all heads that share a key head."""
    program = tl.program_id(0)
    tiles = tl.cdiv(queries * GROUP, BLOCK_M)
    row = (program % tiles) * BLOCK_M + tl.arange(0, BLOCK_M)
    kv_head = ((program // tiles) % KV_HEADS).to(tl.int64)
    b = (program // tiles // KV_HEADS).to(tl.int64)
    first = tl.program_id(1) * part
    last = tl.minimum(first + part, units)

    d = tl.arange(0, BLOCK_D)
    query, head = (row // GROUP).to(tl.int64), kv_head * GROUP + row % GROUP
    inside, real = d < WIDTH, query < queries
    stored = real[:, None] & inside[None, :]
    q_ptr += b * q_b + query[:, None] * q_q + head[:, None] * q_h + d[None, :] * q_d
    k_ptr += b * k_b + kv_head * k_h + d[None, :] * k_d
    v_ptr += b * v_b + kv_head * v_h + d[None, :] * v_d
    indices_ptr += b * i_b + kv_head * i_h
    qs = tl.load(q_ptr, mask=stored, other=0.0)
    end = kv_length
    if HAS_LENGTHS:
        end = tl.minimum(kv_length, tl.load(lengths_ptr + b * end_b))

    top = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    if GROUPED:
        gate = tl.full([BLOCK_M], 1.0, tl.float32)
        if GATED:
            gate = tl.load(gate_ptr + head * gate_h).to(tl.float32)
        top, total, acc = _attend_blocks(
            qs, k_ptr, v_ptr, indices_ptr, logits_ptr + b * g_b + query * g_q + head * g_h, gate, real,
            top, total, acc, first, last, end, k_t, v_t, i_s, g_s, scale, inside,
            BLOCK, BLOCK_M, BLOCK_N, BLOCK_D,
        )  # fmt: skip
    else:
        top, total, acc = _attend_tokens(
            qs, k_ptr, v_ptr, indices_ptr, top, total, acc, first, last, end, k_t, v_t, i_s, scale, inside,
            BLOCK, BLOCK_N,
        )  # fmt: skip

    acc = acc / tl.where(total == 0, 1.0, total)[:, None]
    lse = tl.where(total == 0, 0.0, top) + _log2(total)
    if WHOLE:
        lse = lse * LN2
    to = ((tl.program_id(1).to(tl.int64) * batch + b) * queries + query) * (KV_HEADS * GROUP) + head
    tl.store(lse_ptr + to, lse, mask=real)
    tl.store(o_ptr + to[:, None] * WIDTH + d[None, :], acc.to(o_ptr.dtype.element_ty), mask=stored)


@triton.jit
def _combine(
    part_o_ptr, part_lse_ptr, o_ptr, lse_ptr, rows, parts,
    WIDTH: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Join the parts of one query of one head, each weighed by its sum."""
    row = tl.program_id(0).to(tl.int64)
    s, d = tl.arange(0, BLOCK_S).to(tl.int64), tl.arange(0, BLOCK_D)
    lse = tl.load(part_lse_ptr + s * rows + row, mask=s < parts, other=float("-inf"))
    top = tl.max(lse, 0)
    top = tl.where(top == float("-inf"), 0.0, top)
    weights = tl.exp2(lse - top)
    total = tl.sum(weights, 0)
    o = tl.load(
        part_o_ptr + (s[:, None] * rows + row) * WIDTH + d[None, :],
        mask=(s < parts)[:, None] & (d < WIDTH)[None, :], other=0.0,
    )  # fmt: skip
    o = tl.sum(weights[:, None] * o, 0) / tl.where(total == 0, 1.0, total)
    tl.store(o_ptr + row * WIDTH + d, o.to(o_ptr.dtype.element_ty), mask=d < WIDTH)
    tl.store(lse_ptr + row, (top + _log2(total)) * LN2)
