"""The rows of W + step, each given a norm: the end of ``newton_schulz_add`` where tiles made the step."""

import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.newton_schulz_norms_triton import inverse_root, one_for_zero
from storyloom.kernels.tiles_triton import tile_of

_SPAN = 1024


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
        safe = one_for_zero(most)
        scaled = values / safe
        shrink = largest / safe
        square = square * shrink * shrink + tl.sum(scaled * scaled, 1)[:, None]
        largest = most
    return one_for_zero(largest), inverse_root(square)


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


def add_rows(w: Tensor, step: Tensor, row_norms: Tensor) -> Tensor:
    """The stepped weights, in the dtype of ``w``."""
    batch, rows, columns = w.shape
    out = w.new_empty(w.shape)
    if batch:
        config = _config(rows, columns)
        _add_rows[(batch * triton.cdiv(rows, config["BLOCK_R"]),)](
            w, step, row_norms, out, *w.stride(), *step.stride(), *row_norms.stride(), rows, columns,
            **config,
        )  # fmt: skip
    return out


def add_rows_backward(w: Tensor, step: Tensor, row_norms: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of W, which are those of the step too, and of the row norms."""
    batch, rows, columns = w.shape
    dw, dnorms = w.new_empty(w.shape), w.new_empty(w.shape[:-1])
    if batch:
        config = _config(rows, columns)
        _add_rows_backward[(batch * triton.cdiv(rows, config["BLOCK_R"]),)](
            w, step, row_norms, upstream, dw, dnorms,
            *w.stride(), *step.stride(), *row_norms.stride(), *upstream.stride(), rows, columns, **config,
        )  # fmt: skip
    return dw, dnorms


def _config(rows: int, columns: int) -> dict[str, int]:
    block_c = min(_SPAN, tile_of(columns))
    return {"BLOCK_R": min(_SPAN * 4 // block_c, tile_of(rows)), "BLOCK_C": block_c, "num_warps": 4}
