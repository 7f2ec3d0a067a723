"""Newton–Schulz for matrices larger than one program's registers: a launch a product.

X is [m, n] with m ≤ n: a taller matrix is read and written through swapped strides. Iterates and the [m, m]
matrices are kept in the dtype of G; sums are float32.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.newton_schulz_norms_triton import unit, unit_backward, wide
from storyloom.kernels.newton_schulz_reference import COEFFICIENTS
from storyloom.kernels.tiles_triton import add_product, count_tiles, own_tile, tile_of


class Kept(NamedTuple):
    """What a forward leaves for its backward; unless that was asked for, only the last of the steps."""

    iterates: Tensor  # the X of each step, [steps, batch, m, n]
    grams: Tensor  # A of each step, [steps, batch, m, m]
    polys: Tensor  # b A + c A² of each step
    scales: Tensor  # the largest magnitude, and the inverse norm of the matrix over it, [batch, 2]


@triton.jit
def _combine_kernel(
    base, left, right, left2, right2, out, alpha, beta,
    base_b, base_m, base_n, left_b, left_m, left_k, right_b, right_k, right_n,
    left2_b, left2_m, left2_k, right2_b, right2_k, right2_n, out_b, out_m, out_n, M, N, K, K2,
    BASE: tl.constexpr, TWO: tl.constexpr, SYMMETRIC: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A tile of alpha · base + beta · (left @ right + left2 @ right2).

    Of a symmetric result only the tiles on and below the diagonal are computed, and written twice.
    """
    batch, tile_m, tile_n = own_tile(M, N, BLOCK_M, BLOCK_N)
    if SYMMETRIC and tile_m < tile_n:
        return
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    acc = add_product(
        acc, left + batch * left_b, right + batch * right_b, left_m, left_k, right_k, right_n,
        rows, columns, 0, K, M, N, BLOCK_K,
    )  # fmt: skip
    if TWO:
        acc = add_product(
            acc, left2 + batch * left2_b, right2 + batch * right2_b, left2_m, left2_k, right2_k, right2_n,
            rows, columns, 0, K2, M, N, BLOCK_K,
        )  # fmt: skip
    inside = (rows < M)[:, None] & (columns < N)[None, :]
    rows = rows.to(tl.int64)[:, None]
    columns = columns.to(tl.int64)[None, :]
    acc *= beta
    if BASE:
        start = tl.load(base + batch * base_b + rows * base_m + columns * base_n, mask=inside, other=0.0)
        acc += alpha * start.to(tl.float32)
    result = acc.to(out.dtype.element_ty)
    tl.store(out + batch * out_b + rows * out_m + columns * out_n, result, mask=inside)
    if SYMMETRIC and tile_m > tile_n:
        mirrored = out + batch * out_b + tl.trans(columns) * out_m + tl.trans(rows) * out_n
        tl.store(mirrored, tl.trans(result), mask=tl.trans(inside))


def forward(g: Tensor, steps: int, dtype: torch.dtype, *, save: bool = False) -> tuple[Tensor, Kept]:
    """NS(G) in some dtype, and what was kept."""
    x = wide(g)
    batch, m, n = x.shape
    kept = steps if save else 1
    iterates = g.new_empty((steps if save else 2, batch, m, n))
    grams, polys = g.new_empty((kept, batch, m, m)), g.new_empty((kept, batch, m, m))
    out = g.new_empty(g.shape, dtype=dtype)
    scales = unit(x, iterates[0])
    for step, (a, b, c) in enumerate(COEFFICIENTS[:steps]):
        x = iterates[step % len(iterates)]
        gram, poly = grams[step % kept], polys[step % kept]
        _combine(gram, (x, x.mT), symmetric=True)
        _combine(poly, (gram, gram), base=gram, alpha=b, beta=c, symmetric=True)
        following = wide(out) if step + 1 == steps else iterates[(step + 1) % len(iterates)]
        _combine(following, (poly, x), base=x, alpha=a)
    return out, Kept(iterates, grams, polys, scales)


def backward(g: Tensor, kept: Kept, upstream: Tensor, steps: int) -> Tensor:
    """The gradient of G, back through the iterates.

    With D the gradient of X', S = D Xᵀ + X Dᵀ and Q = b S + c (S A + A S): dX = a D + (b A + c A²) D + Q X.
    """
    batch, m, n = kept.iterates.shape[1:]
    gradients = g.new_empty((2, batch, m, n))
    both, slope = g.new_empty((batch, m, m)), g.new_empty((batch, m, m))
    up_scales = unit(wide(upstream), gradients[0])
    for back in range(steps):
        step = steps - 1 - back
        a, b, c = COEFFICIENTS[step]
        x, gram, poly = kept.iterates[step], kept.grams[step], kept.polys[step]
        d, following = gradients[back % 2], gradients[(back + 1) % 2]
        _combine(both, (d, x.mT), (x, d.mT), symmetric=True)
        _combine(slope, (both, gram), (gram, both), base=both, alpha=b, beta=c, symmetric=True)
        _combine(following, (poly, d), (slope, x), base=d, alpha=a)
    out = g.new_empty(g.shape)
    unit_backward(kept.iterates[0], gradients[steps % 2], kept.scales, up_scales, wide(out))
    return out


def _combine(
    out: Tensor,
    pair: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor] | None = None,
    *,
    base: Tensor | None = None,
    alpha: float = 0.0,
    beta: float = 1.0,
    symmetric: bool = False,
) -> None:
    """Write alpha · base + beta · (the product of a pair, and of a second one)."""
    batch, m, n = out.shape
    left, right = pair
    left2, right2 = second or pair
    start = left if base is None else base
    config = _config(left.dtype, m, n, symmetric)
    if batch:
        _combine_kernel[(batch * count_tiles(m, n, config),)](
            start, left, right, left2, right2, out, alpha, beta,
            *start.stride(), *left.stride(), *right.stride(), *left2.stride(), *right2.stride(),
            *out.stride(), m, n, left.shape[2], left2.shape[2],
            BASE=base is not None, TWO=second is not None, SYMMETRIC=symmetric, **config,
        )  # fmt: skip


def _config(dtype: torch.dtype, m: int, n: int, symmetric: bool) -> dict[str, int]:
    full = dtype == torch.float32
    largest = 64 if full else 128
    block_m = tile_of(m, largest)
    # The tiles of a symmetric result are square, so that one mirrors another.
    block_n = block_m if symmetric else tile_of(n, largest)
    return {
        "BLOCK_M": block_m,
        "BLOCK_N": block_n,
        "BLOCK_K": 32 if full else 64,
        "num_warps": 8 if block_m * block_n > 64 * 64 else 4,
        "num_stages": 3,
    }
