"""Newton–Schulz where a matrix fits into one program's registers: one read and one write of memory.

X is [m, n] with m ≤ n: a taller matrix is read and written through swapped strides.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.newton_schulz_norms_triton import inverse_root, one_for_zero, rescale, wide
from storyloom.kernels.newton_schulz_reference import COEFFICIENTS
from storyloom.kernels.tiles_triton import tile_of

# A padded matrix that one program holds, in the backward with its gradient and three [m, m] matrices: with a
# larger one they leave an H100's shared memory.
_MOST = 64 * 128
_MOST_ROWS = 64


class Kept(NamedTuple):
    """What a forward leaves for its backward."""

    iterates: Tensor  # the X of each step, [batch, steps, m, n]; empty unless it was asked for
    scales: Tensor  # the largest magnitude, and the inverse norm of the matrix over it, [batch, 2]


@triton.jit
def _whole_norm(values):
    """The largest magnitude s of a matrix, the inverse norm of the matrix over s, and their quotient."""
    largest = one_for_zero(tl.max(tl.max(tl.abs(values), 1), 0))
    scaled = values / largest
    inverse = inverse_root(tl.sum(tl.sum(scaled * scaled, 1), 0))
    return largest, inverse, scaled * inverse


@triton.jit
def _coefficients_of(step, COEFFICIENTS: tl.constexpr, STEPS: tl.constexpr):
    """A step's triple, chosen at run time: a loop that stays one compiles in a fraction of the time."""
    a = tl.full((), 0.0, tl.float32)
    b = tl.full((), 0.0, tl.float32)
    c = tl.full((), 0.0, tl.float32)
    for index in tl.static_range(STEPS):
        a = tl.where(step == index, COEFFICIENTS[3 * index], a)
        b = tl.where(step == index, COEFFICIENTS[3 * index + 1], b)
        c = tl.where(step == index, COEFFICIENTS[3 * index + 2], c)
    return a, b, c


@triton.jit
def _forward_kernel(
    g, w, row_norms, out, iterates, scales,
    g_b, g_m, g_n, w_b, w_m, w_n, norm_b, norm_r, out_b, out_m, out_n, M, N,
    COEFFICIENTS: tl.constexpr, STEPS: tl.constexpr, ADD: tl.constexpr, TALL: tl.constexpr,
    SAVE: tl.constexpr, PRECISION: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One matrix from its normalisation to the stepped weights, in registers."""
    batch = tl.program_id(0).to(tl.int64)
    rows = tl.arange(0, BLOCK_M).to(tl.int64)[:, None]
    columns = tl.arange(0, BLOCK_N).to(tl.int64)[None, :]
    inside = (rows < M) & (columns < N)
    values = tl.load(g + batch * g_b + rows * g_m + columns * g_n, mask=inside, other=0.0).to(tl.float32)
    largest, inverse, x = _whole_norm(values)
    if SAVE:
        tl.store(scales + batch * 2, largest)
        tl.store(scales + batch * 2 + 1, inverse)
    for step in range(STEPS):
        if SAVE:
            tl.store(iterates + ((batch * STEPS + step) * M + rows) * N + columns, x, mask=inside)
        a, b, c = _coefficients_of(step, COEFFICIENTS, STEPS)
        gram = tl.dot(x, tl.trans(x), input_precision=PRECISION)
        poly = b * gram + c * tl.dot(gram, gram, input_precision=PRECISION)
        x = a * x + tl.dot(poly, x, input_precision=PRECISION)
    if ADD:
        start = tl.load(w + batch * w_b + rows * w_m + columns * w_n, mask=inside, other=0.0)
        x += start.to(tl.float32)
        # A row of the weights is a column here where the matrix was taken transposed.
        if TALL:
            most = tl.max(tl.abs(x), 0)[None, :]
            norms = tl.load(row_norms + batch * norm_b + columns * norm_r, mask=columns < N, other=0.0)
        else:
            most = tl.max(tl.abs(x), 1)[:, None]
            norms = tl.load(row_norms + batch * norm_b + rows * norm_r, mask=rows < M, other=0.0)
        x = x / one_for_zero(most)
        total = tl.sum(x * x, 0)[None, :] if TALL else tl.sum(x * x, 1)[:, None]
        x = x * inverse_root(total) * norms.to(tl.float32)
    tl.store(out + batch * out_b + rows * out_m + columns * out_n, x.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _backward_kernel(
    upstream, iterates, scales, out,
    up_b, up_m, up_n, out_b, out_m, out_n, M, N,
    COEFFICIENTS: tl.constexpr, STEPS: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """The gradient of one matrix, back through the saved iterates.

    With D the gradient of X', S = D Xᵀ + X Dᵀ and Q = b S + c (S A + A S): dX = a D + (b A + c A²) D + Q X.
    """
    batch = tl.program_id(0).to(tl.int64)
    rows = tl.arange(0, BLOCK_M).to(tl.int64)[:, None]
    columns = tl.arange(0, BLOCK_N).to(tl.int64)[None, :]
    inside = (rows < M) & (columns < N)
    values = tl.load(upstream + batch * up_b + rows * up_m + columns * up_n, mask=inside, other=0.0)
    up_largest, up_inverse, d = _whole_norm(values.to(tl.float32))
    for back in range(STEPS):
        step = STEPS - 1 - back
        a, b, c = _coefficients_of(step, COEFFICIENTS, STEPS)
        x = tl.load(iterates + ((batch * STEPS + step) * M + rows) * N + columns, mask=inside, other=0.0)
        gram = tl.dot(x, tl.trans(x), input_precision=PRECISION)
        poly = b * gram + c * tl.dot(gram, gram, input_precision=PRECISION)
        both = tl.dot(d, tl.trans(x), input_precision=PRECISION)
        both += tl.trans(both)
        turned = tl.dot(both, gram, input_precision=PRECISION)
        slope = b * both + c * (turned + tl.trans(turned))
        d = a * d + tl.dot(poly, d, input_precision=PRECISION)
        d = tl.dot(slope, x, d, input_precision=PRECISION)
    x = tl.load(iterates + (batch * STEPS * M + rows) * N + columns, mask=inside, other=0.0)
    d -= x * tl.sum(tl.sum(x * d, 1), 0)
    d *= rescale(tl.load(scales + batch * 2), tl.load(scales + batch * 2 + 1), up_largest, up_inverse)
    tl.store(out + batch * out_b + rows * out_m + columns * out_n, d.to(out.dtype.element_ty), mask=inside)


def fits(g: Tensor) -> bool:
    """Whether one program holds a matrix of [batch, rows, columns]."""
    m, n = sorted(g.shape[1:])
    # Products of float32 are unrolled into single multiplications: a quarter keeps them in registers.
    most = _MOST // 4 if g.dtype == torch.float32 else _MOST
    return m <= _MOST_ROWS and tile_of(m) * tile_of(n) <= most


def forward(
    g: Tensor, steps: int, dtype: torch.dtype, *, add: tuple[Tensor, Tensor] | None = None, save: bool = False
) -> tuple[Tensor, Kept]:
    """NS(G) in some dtype, or the weights and row norms in ``add`` after that step; with what was kept."""
    x = wide(g)
    batch, m, n = x.shape
    out = g.new_empty(g.shape, dtype=dtype)
    w, row_norms = (g, g[..., 0]) if add is None else add
    iterates = g.new_empty((batch, steps, m, n) if save else 0, dtype=torch.float32)
    scales = g.new_empty((batch, 2), dtype=torch.float32)
    if batch:
        _forward_kernel[(batch,)](
            x, w, row_norms, out, iterates, scales,
            *x.stride(), *wide(w).stride(), *row_norms.stride(), *wide(out).stride(), m, n,
            COEFFICIENTS=_flat(steps), STEPS=steps, ADD=add is not None, TALL=g.shape[1] > g.shape[2],
            SAVE=save, **_config(g, m, n),
        )  # fmt: skip
    return out, Kept(iterates, scales)


def backward(g: Tensor, kept: Kept, upstream: Tensor, steps: int) -> Tensor:
    """The gradient of G."""
    up = wide(upstream)
    batch, m, n = up.shape
    out = g.new_empty(g.shape)
    if batch:
        _backward_kernel[(batch,)](
            up, *kept, out, *up.stride(), *wide(out).stride(), m, n,
            COEFFICIENTS=_flat(steps), STEPS=steps, **_config(g, m, n),
        )  # fmt: skip
    return out


def _flat(steps: int) -> tuple[float, ...]:
    return tuple(value for triple in COEFFICIENTS[:steps] for value in triple)


def _config(g: Tensor, m: int, n: int) -> dict[str, object]:
    """Everything stays in float32 registers: half precisions take the tensor cores' 10-bit mantissa."""
    block_m, block_n = tile_of(m), tile_of(n)
    return {
        "PRECISION": "ieee" if g.dtype == torch.float32 else "tf32",
        "BLOCK_M": block_m,
        "BLOCK_N": block_n,
        "num_warps": 8 if block_m * block_n >= 64 * 64 else 4,
        "num_stages": 1,
    }
