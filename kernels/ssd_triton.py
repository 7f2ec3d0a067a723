"""Mamba-2's chunked recurrence in Triton, forward and backward, as operators.

Forward: every chunk's own state, all at once; the states passed along, one program a part of a state, chunk
after chunk; the outputs, all at once. Backward: the same two passes for the states' gradients, from the end;
then the gradients of x and a by head, and of b and c by group.
"""

import torch
import triton
from torch import Tensor

from storyloom.kernels.operators import operator
from storyloom.kernels.ssd_reference import Places
from storyloom.kernels.ssd_states_triton import chunk_states_kernel, pass_gradients_kernel, pass_states_kernel
from storyloom.kernels.ssd_tiles_triton import config_of, head_parts, pass_block
from storyloom.kernels.ssd_tokens_triton import gradients_bc_kernel, gradients_xa_kernel, outputs_kernel


def ssd_triton(
    x: Tensor, a: Tensor, b: Tensor, c: Tensor, initial: Tensor, places: Places | None, *, chunk: int
) -> tuple[Tensor, Tensor]:
    """The arguments and results of ``ssd``, checked already. Inputs may have any strides."""
    spans, firsts = places if places is not None else (None, None)
    y, final, _, _ = _ssd(x, a, b, c, initial, spans, firsts, chunk)
    return y, final


@operator("storyloom::ssd")
def _ssd(
    x: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    initial: Tensor,
    spans: Tensor | None,
    firsts: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gives y, the final state, and for the backward the states before the chunks and the chunks' decays."""
    _, length, heads, width = x.shape
    groups, state = b.shape[2:]
    y, final, starts, totals = _buffers(x, b, initial, spans, chunk)
    slots = starts.shape[0]
    if x.shape[0] == 0:
        return y, final, starts, totals
    initial = initial.contiguous()
    written = torch.empty(starts.shape, dtype=torch.float32, device=x.device)
    place = (slots, _chunks(length, chunk), length, heads, heads // groups)
    config = config_of(chunk, state, width, x.element_size())
    sizes = {"STATE": state, "WIDTH": width, "CHUNK": chunk, "PACKED": spans is not None, **config}
    columns = triton.cdiv(width, config["BLOCK_W"])
    chunk_states_kernel[slots * heads, columns * triton.cdiv(state, config["BLOCK_N"])](
        x, a, b, written, totals, spans, *place,
        *x.stride(), *a.stride(), *b.stride(), TO_END=True, **sizes,
    )  # fmt: skip
    block = pass_block(state * width, x.device)
    pass_states_kernel[initial.shape[0] * heads, triton.cdiv(state * width, block)](
        written, totals, initial, starts, final, firsts, place[1], heads,
        ENTRIES=state * width, BLOCK=block, PACKED=spans is not None, num_warps=4,
    )  # fmt: skip
    outputs_kernel[slots * heads, columns](
        x, a, b, c, starts, y, spans, *place,
        *x.stride(), *a.stride(), *b.stride(), *c.stride(), *y.stride()[:3], **sizes,
    )  # fmt: skip
    return y, final, starts, totals


@_ssd.register_fake
def _(x, _a, b, _c, initial, spans, _firsts, chunk):
    return _buffers(x, b, initial, spans, chunk)


@operator("storyloom::ssd_backward")
def _ssd_backward(
    dy: Tensor,
    d_final: Tensor | None,
    x: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    starts: Tensor,
    totals: Tensor,
    spans: Tensor | None,
    firsts: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gives the gradients of x, a, b, c and the initial state."""
    batch, length, heads, width = x.shape
    groups, state = b.shape[2:]
    dx, da, db, dc, d_initial = _gradient_buffers(x, a, b, firsts)
    slots = starts.shape[0]
    if batch == 0:
        return dx, da, db, dc, d_initial
    d_final = None if d_final is None else d_final.contiguous()
    read = torch.empty(starts.shape, dtype=torch.float32, device=x.device)
    d_ends = torch.empty_like(starts)
    place = (slots, _chunks(length, chunk), length, heads)
    config = config_of(chunk, state, width, x.element_size(), backward=True)
    sizes = {"STATE": state, "WIDTH": width, "CHUNK": chunk, "PACKED": spans is not None, **config}
    rows = triton.cdiv(state, config["BLOCK_N"])
    strides = (*x.stride(), *a.stride(), *b.stride(), *c.stride(), *dy.stride())
    block = pass_block(state * width, x.device)
    tiles = triton.cdiv(state * width, block)
    d_totals = torch.empty(slots, heads, tiles, dtype=torch.float32, device=x.device)
    parts = head_parts(slots * groups * rows, heads // groups)
    if parts > 1:
        make = torch.empty if spans is None else torch.zeros
        parts_of_db, parts_of_dc = (make(parts, *b.shape, dtype=torch.float32, device=x.device) for _ in "bc")
    else:
        parts_of_db, parts_of_dc = db[None], dc[None]
    chunk_states_kernel[slots * heads, rows * triton.cdiv(width, config["BLOCK_W"])](
        dy, a, c, read, totals, spans, *place, heads // groups,
        *dy.stride(), *a.stride(), *c.stride(), TO_END=False, **sizes,
    )  # fmt: skip
    pass_gradients_kernel[d_initial.shape[0] * heads, tiles](
        read, totals, starts, d_final, d_ends, d_initial, d_totals, firsts, place[1], heads, tiles,
        ENTRIES=state * width, BLOCK=block, PACKED=spans is not None, HAS_FINAL=d_final is not None,
        num_warps=4,
    )  # fmt: skip
    gradients_xa_kernel[(slots * heads,)](
        x, a, b, c, dy, starts, d_ends, d_totals, dx, da, spans, *place, heads // groups, tiles,
        *strides, *dx.stride()[:3], *da.stride()[:2], TILES=triton.next_power_of_2(tiles), **sizes,
    )  # fmt: skip
    gradients_bc_kernel[slots * groups, rows, parts](
        x, a, b, c, dy, starts, d_ends, parts_of_db, parts_of_dc, spans,
        *place, groups, heads // groups, heads // groups // parts,
        *strides, *parts_of_db.stride()[:4], **sizes,
    )  # fmt: skip
    if parts > 1:
        db, dc = parts_of_db.sum(0).to(b.dtype), parts_of_dc.sum(0).to(b.dtype)
    return dx, da, db, dc, d_initial


@_ssd_backward.register_fake
def _(_dy, _d_final, x, a, b, _c, _starts, _totals, _spans, firsts, _chunk):
    return _gradient_buffers(x, a, b, firsts)


def _chunks(length: int, chunk: int) -> int:
    return (length + chunk - 1) // chunk


def _buffers(
    x: Tensor, b: Tensor, initial: Tensor, spans: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, length, heads, width = x.shape
    slots = batch * _chunks(length, chunk) if spans is None else spans.shape[1]
    # Packed tokens that belong to no sequence are never written.
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device) if spans is None else x.new_zeros(x.shape)
    return (
        y,
        torch.empty(initial.shape, dtype=torch.float32, device=x.device),
        torch.empty(slots, heads, b.shape[3], width, dtype=x.dtype, device=x.device),
        torch.empty(slots, heads, dtype=torch.float32, device=x.device),
    )


def _gradient_buffers(
    x: Tensor, a: Tensor, b: Tensor, firsts: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    make = torch.empty if firsts is None else torch.zeros
    dx, da, db, dc = (make(like.shape, dtype=like.dtype, device=x.device) for like in (x, a, b, b))
    sequences = x.shape[0] if firsts is None else firsts.shape[0] - 1
    state = (sequences, x.shape[2], b.shape[3], x.shape[3])
    return dx, da, db, dc, torch.empty(state, dtype=torch.float32, device=x.device)


def _remember(ctx, inputs, output):
    x, a, b, c, _, spans, firsts, chunk = inputs
    _, _, starts, totals = output
    ctx.mark_non_differentiable(starts, totals)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, a, b, c, starts, totals, spans, firsts)
    ctx.chunk = chunk


def _back(ctx, dy, d_final, _starts, _totals):
    x, a, b, c, starts, totals, spans, firsts = ctx.saved_tensors
    if dy is None:
        dy = torch.zeros_like(x)
    gradients = _ssd_backward(dy, d_final, x, a, b, c, starts, totals, spans, firsts, ctx.chunk)
    return (*gradients, None, None, None)


_ssd.register_autograd(_back, setup_context=_remember)
