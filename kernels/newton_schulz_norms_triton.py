"""Norms of matrices and rows for Newton–Schulz, of any size that float32 holds.

The largest magnitude is divided out before anything is squared: a norm is that and the inverse norm of what
is left.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.tiles_triton import count_tiles, own_tile, tile_of


def wide(matrices: Tensor) -> Tensor:
    """The matrices, or their transposes, with no more rows than columns."""
    return matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices


@triton.jit
def one_for_zero(values):
    """A magnitude to divide by: zeros divided by it stay zeros."""
    return tl.where(values == 0.0, 1.0, values)


@triton.jit
def inverse_root(square):
    """1/√square, and 0 of 0; NaN stays NaN."""
    return tl.where(square == 0.0, 0.0, tl.rsqrt(one_for_zero(square)))


@triton.jit
def rescale(largest, inverse, up_largest, up_inverse):
    """‖upstream‖ / ‖G‖, 0 where either is 0, from the parts that each fit into float32."""
    return (up_largest / largest) * tl.where(up_inverse == 0.0, 0.0, inverse / up_inverse)


@triton.jit
def _partial_norms(
    x, partials, x_b, x_m, x_n, M, N, parts, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
):  # fmt: skip
    """Of some rows of a matrix: the largest magnitude, and the sum of squares of the rows divided by it."""
    batch = tl.program_id(0).to(tl.int64) // parts
    part = tl.program_id(0) % parts
    rows = (part * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)[:, None]
    largest = tl.full((), 0.0, tl.float32)
    square = tl.full((), 0.0, tl.float32)
    for start in range(0, N, BLOCK_N):
        columns = (start + tl.arange(0, BLOCK_N)).to(tl.int64)[None, :]
        inside = (rows < M) & (columns < N)
        values = tl.load(x + batch * x_b + rows * x_m + columns * x_n, mask=inside, other=0.0).to(tl.float32)
        most = tl.maximum(largest, tl.max(tl.max(tl.abs(values), 1), 0))
        safe = one_for_zero(most)
        scaled = values / safe
        shrink = largest / safe
        square = square * shrink * shrink + tl.sum(tl.sum(scaled * scaled, 1), 0)
        largest = most
    tl.store(partials + (batch * parts + part) * 2, largest)
    tl.store(partials + (batch * parts + part) * 2 + 1, square)


@triton.jit
def _normalise(
    x, partials, out, scales, x_b, x_m, x_n, out_b, M, N, parts, PARTS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One tile of X / ‖X‖_F, in the dtype of the products."""
    batch, tile_m, tile_n = own_tile(M, N, BLOCK_M, BLOCK_N)
    part = tl.arange(0, PARTS)
    most = tl.load(partials + (batch * parts + part) * 2, mask=part < parts, other=0.0)
    squares = tl.load(partials + (batch * parts + part) * 2 + 1, mask=part < parts, other=0.0)
    largest = one_for_zero(tl.max(most, 0))
    shrink = most / largest
    inverse = inverse_root(tl.sum(squares * shrink * shrink, 0))
    if (tile_m == 0) & (tile_n == 0):
        tl.store(scales + batch * 2, largest)
        tl.store(scales + batch * 2 + 1, inverse)
    rows = (tile_m * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)[:, None]
    columns = (tile_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)[None, :]
    inside = (rows < M) & (columns < N)
    values = tl.load(x + batch * x_b + rows * x_m + columns * x_n, mask=inside, other=0.0).to(tl.float32)
    values = values / largest * inverse
    tl.store(out + batch * out_b + rows * N + columns, values.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _partial_products(x, d, partials, x_b, d_b, M, N, parts, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """Of some rows of a matrix: the sum of the elements of X times those of D."""
    batch = tl.program_id(0).to(tl.int64) // parts
    part = tl.program_id(0) % parts
    rows = (part * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)[:, None]
    total = tl.full((), 0.0, tl.float32)
    for start in range(0, N, BLOCK_N):
        columns = start + tl.arange(0, BLOCK_N)[None, :]
        inside = (rows < M) & (columns < N)
        left = tl.load(x + batch * x_b + rows * N + columns, mask=inside, other=0.0).to(tl.float32)
        right = tl.load(d + batch * d_b + rows * N + columns, mask=inside, other=0.0).to(tl.float32)
        total += tl.sum(tl.sum(left * right, 1), 0)
    tl.store(partials + batch * parts + part, total)


@triton.jit
def _finish(
    x, d, partials, scales, up_scales, out, x_b, d_b, out_b, out_m, out_n, M, N, parts, PARTS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One tile of the gradient of G, from that of X₀ = G / ‖G‖: (D − X₀ ⟨X₀, D⟩) / ‖G‖."""
    batch, tile_m, tile_n = own_tile(M, N, BLOCK_M, BLOCK_N)
    part = tl.arange(0, PARTS)
    along = tl.sum(tl.load(partials + batch * parts + part, mask=part < parts, other=0.0), 0)
    scale = rescale(tl.load(scales + batch * 2), tl.load(scales + batch * 2 + 1),
                     tl.load(up_scales + batch * 2), tl.load(up_scales + batch * 2 + 1))  # fmt: skip
    rows = (tile_m * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)[:, None]
    columns = (tile_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)[None, :]
    inside = (rows < M) & (columns < N)
    radial = tl.load(x + batch * x_b + rows * N + columns, mask=inside, other=0.0).to(tl.float32)
    values = tl.load(d + batch * d_b + rows * N + columns, mask=inside, other=0.0).to(tl.float32)
    values = (values - radial * along) * scale
    tl.store(
        out + batch * out_b + rows * out_m + columns * out_n, values.to(out.dtype.element_ty), mask=inside
    )


def unit(x: Tensor, out: Tensor) -> Tensor:
    """Write each matrix over its norm; gives their scales.

    Those are each matrix' largest magnitude, and the inverse norm of the matrix over it, [batch, 2].
    """
    batch, m, n = x.shape
    parts, config = _config(m, n)
    scales = x.new_empty((batch, 2), dtype=torch.float32)
    if batch:
        partials = x.new_empty((batch, parts, 2), dtype=torch.float32)
        _partial_norms[(batch * parts,)](x, partials, *x.stride(), m, n, parts, **config)
        _normalise[(batch * count_tiles(m, n, config),)](
            x, partials, out, scales, *x.stride(), m * n, m, n, parts,
            PARTS=triton.next_power_of_2(parts), **config,
        )  # fmt: skip
    return scales


def unit_backward(x: Tensor, d: Tensor, scales: Tensor, up_scales: Tensor, out: Tensor) -> None:
    """Write the gradient of each matrix.

    Args:
        x: the matrices over their norms, [batch, m, n], contiguous.
        d: the gradients of those over the norms of the incoming ones, contiguous.
        scales: what :func:`unit` gave for the matrices.
        up_scales: the same for the incoming gradients.
        out: [batch, m, n].
    """
    batch, m, n = x.shape
    if not batch:
        return
    parts, config = _config(m, n)
    partials = x.new_empty((batch, parts), dtype=torch.float32)
    _partial_products[(batch * parts,)](x, d, partials, m * n, m * n, m, n, parts, **config)
    _finish[(batch * count_tiles(m, n, config),)](
        x, d, partials, scales, up_scales, out, m * n, m * n, *out.stride(), m, n, parts,
        PARTS=triton.next_power_of_2(parts), **config,
    )  # fmt: skip


def _config(m: int, n: int) -> tuple[int, dict[str, int]]:
    """How many parts a reduction over a matrix has, and the tiles of the passes over its elements."""
    block_m = tile_of(m, 32)
    return triton.cdiv(m, block_m), {"BLOCK_M": block_m, "BLOCK_N": tile_of(n, 256), "num_warps": 4}
