"""Newton–Schulz in Triton: one program a matrix where it fits into registers, else one launch a product.

X is [m, n] with m ≤ n throughout: a taller matrix is read and written through swapped strides. Between
launches torch only allocates.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.newton_schulz_reference import COEFFICIENTS

_STEPS = len(COEFFICIENTS)
# A padded matrix that one program holds, in the backward with its gradient and three [m, m] matrices: with a
# larger one they leave an H100's shared memory.
_ONE_PROGRAM = 64 * 128
_MOST_ROWS = 64
_SPAN = 1024


@triton.jit
def _largest(values):
    """The largest magnitude of a tile, 1 for zeros, for a division before squaring."""
    largest = tl.max(tl.max(tl.abs(values), 1), 0)
    return tl.where(largest == 0.0, 1.0, largest)


@triton.jit
def _inverse_root(square):
    """1/√square, and 0 of 0; NaN stays NaN."""
    return tl.where(square == 0.0, 0.0, tl.rsqrt(tl.where(square == 0.0, 1.0, square)))


@triton.jit
def _whole_norm(values):
    """The largest magnitude s of a matrix, the inverse norm of the matrix over s, and their quotient."""
    largest = _largest(values)
    scaled = values / largest
    inverse = _inverse_root(tl.sum(tl.sum(scaled * scaled, 1), 0))
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
def _small_forward(
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
        x = x / tl.where(most == 0.0, 1.0, most)
        total = tl.sum(x * x, 0)[None, :] if TALL else tl.sum(x * x, 1)[:, None]
        x = x * _inverse_root(total) * norms.to(tl.float32)
    tl.store(out + batch * out_b + rows * out_m + columns * out_n, x.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _small_backward(
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
    d *= _rescale(tl.load(scales + batch * 2), tl.load(scales + batch * 2 + 1), up_largest, up_inverse)
    tl.store(out + batch * out_b + rows * out_m + columns * out_n, d.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _rescale(largest, inverse, up_largest, up_inverse):
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
        safe = tl.where(most == 0.0, 1.0, most)
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
    tiles_n = tl.cdiv(N, BLOCK_N)
    tiles = tl.cdiv(M, BLOCK_M) * tiles_n
    batch = tl.program_id(0).to(tl.int64) // tiles
    tile = tl.program_id(0) % tiles
    part = tl.arange(0, PARTS)
    most = tl.load(partials + (batch * parts + part) * 2, mask=part < parts, other=0.0)
    squares = tl.load(partials + (batch * parts + part) * 2 + 1, mask=part < parts, other=0.0)
    largest = tl.max(most, 0)
    largest = tl.where(largest == 0.0, 1.0, largest)
    shrink = most / largest
    inverse = _inverse_root(tl.sum(squares * shrink * shrink, 0))
    if tile == 0:
        tl.store(scales + batch * 2, largest)
        tl.store(scales + batch * 2 + 1, inverse)
    rows = (tile // tiles_n * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)[:, None]
    columns = (tile % tiles_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)[None, :]
    inside = (rows < M) & (columns < N)
    values = tl.load(x + batch * x_b + rows * x_m + columns * x_n, mask=inside, other=0.0).to(tl.float32)
    values = values / largest * inverse
    tl.store(out + batch * out_b + rows * N + columns, values.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _pair(acc, left, right, left_m, left_k, right_k, right_n, rows, columns, M, N, K,
          PRECISION: tl.constexpr, BLOCK_K: tl.constexpr):  # fmt: skip
    """``acc`` with a tile of left @ right added."""
    inner = tl.arange(0, BLOCK_K)
    left += rows.to(tl.int64)[:, None] * left_m + inner[None, :] * left_k
    right += inner[:, None] * right_k + columns.to(tl.int64)[None, :] * right_n
    for start in range(0, K, BLOCK_K):
        here = start + inner < K
        a = tl.load(left, mask=(rows < M)[:, None] & here[None, :], other=0.0)
        b = tl.load(right, mask=here[:, None] & (columns < N)[None, :], other=0.0)
        acc = tl.dot(a, b, acc, input_precision=PRECISION)
        left += BLOCK_K * left_k
        right += BLOCK_K * right_k
    return acc


@triton.jit
def _combine(
    base, left, right, left2, right2, out, alpha, beta,
    base_b, base_m, base_n, left_b, left_m, left_k, right_b, right_k, right_n,
    left2_b, left2_m, left2_k, right2_b, right2_k, right2_n, out_b, out_m, out_n, M, N, K, K2,
    BASE: tl.constexpr, TWO: tl.constexpr, SYMMETRIC: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A tile of alpha · base + beta · (left @ right + left2 @ right2).

    Of a symmetric result only the tiles on and below the diagonal are computed, and written twice.
    """
    tiles_n = tl.cdiv(N, BLOCK_N)
    tiles = tl.cdiv(M, BLOCK_M) * tiles_n
    batch = tl.program_id(0).to(tl.int64) // tiles
    tile = tl.program_id(0) % tiles
    tile_m = tile // tiles_n
    tile_n = tile % tiles_n
    if SYMMETRIC and tile_m < tile_n:
        return
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    acc = _pair(acc, left + batch * left_b, right + batch * right_b, left_m, left_k, right_k, right_n,
                rows, columns, M, N, K, PRECISION, BLOCK_K)  # fmt: skip
    if TWO:
        acc = _pair(acc, left2 + batch * left2_b, right2 + batch * right2_b, left2_m, left2_k, right2_k,
                    right2_n, rows, columns, M, N, K2, PRECISION, BLOCK_K)  # fmt: skip
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
    tiles_n = tl.cdiv(N, BLOCK_N)
    tiles = tl.cdiv(M, BLOCK_M) * tiles_n
    batch = tl.program_id(0).to(tl.int64) // tiles
    tile = tl.program_id(0) % tiles
    part = tl.arange(0, PARTS)
    along = tl.sum(tl.load(partials + batch * parts + part, mask=part < parts, other=0.0), 0)
    scale = _rescale(tl.load(scales + batch * 2), tl.load(scales + batch * 2 + 1),
                     tl.load(up_scales + batch * 2), tl.load(up_scales + batch * 2 + 1))  # fmt: skip
    rows = (tile // tiles_n * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)[:, None]
    columns = (tile % tiles_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)[None, :]
    inside = (rows < M) & (columns < N)
    radial = tl.load(x + batch * x_b + rows * N + columns, mask=inside, other=0.0).to(tl.float32)
    values = tl.load(d + batch * d_b + rows * N + columns, mask=inside, other=0.0).to(tl.float32)
    values = (values - radial * along) * scale
    tl.store(
        out + batch * out_b + rows * out_m + columns * out_n, values.to(out.dtype.element_ty), mask=inside
    )


@triton.jit
def _rows_of(R, BLOCK_R: tl.constexpr):
    """The batch entry of a program, and its rows as a column."""
    blocks = tl.cdiv(R, BLOCK_R)
    rows = tl.program_id(0) % blocks * BLOCK_R + tl.arange(0, BLOCK_R)
    return tl.program_id(0).to(tl.int64) // blocks, rows.to(tl.int64)[:, None]


@triton.jit
def _moved(w, step, rows, columns, w_r, w_c, step_r, step_c, R, C):
    """Some columns of some rows of W + step."""
    inside = (rows < R) & (columns < C)
    start = tl.load(w + rows * w_r + columns * w_c, mask=inside, other=0.0)
    change = tl.load(step + rows * step_r + columns * step_c, mask=inside, other=0.0)
    return start.to(tl.float32) + change.to(tl.float32)


@triton.jit
def _row_norms(
    w, step, rows, w_r, w_c, step_r, step_c, R, C, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr
):  # fmt: skip
    """Of rows of W + step, as columns: the largest magnitude, and the inverse norm of the row over it."""
    largest = tl.zeros((BLOCK_R, 1), tl.float32)
    square = tl.zeros((BLOCK_R, 1), tl.float32)
    for start in range(0, C, BLOCK_C):
        columns = start + tl.arange(0, BLOCK_C).to(tl.int64)[None, :]
        values = _moved(w, step, rows, columns, w_r, w_c, step_r, step_c, R, C)
        most = tl.maximum(largest, tl.max(tl.abs(values), 1)[:, None])
        safe = tl.where(most == 0.0, 1.0, most)
        scaled = values / safe
        shrink = largest / safe
        square = square * shrink * shrink + tl.sum(scaled * scaled, 1)[:, None]
        largest = most
    return tl.where(largest == 0.0, 1.0, largest), _inverse_root(square)


@triton.jit
def _add_rows(
    w, step, row_norms, out, w_b, w_r, w_c, step_b, step_r, step_c, norm_b, norm_r, R, C,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Some rows of the stepped weights."""
    batch, rows = _rows_of(R, BLOCK_R)
    w += batch * w_b
    step += batch * step_b
    largest, inverse = _row_norms(w, step, rows, w_r, w_c, step_r, step_c, R, C, BLOCK_R, BLOCK_C)
    norm = tl.load(row_norms + batch * norm_b + rows * norm_r, mask=rows < R, other=0.0).to(tl.float32)
    for start in range(0, C, BLOCK_C):
        columns = start + tl.arange(0, BLOCK_C).to(tl.int64)[None, :]
        values = _moved(w, step, rows, columns, w_r, w_c, step_r, step_c, R, C) / largest * inverse * norm
        place = out + (batch * R + rows) * C + columns
        tl.store(place, values.to(out.dtype.element_ty), mask=(rows < R) & (columns < C))


@triton.jit
def _add_rows_backward(
    w, step, row_norms, upstream, out, out_norms,
    w_b, w_r, w_c, step_b, step_r, step_c, norm_b, norm_r, up_b, up_r, up_c, R, C,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """The gradients of some rows: of W (and the same of the step), and of their norms.

    With û a row's direction and r its norm: r / ‖u‖ · (dy − û ⟨û, dy⟩), and ⟨û, dy⟩.
    """
    batch, rows = _rows_of(R, BLOCK_R)
    w += batch * w_b
    step += batch * step_b
    upstream += batch * up_b + rows * up_r
    largest, inverse = _row_norms(w, step, rows, w_r, w_c, step_r, step_c, R, C, BLOCK_R, BLOCK_C)
    along = tl.zeros((BLOCK_R, 1), tl.float32)
    for start in range(0, C, BLOCK_C):
        columns = start + tl.arange(0, BLOCK_C).to(tl.int64)[None, :]
        unit = _moved(w, step, rows, columns, w_r, w_c, step_r, step_c, R, C) / largest * inverse
        up = tl.load(upstream + columns * up_c, mask=(rows < R) & (columns < C), other=0.0).to(tl.float32)
        along += tl.sum(unit * up, 1)[:, None]
    tl.store(out_norms + batch * R + rows, along.to(out_norms.dtype.element_ty), mask=rows < R)
    norm = tl.load(row_norms + batch * norm_b + rows * norm_r, mask=rows < R, other=0.0).to(tl.float32)
    scale = norm / largest * inverse
    for start in range(0, C, BLOCK_C):
        columns = start + tl.arange(0, BLOCK_C).to(tl.int64)[None, :]
        inside = (rows < R) & (columns < C)
        unit = _moved(w, step, rows, columns, w_r, w_c, step_r, step_c, R, C) / largest * inverse
        up = tl.load(upstream + columns * up_c, mask=inside, other=0.0).to(tl.float32)
        values = (up - unit * along) * scale
        tl.store(out + (batch * R + rows) * C + columns, values.to(out.dtype.element_ty), mask=inside)


def newton_schulz_triton(g: Tensor, steps: int) -> Tensor:
    """:func:`newton_schulz.newton_schulz` for [batch, rows, columns]."""
    result: Tensor = _newton_schulz(g, steps)
    return result


def newton_schulz_add_triton(w: Tensor, g: Tensor, row_norms: Tensor) -> Tensor:
    """:func:`newton_schulz.newton_schulz_add` for [batch, rows, columns]."""
    result: Tensor = _newton_schulz_add(w, g, row_norms)
    return result


@torch.library.custom_op("storyloom::newton_schulz", mutates_args=())
def _newton_schulz(g: Tensor, steps: int) -> Tensor:
    return _forward(g, steps, g.dtype).result


@torch.library.custom_op("storyloom::newton_schulz_backward", mutates_args=())
def _newton_schulz_backward(g: Tensor, upstream: Tensor, steps: int) -> Tensor:
    return _backward(g, _forward(g, steps, g.dtype, save=True), upstream, steps)


@torch.library.custom_op("storyloom::newton_schulz_add", mutates_args=())
def _newton_schulz_add(w: Tensor, g: Tensor, row_norms: Tensor) -> Tensor:
    if _fits_one_program(g):
        return _small(g, _STEPS, w.dtype, add=(w, row_norms)).result
    step = _forward(g, _STEPS, w.dtype).result
    batch, rows, columns = w.shape
    out = w.new_empty(w.shape)
    if batch:
        config = _row_config(rows, columns)
        _add_rows[(batch * triton.cdiv(rows, config["BLOCK_R"]),)](
            w, step, row_norms, out, *w.stride(), *step.stride(), *row_norms.stride(), rows, columns,
            **config,
        )  # fmt: skip
    return out


@torch.library.custom_op("storyloom::newton_schulz_add_backward", mutates_args=())
def _newton_schulz_add_backward(
    w: Tensor, g: Tensor, row_norms: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    forward = _forward(g, _STEPS, w.dtype, save=True)
    batch, rows, columns = w.shape
    dw, dnorms = w.new_empty(w.shape), w.new_empty(w.shape[:-1])
    if batch:
        config = _row_config(rows, columns)
        _add_rows_backward[(batch * triton.cdiv(rows, config["BLOCK_R"]),)](
            w, forward.result, row_norms, upstream, dw, dnorms,
            *w.stride(), *forward.result.stride(), *row_norms.stride(), *upstream.stride(), rows, columns,
            **config,
        )  # fmt: skip
    return dw, _backward(g, forward, dw, _STEPS), dnorms


@_newton_schulz.register_fake
def _(g: Tensor, steps: int) -> Tensor:  # noqa: ARG001
    return g.new_empty(g.shape)


@_newton_schulz_backward.register_fake
def _(g: Tensor, upstream: Tensor, steps: int) -> Tensor:  # noqa: ARG001
    return g.new_empty(g.shape)


@_newton_schulz_add.register_fake
def _(w: Tensor, g: Tensor, row_norms: Tensor) -> Tensor:  # noqa: ARG001
    return w.new_empty(w.shape)


@_newton_schulz_add_backward.register_fake
def _(w: Tensor, g: Tensor, row_norms: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    return w.new_empty(w.shape), g.new_empty(g.shape), w.new_empty(w.shape[:-1])


def _save_one(ctx, inputs, output) -> None:  # noqa: ARG001
    g, ctx.steps = inputs
    ctx.save_for_backward(g)


def _back_one(ctx, upstream: Tensor):
    return _newton_schulz_backward(ctx.saved_tensors[0], upstream, ctx.steps), None


def _save_three(ctx, inputs, output) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _back_three(ctx, upstream: Tensor):
    return _newton_schulz_add_backward(*ctx.saved_tensors, upstream)


_newton_schulz.register_autograd(_back_one, setup_context=_save_one)
_newton_schulz_add.register_autograd(_back_three, setup_context=_save_three)


@dataclass(frozen=True)
class _Forward:
    """What a forward leaves; the saved tensors are empty unless they were asked for.

    Shapes: result like G; iterates, the X of each step, [steps, batch, m, n] (one program a matrix: [batch,
    steps, m, n]); grams and polys, A and b A + c A² of each step, [steps, batch, m, m]; scales [batch, 2],
    the largest magnitude and the inverse norm of the matrix over it.
    """

    result: Tensor
    iterates: Tensor
    grams: Tensor
    polys: Tensor
    scales: Tensor


def _forward(g: Tensor, steps: int, dtype: torch.dtype, *, save: bool = False) -> _Forward:
    """NS(G) in some dtype, with what a backward needs."""
    return _small(g, steps, dtype, save=save) if _fits_one_program(g) else _tiled(g, steps, dtype, save=save)


def _backward(g: Tensor, forward: _Forward, upstream: Tensor, steps: int) -> Tensor:
    """The gradient of G."""
    run = _small_back if _fits_one_program(g) else _tiled_back
    return run(g, forward, upstream, steps)


def _small(
    g: Tensor, steps: int, dtype: torch.dtype, *, add: tuple[Tensor, Tensor] | None = None, save: bool = False
) -> _Forward:
    x = _wide(g)
    batch, m, n = x.shape
    out = g.new_empty(g.shape, dtype=dtype)
    w, row_norms = (g, g[..., 0]) if add is None else add
    iterates = g.new_empty((batch, steps, m, n) if save else 0, dtype=torch.float32)
    scales = g.new_empty((batch, 2), dtype=torch.float32)
    if batch:
        _small_forward[(batch,)](
            x, w, row_norms, out, iterates, scales,
            *x.stride(), *_wide(w).stride(), *row_norms.stride(), *_wide(out).stride(), m, n,
            COEFFICIENTS=_coefficients(steps), STEPS=steps, ADD=add is not None, TALL=g.shape[1] > g.shape[2],
            SAVE=save, **_small_config(g, m, n),
        )  # fmt: skip
    return _Forward(out, iterates, scales, scales, scales)


def _small_back(g: Tensor, forward: _Forward, upstream: Tensor, steps: int) -> Tensor:
    up = _wide(upstream)
    batch, m, n = up.shape
    out = g.new_empty(g.shape)
    if batch:
        _small_backward[(batch,)](
            up, forward.iterates, forward.scales, out, *up.stride(), *_wide(out).stride(), m, n,
            COEFFICIENTS=_coefficients(steps), STEPS=steps, **_small_config(g, m, n),
        )  # fmt: skip
    return out


def _tiled(g: Tensor, steps: int, dtype: torch.dtype, *, save: bool) -> _Forward:
    x = _wide(g)
    batch, m, n = x.shape
    kept = steps if save else 1
    iterates = g.new_empty((steps if save else 2, batch, m, n))
    grams, polys = g.new_empty((kept, batch, m, m)), g.new_empty((kept, batch, m, m))
    out = g.new_empty(g.shape, dtype=dtype)
    scales = _unit(x, iterates[0])
    for step, (a, b, c) in enumerate(COEFFICIENTS[:steps]):
        x = iterates[step % len(iterates)]
        gram, poly = grams[step % kept], polys[step % kept]
        _add(gram, (x, x.mT), symmetric=True)
        _add(poly, (gram, gram), base=gram, alpha=b, beta=c, symmetric=True)
        following = _wide(out) if step + 1 == steps else iterates[(step + 1) % len(iterates)]
        _add(following, (poly, x), base=x, alpha=a)
    return _Forward(out, iterates, grams, polys, scales)


def _tiled_back(g: Tensor, forward: _Forward, upstream: Tensor, steps: int) -> Tensor:
    batch, m, n = forward.iterates.shape[1:]
    gradients = g.new_empty((2, batch, m, n))
    both, slope = g.new_empty((batch, m, m)), g.new_empty((batch, m, m))
    up_scales = _unit(_wide(upstream), gradients[0])
    for back in range(steps):
        a, b, c = COEFFICIENTS[steps - 1 - back]
        x, gram, poly = (kept[steps - 1 - back] for kept in (forward.iterates, forward.grams, forward.polys))
        d, following = gradients[back % 2], gradients[(back + 1) % 2]
        _add(both, (d, x.mT), (x, d.mT), symmetric=True)
        _add(slope, (both, gram), (gram, both), base=both, alpha=b, beta=c, symmetric=True)
        _add(following, (poly, d), (slope, x), base=d, alpha=a)
    out = g.new_empty(g.shape)
    if batch:
        x, d = forward.iterates[0], gradients[steps % 2]
        parts, config = _part_config(m, n)
        partials = g.new_empty((batch, parts), dtype=torch.float32)
        _partial_products[(batch * parts,)](x, d, partials, m * n, m * n, m, n, parts, **config)
        _finish[(batch * _tiles(m, n, config),)](
            x, d, partials, forward.scales, up_scales, out, m * n, m * n, *_wide(out).stride(), m, n, parts,
            PARTS=triton.next_power_of_2(parts), **config,
        )  # fmt: skip
    return out


def _unit(x: Tensor, out: Tensor) -> Tensor:
    """Write each matrix over its norm; gives their scales, [batch, 2]."""
    batch, m, n = x.shape
    parts, config = _part_config(m, n)
    scales = x.new_empty((batch, 2), dtype=torch.float32)
    if batch:
        partials = x.new_empty((batch, parts, 2), dtype=torch.float32)
        _partial_norms[(batch * parts,)](x, partials, *x.stride(), m, n, parts, **config)
        _normalise[(batch * _tiles(m, n, config),)](
            x, partials, out, scales, *x.stride(), m * n, m, n, parts,
            PARTS=triton.next_power_of_2(parts), **config,
        )  # fmt: skip
    return scales


def _add(
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
    config = _product_config(left.dtype, m, n, symmetric)
    if batch:
        _combine[(batch * _tiles(m, n, config),)](
            start, left, right, left2, right2, out, alpha, beta,
            *start.stride(), *left.stride(), *right.stride(), *left2.stride(), *right2.stride(),
            *out.stride(), m, n, left.shape[2], left2.shape[2],
            BASE=base is not None, TWO=second is not None, SYMMETRIC=symmetric, **config,
        )  # fmt: skip


def _wide(matrices: Tensor) -> Tensor:
    """The matrices, or their transposes, with no more rows than columns."""
    return matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices


def _coefficients(steps: int) -> tuple[float, ...]:
    return tuple(value for triple in COEFFICIENTS[:steps] for value in triple)


def _fits_one_program(g: Tensor) -> bool:
    m, n = sorted(g.shape[1:])
    # Products of float32 are unrolled into single multiplications: a quarter keeps them in registers.
    most = _ONE_PROGRAM // 4 if g.dtype == torch.float32 else _ONE_PROGRAM
    return m <= _MOST_ROWS and _block(m) * _block(n) <= most


def _block(size: int, most: int | None = None) -> int:
    """The power of two that holds a size, at least the 16 that a product needs.

    Where it would be too large: the tile for it, half the largest one where that pads much less.
    """
    block = max(16, int(triton.next_power_of_2(size)))
    if most is None or block <= most:
        return block
    half = most // 2
    return half if -size // most * most < 1.2 * (-size // half * half) else most


def _tiles(m: int, n: int, config: dict[str, object]) -> int:
    return int(triton.cdiv(m, config["BLOCK_M"]) * triton.cdiv(n, config["BLOCK_N"]))


def _small_config(g: Tensor, m: int, n: int) -> dict[str, object]:
    """Everything stays in float32 registers: half precisions take the tensor cores' 10-bit mantissa."""
    block_m, block_n = _block(m), _block(n)
    return {
        "PRECISION": "ieee" if g.dtype == torch.float32 else "tf32",
        "BLOCK_M": block_m,
        "BLOCK_N": block_n,
        "num_warps": 8 if block_m * block_n >= 64 * 64 else 4,
        "num_stages": 1,
    }


def _product_config(dtype: torch.dtype, m: int, n: int, symmetric: bool) -> dict[str, object]:
    full = dtype == torch.float32
    largest = 64 if full else 128
    block_m = _block(m, largest)
    # The tiles of a symmetric result are square, so that one mirrors another.
    block_n = block_m if symmetric else _block(n, largest)
    return {
        "PRECISION": "ieee",
        "BLOCK_M": block_m,
        "BLOCK_N": block_n,
        "BLOCK_K": 32 if full else 64,
        "num_warps": 8 if block_m * block_n > 64 * 64 else 4,
        "num_stages": 3,
    }


def _part_config(m: int, n: int) -> tuple[int, dict[str, object]]:
    """How many parts a reduction over a matrix has, and the tiles of the passes over its elements."""
    block_m = _block(m, 32)
    return triton.cdiv(m, block_m), {"BLOCK_M": block_m, "BLOCK_N": _block(n, 256), "num_warps": 4}


def _row_config(rows: int, columns: int) -> dict[str, int]:
    block_c = min(_SPAN, _block(columns))
    return {"BLOCK_R": min(_SPAN * 4 // block_c, _block(rows)), "BLOCK_C": block_c, "num_warps": 4}
