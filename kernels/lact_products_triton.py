"""Sums of products of matrices for LaCT: outputs, and gradients of tokens and of weights."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.tiles_triton import add_product, count_tiles, own_tile, tile_of

# Programs that keep a large GPU busy: long sums are split until there are so many.
_BUSY = 256
_MOST_SPLITS = 8
_LEAST_STEPS = 4


@triton.jit
def _products(
    left0, left1, left2, left3, right0, right1, right2, right3, out,
    left_b, left_m, left_k, right_b, right_k, right_n, B, M, N, K, part,
    PAIRS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A tile of the sum of one, two or four products, over one part of the inner axis: [parts, b, m, n]."""
    whole, tile_m, tile_n = own_tile(M, N, BLOCK_M, BLOCK_N)
    batch = whole % B
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    first = (whole // B * part).to(tl.int32)
    last = tl.minimum(first + part, K)
    left_b *= batch
    right_b *= batch
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    acc = add_product(
        acc, left0 + left_b, right0 + right_b, left_m, left_k, right_k, right_n,
        rows, columns, first, last, M, N, BLOCK_K,
    )  # fmt: skip
    if PAIRS > 1:
        acc = add_product(
            acc, left1 + left_b, right1 + right_b, left_m, left_k, right_k, right_n,
            rows, columns, first, last, M, N, BLOCK_K,
        )  # fmt: skip
    if PAIRS > 2:
        acc = add_product(
            acc, left2 + left_b, right2 + right_b, left_m, left_k, right_k, right_n,
            rows, columns, first, last, M, N, BLOCK_K,
        )  # fmt: skip
        acc = add_product(
            acc, left3 + left_b, right3 + right_b, left_m, left_k, right_k, right_n,
            rows, columns, first, last, M, N, BLOCK_K,
        )  # fmt: skip
    place = whole * M * N + rows.to(tl.int64)[:, None] * N + columns[None, :]
    inside = (rows < M)[:, None] & (columns < N)[None, :]
    tl.store(out + place, acc.to(out.dtype.element_ty), mask=inside)


def multiply(lefts: list[Tensor], rights: list[Tensor]) -> Tensor:
    """The sum of one, two or four products [b, m, k] @ [b, k, n], in their dtype.

    All on a side have the same strides. A long inner axis is split where the result has few tiles; torch adds
    up the parts.
    """
    left, right = lefts[0], rights[0]
    batch, m, inner = left.shape
    n = right.shape[2]
    config = _config(left.dtype, m, n, inner)
    tiles = batch * count_tiles(m, n, config)
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


def _config(dtype: torch.dtype, m: int, n: int, inner: int) -> dict[str, int]:
    # Products of float32 are unrolled into single multiplications: small tiles keep the program short.
    full = dtype == torch.float32
    largest = 64 if full else 128
    block_m, block_n = tile_of(m, largest), tile_of(n, largest)
    return {
        "BLOCK_M": block_m,
        "BLOCK_N": block_n,
        "BLOCK_K": tile_of(inner, 32 if full else 64),
        "num_warps": 8 if block_m * block_n > 64 * 64 else 4,
        "num_stages": 3,
    }
