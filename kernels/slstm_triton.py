"""sLSTM in Triton: one program a head and 16 sequences, its matrices on the chip, looping over time."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.activations_triton import log_sigmoid, sigmoid, tanh
from storyloom.kernels.cells_triton import ROWS, WARPS, matrix_gradient, own_cell, product
from storyloom.kernels.operators import operator
from storyloom.kernels.tiles_triton import tile_of

LOWEST_GATE = tl.constexpr(-1e30)


@triton.jit
def _four(at, gate, mask):
    """The four gates' inputs, or their matrices."""
    i = tl.load(at, mask=mask, other=0.0)
    f = tl.load(at + gate, mask=mask, other=0.0)
    z = tl.load(at + 2 * gate, mask=mask, other=0.0)
    o = tl.load(at + 3 * gate, mask=mask, other=0.0)
    return i, f, z, o


@triton.jit
def _forward_kernel(
    gates, recurrent, h_in, c_in, n_in, m_in, out, h_end, c_end, n_end, m_end, c_trace, n_trace, m_trace,
    x_batch, x_step, x_head, x_gate, x_column, r_head, r_gate, r_row, r_column, batch, length, heads, width,
    TRACED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """All steps of one head of some sequences; the next step's inputs are on their way during each."""
    head, rows, columns, place, wide, inside, square = own_cell(batch, heads, width, ROWS, BLOCK)
    # Transposed: rows of h times these are the gates.
    r_at = recurrent + head * r_head + columns[:, None] * r_column + columns[None, :] * r_row
    r_i, r_f, r_z, r_o = _four(r_at, r_gate, square)
    h = tl.load(h_in + place, mask=inside, other=0.0)
    c = tl.load(c_in + place, mask=inside, other=0.0)
    n = tl.load(n_in + place, mask=inside, other=0.0)
    m = tl.where(n > 0, tl.load(m_in + place, mask=inside, other=0.0), LOWEST_GATE)
    x_at = gates + rows * x_batch + head * x_head + columns[None, :] * x_column
    x_i, x_f, x_z, x_o = _four(x_at, x_gate, inside)
    at = (rows * length * heads + head) * width + columns[None, :]
    # The steps of each sequence: none of one that isn't there.
    steps = tl.where(rows < batch, length, 0)
    for step in range(length):
        x_at += x_step
        next_i, next_f, next_z, next_o = _four(x_at, x_gate, (step + 1 < steps) & wide)
        g_i = x_i.to(tl.float32) + product(h, r_i)
        kept = log_sigmoid(x_f.to(tl.float32) + product(h, r_f)) + m
        z = tanh(x_z.to(tl.float32) + product(h, r_z))
        o = sigmoid(x_o.to(tl.float32) + product(h, r_o))
        m = tl.maximum(kept, g_i)
        enter, keep = tl.exp(g_i - m), tl.exp(kept - m)
        c = keep * c + enter * z
        n = keep * n + enter
        h = o * (c / n)
        tl.store(out + at, h.to(out.dtype.element_ty), mask=inside)
        if TRACED:
            tl.store(c_trace + at, c, mask=inside)
            tl.store(n_trace + at, n, mask=inside)
            tl.store(m_trace + at, m, mask=inside)
        at += heads * width
        x_i, x_f, x_z, x_o = next_i, next_f, next_z, next_o
    tl.store(h_end + place, h, mask=inside)
    tl.store(c_end + place, c, mask=inside)
    tl.store(n_end + place, n, mask=inside)
    tl.store(m_end + place, m, mask=inside)


@triton.jit
def _before(out, c_trace, n_trace, m_trace, at, mask):
    """The state that a step left."""
    h = tl.load(out + at, mask=mask, other=0.0).to(tl.float32)
    c = tl.load(c_trace + at, mask=mask, other=0.0)
    n = tl.load(n_trace + at, mask=mask, other=1.0)
    m = tl.load(m_trace + at, mask=mask, other=0.0)
    return h, c, n, m


@triton.jit
def _backward_kernel(  # noqa: PLR0915
    grad, gates, recurrent, out, c_trace, n_trace, m_trace, h_in, c_in, n_in, m_in, dh_end, dc_end, dn_end,
    dgates, dh_in, dc_in, dn_in,
    y_batch, y_step, y_head, y_column, x_batch, x_step, x_head, x_gate, x_column,
    r_head, r_gate, r_row, r_column, batch, length, heads, width,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """All steps of one head of some sequences, the last first.

    The gates are made again from their inputs and the h before: four products more a step, off the chain of
    dependencies, instead of four numbers more to keep for each that h has.
    """
    head, rows, columns, place, wide, inside, square = own_cell(batch, heads, width, ROWS, BLOCK)
    r_base = recurrent + head * r_head
    r_at = r_base + columns[:, None] * r_column + columns[None, :] * r_row
    r_i, r_f, r_z, r_o = _four(r_at, r_gate, square)
    t_at = r_base + columns[:, None] * r_row + columns[None, :] * r_column
    t_i, t_f, t_z, t_o = _four(t_at, r_gate, square)
    dh = tl.load(dh_end + place, mask=inside, other=0.0)
    dc = tl.load(dc_end + place, mask=inside, other=0.0)
    dn = tl.load(dn_end + place, mask=inside, other=0.0)
    h_start = tl.load(h_in + place, mask=inside, other=0.0)
    c_start = tl.load(c_in + place, mask=inside, other=0.0)
    n_start = tl.load(n_in + place, mask=inside, other=0.0)
    m_start = tl.where(n_start > 0, tl.load(m_in + place, mask=inside, other=0.0), LOWEST_GATE)
    # Where each sequence ends backward: at once, one that isn't there.
    end = tl.where(rows < batch, 0, length)
    last = tl.cast(length - 1, tl.int64)
    at = ((rows * length + last) * heads + head) * width + columns[None, :]
    gates_at = ((rows * length + last) * heads + head) * 4 * width + columns[None, :]
    x_at = gates + rows * x_batch + last * x_step + head * x_head + columns[None, :] * x_column
    y_at = grad + rows * y_batch + last * y_step + head * y_head + columns[None, :] * y_column
    _, c, n, m = _before(out, c_trace, n_trace, m_trace, at, inside)
    at -= heads * width
    h_old, c_old, n_old, m_old = _before(out, c_trace, n_trace, m_trace, at, (length - 1 > end) & wide)
    x_i, x_f, x_z, x_o = _four(x_at, x_gate, inside)
    dy = tl.load(y_at, mask=inside, other=0.0).to(tl.float32)
    for back in range(length):
        left = length - 1 - back
        x_at -= x_step
        y_at -= y_step
        at -= heads * width
        next_i, next_f, next_z, next_o = _four(x_at, x_gate, (left > end) & wide)
        next_dy = tl.load(y_at, mask=(left > end) & wide, other=0.0).to(tl.float32)
        h_older, c_older, n_older, m_older = _before(
            out, c_trace, n_trace, m_trace, at, (left - 1 > end) & wide
        )
        if left == 0:
            h_old, c_old, n_old, m_old = h_start, c_start, n_start, m_start
        g_i = x_i.to(tl.float32) + product(h_old, r_i)
        g_f = x_f.to(tl.float32) + product(h_old, r_f)
        z = tanh(x_z.to(tl.float32) + product(h_old, r_z))
        o = sigmoid(x_o.to(tl.float32) + product(h_old, r_o))
        enter, keep = tl.exp(g_i - m), tl.exp(log_sigmoid(g_f) + m_old - m)
        dh += dy
        ratio = c / n
        dc += dh * o / n
        dn -= dh * o * ratio / n
        d_i = (dc * z + dn) * enter
        d_f = (dc * c_old + dn * n_old) * keep * sigmoid(-g_f)
        d_z = dc * enter * (1 - z * z)
        d_o = dh * ratio * o * (1 - o)
        kind = dgates.dtype.element_ty
        tl.store(dgates + gates_at, d_i.to(kind), mask=inside)
        tl.store(dgates + gates_at + width, d_f.to(kind), mask=inside)
        tl.store(dgates + gates_at + 2 * width, d_z.to(kind), mask=inside)
        tl.store(dgates + gates_at + 3 * width, d_o.to(kind), mask=inside)
        gates_at -= heads * 4 * width
        dh = product(d_i, t_i) + product(d_f, t_f) + product(d_z, t_z) + product(d_o, t_o)
        dc *= keep
        dn *= keep
        c, n, m = c_old, n_old, m_old
        h_old, c_old, n_old, m_old = h_older, c_older, n_older, m_older
        x_i, x_f, x_z, x_o, dy = next_i, next_f, next_z, next_o, next_dy
    tl.store(dh_in + place, dh, mask=inside)
    tl.store(dc_in + place, dc, mask=inside)
    tl.store(dn_in + place, dn, mask=inside)


def _ends(*states: Tensor) -> tuple[Tensor, ...]:
    return tuple(state.new_empty(state.shape) for state in states)


def _made(gates: Tensor, h: Tensor, traced: bool) -> tuple[Tensor, ...]:
    """Buffers for h, the last state, and the traces of c, n and m."""
    batch, length, heads, _, width = gates.shape
    trace = (batch, length if traced else 0, heads, width)
    traces = (h.new_empty(trace) for _ in "cnm")
    return gates.new_empty((batch, length, heads, width)), *_ends(h, h, h, h), *traces


@operator("storyloom::slstm")
def _forward(
    gates: Tensor, recurrent: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor, traced: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    made = _made(gates, h, traced)
    if made[0].numel():
        batch, length, heads, _, width = gates.shape
        _forward_kernel[(heads, triton.cdiv(batch, ROWS))](
            gates, recurrent, h.contiguous(), c.contiguous(), n.contiguous(), m.contiguous(), *made,
            *gates.stride(), *recurrent.stride(), batch, length, heads, width,
            TRACED=traced, ROWS=ROWS, BLOCK=tile_of(width), num_warps=WARPS,
        )  # fmt: skip
    return made  # type: ignore[return-value]


@_forward.register_fake
def _(gates: Tensor, _: Tensor, h: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return _made(gates, h, rest[-1])


@operator("storyloom::slstm_backward")
def _backward(
    grad: Tensor, dh: Tensor, dc: Tensor, dn: Tensor, gates: Tensor, recurrent: Tensor, out: Tensor,
    c_trace: Tensor, n_trace: Tensor, m_trace: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    dgates, starts = gates.new_empty(gates.shape), _ends(dh, dc, dn)
    if not dgates.numel():
        return dgates, torch.zeros_like(recurrent), *starts  # type: ignore[return-value]
    batch, length, heads, _, width = gates.shape
    h = h.contiguous()
    _backward_kernel[(heads, triton.cdiv(batch, ROWS))](
        grad, gates, recurrent, out, c_trace, n_trace, m_trace,
        h, c.contiguous(), n.contiguous(), m.contiguous(), dh.contiguous(), dc.contiguous(), dn.contiguous(),
        dgates, *starts, *grad.stride(), *gates.stride(), *recurrent.stride(), batch, length, heads, width,
        ROWS=ROWS, BLOCK=tile_of(width), num_warps=WARPS,
    )  # fmt: skip
    drecurrent = matrix_gradient(dgates, out, h).to(recurrent.dtype)
    return dgates, drecurrent, *starts  # type: ignore[return-value]


@_backward.register_fake
def _(
    _: Tensor, dh: Tensor, dc: Tensor, dn: Tensor, gates: Tensor, recurrent: Tensor, *__: Tensor
) -> tuple[Tensor, ...]:
    return gates.new_empty(gates.shape), recurrent.new_empty(recurrent.shape), *_ends(dh, dc, dn)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    gates, recurrent, *state, _ = inputs
    out, _, _, _, m_end, *traces = output
    ctx.mark_non_differentiable(m_end, *traces)
    # Zeros in the place of the traces' gradients would be as large as the traces.
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(gates, recurrent, out, *traces, *state)


def _differentiate(ctx: Any, grad: Tensor | None, *d_ends: Tensor | None) -> tuple[Tensor | None, ...]:
    out, h = ctx.saved_tensors[2], ctx.saved_tensors[6]
    d_state = (torch.zeros_like(h) if d_end is None else d_end for d_end in d_ends[:3])
    grad = torch.zeros_like(out) if grad is None else grad
    return *_backward(grad, *d_state, *ctx.saved_tensors), None, None


_forward.register_autograd(_differentiate, setup_context=_keep)


def slstm_triton(
    gates: Tensor, recurrent: Tensor, state: tuple[Tensor, Tensor, Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The cell of ``slstm``. What its gradient needs of c, n and m is kept only where one will be taken."""
    traced = torch.is_grad_enabled() and any(t.requires_grad for t in (gates, recurrent, *state))
    out, h, c, n, m, *_ = _forward(gates, recurrent, *state, traced)
    return out, (h, c, n, m)
