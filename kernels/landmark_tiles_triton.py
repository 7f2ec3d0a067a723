"""What landmark attention's kernels share: a program's queries, a block's tile, and its weight.

A tile of keys is one block: its softmax gives the block's own log-sum-exp, and the landmark changes the
weight of the tile as a whole. Logits are in base 2.
"""

import torch
import triton
import triton.language as tl

from storyloom.kernels.tiles_triton import tile_of

# Landmarks that are multiplied with the queries at a time: the least that a matrix unit takes.
MARKS = 16


@triton.jit
def own_queries(queries, length, HEADS: tl.constexpr, BLOCK: tl.constexpr, BLOCK_M: tl.constexpr):
    """A program's batch entry and head, and a tile of queries, the last ones, which see most, first.

    Then their places among the keys, the blocks that lie before all of them, and the end of those they see.
    """
    tiles = tl.cdiv(queries, BLOCK_M)
    program = tl.program_id(0)
    first = (tiles - 1 - program % tiles) * BLOCK_M
    row = (first + tl.arange(0, BLOCK_M)).to(tl.int64)
    head, b = (program // tiles % HEADS).to(tl.int64), (program // tiles // HEADS).to(tl.int64)
    start = first + length - queries
    before, last = start // BLOCK, tl.cdiv(tl.minimum(start + BLOCK_M, length), BLOCK)
    return b, head, row, row + length - queries, before, last


@triton.jit
def load_marks(qs, marks_ptr, start, last, l_n, scale, inside, MARKS: tl.constexpr):
    """The landmarks of some blocks, and the queries' logits of them."""
    block = start + tl.arange(0, MARKS).to(tl.int64)
    there = (block < last)[:, None] & inside[None, :]
    marks = tl.load(marks_ptr + block[:, None] * l_n, mask=there, other=0.0)
    return marks, tl.dot(qs, tl.trans(marks), input_precision="ieee") * scale


@triton.jit
def load_block(
    qs, k_ptr, v_ptr, block, place, k_t, v_t, length, scale, inside,
    BLOCK: tl.constexpr, BLOCK_N: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """A block's keys and values, and its scores: −∞ past the block, and if ``MASKED`` past the query."""
    n = tl.arange(0, BLOCK_N).to(tl.int64)
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
    return keys, values, tl.where(seen, scores, float("-inf"))


@triton.jit
def within(scores):
    """Softmax within a block: weights, their sum, the log-sum-exp, and whether a query sees none of it."""
    top = tl.max(scores, 1)
    top = tl.where(top == float("-inf"), 0.0, top)
    weights = tl.exp2(scores - top[:, None])
    total = tl.sum(weights, 1)
    empty = total == 0
    total = tl.where(empty, 1.0, total)
    return weights, total, top + tl.log2(total), empty


@triton.jit
def block_logit(own, logit, gate, far, empty):
    """A block's logit, and what its landmark has over its own log-sum-exp: 0 where it isn't ``far``."""
    above = tl.where(far, logit - own, 0.0)
    return tl.where(empty, float("-inf"), own + gate * above), above


def config_of(dtype: torch.dtype, width: int, block: int, kernel: str) -> dict[str, int]:
    """Tile sizes: a tile of keys is a block; float32 takes twice the room and no matrix unit."""
    keys, half = tile_of(block), dtype.itemsize == 2
    depth = tile_of(width)
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
