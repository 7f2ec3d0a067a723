"""GRU in Triton: one program a head and 16 sequences, its matrices on the chip, looping over time."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.activations_triton import sigmoid, tanh
from storyloom.kernels.cells_triton import ROWS, WARPS, matrix_gradient, own_cell, product
from storyloom.kernels.operators import operator
from storyloom.kernels.tiles_triton import tile_of


@triton.jit
def _three(at, gate, mask):
    """Three gates' inputs, or their matrices."""
    r = tl.load(at, mask=mask, other=0.0)
    z = tl.load(at + gate, mask=mask, other=0.0)
    n = tl.load(at + 2 * gate, mask=mask, other=0.0)
    return r, z, n


@triton.jit
def _cell(h, x_r, x_z, x_n, r_r, r_z, r_n):
    """The gates of a step, and what h gives to the last one before the reset."""
    r = sigmoid(x_r.to(tl.float32) + product(h, r_r))
    z = sigmoid(x_z.to(tl.float32) + product(h, r_z))
    inner = product(h, r_n)
    n = tanh(x_n.to(tl.float32) + r * inner)
    return r, z, n, inner


@triton.jit
def _forward_kernel(
    gates, recurrent, h_in, out, h_end,
    x_batch, x_step, x_head, x_gate, x_column, r_head, r_gate, r_row, r_column, batch, length, heads, width,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """All steps of one head of some sequences; the next step's inputs are on their way during each."""
    head, rows, columns, place, wide, inside, square = own_cell(batch, heads, width, ROWS, BLOCK)
    r_at = recurrent + head * r_head + columns[:, None] * r_column + columns[None, :] * r_row
    r_r, r_z, r_n = _three(r_at, r_gate, square)
    h = tl.load(h_in + place, mask=inside, other=0.0)
    x_at = gates + rows * x_batch + head * x_head + columns[None, :] * x_column
    x_r, x_z, x_n = _three(x_at, x_gate, inside)
    at = (rows * length * heads + head) * width + columns[None, :]
    # The steps of each sequence: none of one that isn't there.
    steps = tl.where(rows < batch, length, 0)
    for step in range(length):
        x_at += x_step
        next_r, next_z, next_n = _three(x_at, x_gate, (step + 1 < steps) & wide)
        _, z, n, _ = _cell(h, x_r, x_z, x_n, r_r, r_z, r_n)
        h = (1 - z) * n + z * h
        tl.store(out + at, h.to(out.dtype.element_ty), mask=inside)
        at += heads * width
        x_r, x_z, x_n = next_r, next_z, next_n
    tl.store(h_end + place, h, mask=inside)


@triton.jit
def _backward_kernel(
    grad, gates, recurrent, out, h_in, dh_end, dgates, dinner, dh_in,
    y_batch, y_step, y_head, y_column, x_batch, x_step, x_head, x_gate, x_column,
    r_head, r_gate, r_row, r_column, batch, length, heads, width,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """All steps of one head of some sequences, the last first; the gates are made again from the h before."""
    head, rows, columns, place, wide, inside, square = own_cell(batch, heads, width, ROWS, BLOCK)
    r_base = recurrent + head * r_head
    r_r, r_z, r_n = _three(r_base + columns[:, None] * r_column + columns[None, :] * r_row, r_gate, square)
    t_r, t_z, t_n = _three(r_base + columns[:, None] * r_row + columns[None, :] * r_column, r_gate, square)
    dh = tl.load(dh_end + place, mask=inside, other=0.0)
    h_start = tl.load(h_in + place, mask=inside, other=0.0)
    # Where each sequence ends backward: at once, one that isn't there.
    end = tl.where(rows < batch, 0, length)
    last = tl.cast(length - 1, tl.int64)
    at = ((rows * length + last) * heads + head) * width + columns[None, :]
    gates_at = ((rows * length + last) * heads + head) * 3 * width + columns[None, :]
    x_at = gates + rows * x_batch + last * x_step + head * x_head + columns[None, :] * x_column
    y_at = grad + rows * y_batch + last * y_step + head * y_head + columns[None, :] * y_column
    before = out + at - heads * width
    h_old = tl.load(before, mask=(length - 1 > end) & wide, other=0.0).to(tl.float32)
    x_r, x_z, x_n = _three(x_at, x_gate, inside)
    dy = tl.load(y_at, mask=inside, other=0.0).to(tl.float32)
    for back in range(length):
        left = length - 1 - back
        x_at -= x_step
        y_at -= y_step
        before -= heads * width
        next_r, next_z, next_n = _three(x_at, x_gate, (left > end) & wide)
        next_dy = tl.load(y_at, mask=(left > end) & wide, other=0.0).to(tl.float32)
        h_older = tl.load(before, mask=(left - 1 > end) & wide, other=0.0).to(tl.float32)
        if left == 0:
            h_old = h_start
        r, z, n, inner = _cell(h_old, x_r, x_z, x_n, r_r, r_z, r_n)
        dh += dy
        d_n = dh * (1 - z) * (1 - n * n)
        d_z = dh * (h_old - n) * z * (1 - z)
        d_r = d_n * inner * r * (1 - r)
        d_inner = d_n * r
        kind = dgates.dtype.element_ty
        tl.store(dgates + gates_at, d_r.to(kind), mask=inside)
        tl.store(dgates + gates_at + width, d_z.to(kind), mask=inside)
        tl.store(dgates + gates_at + 2 * width, d_n.to(kind), mask=inside)
        tl.store(dinner + at, d_inner.to(kind), mask=inside)
        gates_at -= heads * 3 * width
        at -= heads * width
        dh = dh * z + product(d_r, t_r) + product(d_z, t_z) + product(d_inner, t_n)
        h_old = h_older
        x_r, x_z, x_n, dy = next_r, next_z, next_n, next_dy
    tl.store(dh_in + place, dh, mask=inside)


def _made(gates: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    batch, length, heads, _, width = gates.shape
    return gates.new_empty((batch, length, heads, width)), h.new_empty(h.shape)


@operator("storyloom::gru")
def _forward(gates: Tensor, recurrent: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    out, end = _made(gates, h)
    if out.numel():
        batch, length, heads, _, width = gates.shape
        _forward_kernel[(heads, triton.cdiv(batch, ROWS))](
            gates, recurrent, h.contiguous(), out, end,
            *gates.stride(), *recurrent.stride(), batch, length, heads, width,
            ROWS=ROWS, BLOCK=tile_of(width), num_warps=WARPS,
        )  # fmt: skip
    return out, end


@_forward.register_fake
def _(gates: Tensor, _: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    return _made(gates, h)


@operator("storyloom::gru_backward")
def _backward(
    grad: Tensor, dh: Tensor, gates: Tensor, recurrent: Tensor, out: Tensor, h: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    dgates, start = gates.new_empty(gates.shape), dh.new_empty(dh.shape)
    if not dgates.numel():
        return dgates, torch.zeros_like(recurrent), start
    batch, length, heads, _, width = gates.shape
    h = h.contiguous()
    # What reaches R_n h passed the reset gate; what reaches x_n didn't.
    inner = gates.new_empty((batch, length, heads, 1, width))
    _backward_kernel[(heads, triton.cdiv(batch, ROWS))](
        grad, gates, recurrent, out, h, dh.contiguous(), dgates, inner, start,
        *grad.stride(), *gates.stride(), *recurrent.stride(), batch, length, heads, width,
        ROWS=ROWS, BLOCK=tile_of(width), num_warps=WARPS,
    )  # fmt: skip
    early = matrix_gradient(dgates[:, :, :, :2], out, h)
    late = matrix_gradient(inner, out, h)
    return dgates, torch.cat((early, late), 1).to(recurrent.dtype), start


@_backward.register_fake
def _(_: Tensor, dh: Tensor, gates: Tensor, recurrent: Tensor, *__: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return gates.new_empty(gates.shape), recurrent.new_empty(recurrent.shape), dh.new_empty(dh.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    gates, recurrent, h = inputs
    ctx.save_for_backward(gates, recurrent, output[0], h)


def _differentiate(ctx: Any, grad: Tensor, dh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    gradients: tuple[Tensor, Tensor, Tensor] = _backward(grad, dh, *ctx.saved_tensors)
    return gradients


_forward.register_autograd(_differentiate, setup_context=_keep)


def gru_triton(gates: Tensor, recurrent: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The cell of ``gru``."""
    out: tuple[Tensor, Tensor] = _forward(gates, recurrent, state)
    return out
