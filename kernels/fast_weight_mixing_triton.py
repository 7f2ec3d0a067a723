"""Kernels that turn a chunk's gates into its mixing matrix G̃, and G̃'s gradient into the gates'.

They run the recurrence of ``fast_weight_reference`` on whole rows: no logarithm and no division, so a gate of
0 needs no special case. Every chunk is independent of the others; a program takes several.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.backend import interpreted
from storyloom.kernels.fast_weight_tiles_triton import VECTORS, Shape, strides

Gates = tuple[Tensor, Tensor, Tensor]


@triton.jit
def _own_chunks(
    LENGTH, HEADS, CHUNKS, TOTAL, CHUNK: tl.constexpr, C: tl.constexpr, R: tl.constexpr
):  # fmt: skip
    """A program's chunks and which are real, where they begin and end, and whose they are.

    Last come the columns of G̃.
    """
    row = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    live = row < TOTAL
    start = row % CHUNKS * CHUNK
    end = tl.minimum(start + CHUNK, LENGTH)
    batch = row // CHUNKS // HEADS
    head = row // CHUNKS % HEADS
    column = tl.arange(0, C)
    return row, live, start, end, batch, head, column


@triton.jit
def _mix_kernel(
    momentum, rate, decay, mix, surprises, vectors,
    momentum_b, momentum_l, momentum_h, rate_b, rate_l, rate_h, decay_b, decay_l, decay_h,
    LENGTH, HEADS, CHUNKS, TOTAL, WINDOW,
    CHUNK: tl.constexpr, C: tl.constexpr, R: tl.constexpr, N: tl.constexpr, SURPRISES: tl.constexpr,
):  # fmt: skip
    """G̃ and its vectors, and P̃ if ``SURPRISES``, row after row of some chunks side by side."""
    row, live, start, end, batch, head, column = _own_chunks(LENGTH, HEADS, CHUNKS, TOTAL, CHUNK, C, R)
    momentum_at = momentum + batch * momentum_b + head * momentum_h
    rate_at = rate + batch * rate_b + head * rate_h
    decay_at = decay + batch * decay_b + head * decay_h
    mix_at = mix + row * C * C
    vectors_at = vectors + row * N * C
    surprise = tl.zeros((R, C), tl.float32)
    update = tl.zeros((R, C), tl.float32)
    restart = tl.full((R,), 1.0, tl.float32)
    kept = tl.full((R,), 1.0, tl.float32)
    carried = tl.zeros((R,), tl.float32)
    for token in range(C):
        inside = live & (start + token < end)
        eta = tl.load(momentum_at + (start + token) * momentum_l, mask=inside, other=1.0).to(tl.float32)
        theta = tl.load(rate_at + (start + token) * rate_l, mask=inside, other=0.0).to(tl.float32)
        keep = 1.0 - tl.load(decay_at + (start + token) * decay_l, mask=inside, other=0.0).to(tl.float32)
        window = (column <= token) & (column > token - WINDOW)
        surprise = eta[:, None] * surprise + tl.where(window[None, :], theta[:, None], 0.0)
        update = tl.where(inside[:, None], keep[:, None] * update + surprise, update)
        restart = eta * restart
        carried = tl.where(inside, keep * carried + restart, carried)
        kept = keep * kept
        tl.store(
            mix_at[:, None] + token * C + column[None, :],
            tl.where(inside[:, None], update, 0.0),
            mask=live[:, None],
        )
        if SURPRISES:
            tl.store(
                surprises + row[:, None] * C * C + token * C + column[None, :],
                surprise,
                mask=live[:, None],
            )
        tl.store(vectors_at + token, tl.where(inside, kept, 0.0), mask=live)
        tl.store(vectors_at + C + token, tl.where(inside, carried, 0.0), mask=live)
        tl.store(vectors_at + 2 * C + token, restart, mask=live)
    tl.store(vectors_at[:, None] + 3 * C + column[None, :], update, mask=live[:, None])
    tl.store(vectors_at[:, None] + 4 * C + column[None, :], surprise, mask=live[:, None])
    ends = tl.where(column[None, :] == 0, kept[:, None], 0.0)
    ends = tl.where(column[None, :] == 1, carried[:, None], ends)
    ends = tl.where(column[None, :] == 2, restart[:, None], ends)
    tl.store(vectors_at[:, None] + 5 * C + column[None, :], ends, mask=live[:, None])


@triton.jit
def _mix_gradient_kernel(
    momentum, decay, mix, surprises, vectors, d_mix, d_vectors, d_momentum, d_rate, d_decay,
    momentum_b, momentum_l, momentum_h, decay_b, decay_l, decay_h,
    LENGTH, HEADS, CHUNKS, TOTAL, WINDOW,
    CHUNK: tl.constexpr, C: tl.constexpr, R: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """The gates' gradients, from the last row to the first."""
    row, live, start, end, batch, head, column = _own_chunks(LENGTH, HEADS, CHUNKS, TOTAL, CHUNK, C, R)
    momentum_at = momentum + batch * momentum_b + head * momentum_h
    decay_at = decay + batch * decay_b + head * decay_h
    square_at = row[:, None] * C * C + column[None, :]
    vectors_at = vectors + row * N * C
    d_vectors_at = d_vectors + row * N * C
    gates_at = (batch * LENGTH + start) * HEADS + head
    d_update = tl.load(d_vectors_at[:, None] + 3 * C + column[None, :], mask=live[:, None], other=0.0)
    d_surprise = tl.load(d_vectors_at[:, None] + 4 * C + column[None, :], mask=live[:, None], other=0.0)
    d_kept = tl.load(d_vectors_at + 5 * C, mask=live, other=0.0)
    d_carried = tl.load(d_vectors_at + 5 * C + 1, mask=live, other=0.0)
    d_restart = tl.load(d_vectors_at + 5 * C + 2, mask=live, other=0.0)
    for step in range(C):
        token = C - 1 - step
        inside = live & (start + token < end)
        after = inside & (start + token > start)
        eta = tl.load(momentum_at + (start + token) * momentum_l, mask=inside, other=1.0).to(tl.float32)
        keep = 1.0 - tl.load(decay_at + (start + token) * decay_l, mask=inside, other=0.0).to(tl.float32)
        window = (column <= token) & (column > token - WINDOW)
        row_update = d_update + tl.load(d_mix + square_at + token * C, mask=inside[:, None], other=0.0)
        row_surprise = d_surprise + row_update
        token_kept = d_kept + tl.load(d_vectors_at + token, mask=inside, other=0.0)
        token_carried = d_carried + tl.load(d_vectors_at + C + token, mask=inside, other=0.0)
        token_restart = d_restart + token_carried
        before_update = tl.load(mix + square_at + token * C - C, mask=after[:, None], other=0.0)
        before_surprise = tl.load(surprises + square_at + token * C - C, mask=after[:, None], other=0.0)
        before_kept = tl.load(vectors_at + token - 1, mask=after, other=1.0)
        before_carried = tl.load(vectors_at + C + token - 1, mask=after, other=0.0)
        before_restart = tl.load(vectors_at + 2 * C + token - 1, mask=after, other=1.0)
        d_keep = (
            tl.sum(row_update * before_update, 1) + token_kept * before_kept + token_carried * before_carried
        )
        d_eta = tl.sum(row_surprise * before_surprise, 1) + token_restart * before_restart
        d_theta = tl.sum(tl.where(window[None, :], row_surprise, 0.0), 1)
        at = gates_at + token * HEADS
        tl.store(d_momentum + at, d_eta, mask=inside)
        tl.store(d_rate + at, d_theta, mask=inside)
        tl.store(d_decay + at, -d_keep, mask=inside)
        d_update = tl.where(inside[:, None], keep[:, None] * row_update, d_update)
        d_surprise = tl.where(inside[:, None], eta[:, None] * row_surprise, d_surprise)
        d_kept = tl.where(inside, keep * token_kept, d_kept)
        d_carried = tl.where(inside, keep * token_carried, d_carried)
        d_restart = tl.where(inside, eta * token_restart, d_restart)


class Mixing(NamedTuple):
    """The mixing of every chunk."""

    matrix: Tensor  # G̃ [memories, chunks, tile, tile]
    vectors: Tensor  # [memories, chunks, VECTORS, tile]
    surprises: Tensor | None  # P̃, shaped like G̃, where gradients are wanted


def mix(gates: Gates, shape: Shape, window: int, *, surprises: bool = False) -> Mixing:
    """The mixing of the gates; with P̃, which its gradient reads, when ``surprises``."""
    leading = (shape.rows, shape.chunks)
    matrix = gates[0].new_empty((*leading, shape.tile, shape.tile), dtype=torch.float32)
    vectors = matrix.new_empty((*leading, VECTORS, shape.tile))
    kept = torch.empty_like(matrix) if surprises else None
    total, rows = _config(shape)
    _mix_kernel[(triton.cdiv(total, rows),)](
        *gates, matrix, matrix if kept is None else kept, vectors, *strides(*gates),
        shape.length, shape.heads, shape.chunks, total, window,
        CHUNK=shape.chunk, C=shape.tile, R=rows, N=VECTORS, SURPRISES=surprises, num_warps=1,
    )  # fmt: skip
    return Mixing(matrix, vectors, kept)


def mix_gradients(
    gates: Gates, shape: Shape, window: int, mixing: Mixing, d_matrix: Tensor, d_vectors: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of momentum, rate and decay from those of G̃ and of the vectors."""
    momentum, rate, decay = gates
    given = [rate.new_empty(rate.shape, dtype=torch.float32) for _ in range(3)]
    total, rows = _config(shape)
    _mix_gradient_kernel[(triton.cdiv(total, rows),)](
        momentum, decay, mixing.matrix, mixing.surprises, mixing.vectors, d_matrix, d_vectors, *given,
        *strides(momentum, decay), shape.length, shape.heads, shape.chunks, total, window,
        CHUNK=shape.chunk, C=shape.tile, R=rows, N=VECTORS, num_warps=1,
    )  # fmt: skip
    d_momentum, d_rate, d_decay = (
        gradient.to(gate.dtype) for gradient, gate in zip(given, gates, strict=True)
    )
    return d_momentum, d_rate, d_decay


def _config(shape: Shape) -> tuple[int, int]:
    """Chunks in all, and how many a program takes. Its one warp keeps the rows' sums within itself."""
    total = shape.rows * shape.chunks
    return total, min(64, triton.next_power_of_2(total)) if interpreted() else 4
