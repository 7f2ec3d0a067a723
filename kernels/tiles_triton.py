"""Tiles for every kernel: how large they are, which one a program takes, and a product of them."""

import triton
import triton.language as tl

# The least that a matrix unit takes.
LEAST = 16


def tile_of(size: int, most: int | None = None) -> int:
    """The power of two that holds a size, at least the 16 that a product needs.

    Args:
        size: numbers to hold.
        most: the largest tile, where sizes above it are taken in several. Half of that is given where it
            pads the size much less.
    """
    block = max(LEAST, int(triton.next_power_of_2(size)))
    if most is None or block <= most:
        return block
    half = most // 2
    return half if -size // most * most < 1.2 * (-size // half * half) else most


def count_tiles(m: int, n: int, config: dict[str, int]) -> int:
    """Tiles of BLOCK_M by BLOCK_N in an [m, n] matrix."""
    return int(triton.cdiv(m, config["BLOCK_M"]) * triton.cdiv(n, config["BLOCK_N"]))


@triton.jit
def own_tile(M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """The program's matrix in a batch, int64, and its tile's row and column among the matrix's tiles."""
    tiles_n = tl.cdiv(N, BLOCK_N)
    tiles = tl.cdiv(M, BLOCK_M) * tiles_n
    tile = tl.program_id(0) % tiles
    return tl.program_id(0).to(tl.int64) // tiles, tile // tiles_n, tile % tiles_n


@triton.jit
def add_product(
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
