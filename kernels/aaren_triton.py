"""Aaren's prefix attention in Triton as an operator: one pass over memory, or two where heads are few."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.aaren_passes_triton import backward_kernel, forward_kernel, join_kernel
from storyloom.kernels.affine_scan_triton import Config, cut
from storyloom.kernels.operators import operator


def _kind(tensor: Tensor) -> Any:
    return tl.float64 if tensor.dtype == torch.float64 else tl.float32


def _states(like: Tensor, heads: int, chunks: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    return (
        like.new_empty((heads, chunks)),
        like.new_empty((heads, chunks)),
        like.new_empty((heads, chunks, width)),
    )


@operator("storyloom::aaren")
def _forward(
    scores: Tensor, values: Tensor, m: Tensor, u: Tensor, w: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    batch, length, heads, width = values.shape
    out = values.new_empty(values.shape)
    ends = m.new_empty(m.shape), u.new_empty(u.shape), w.new_empty(w.shape)
    traces = u.new_empty(scores.shape), u.new_empty(scores.shape)
    if not out.numel():
        return out, *ends, *traces
    config = _config(batch * heads, length, width, values.device, 2048)
    before = m.contiguous(), u.contiguous(), w.contiguous()

    def launch(states: tuple[Tensor, ...], after: tuple[Tensor, ...], summary: bool) -> None:
        forward_kernel[(batch * heads * config.chunks,)](
            scores, values, *states, out, *traces, *after, *scores.stride(), *values.stride(), heads,
            length, width, config.chunk, config.chunks,
            SUMMARY=summary, DTYPE=_kind(values), TILE=config.tile, BLOCK=config.block,
            num_warps=config.warps,
        )  # fmt: skip

    if config.chunks > 1:
        own = _states(u, batch * heads, config.chunks, width)
        launch(before, own, True)
        starts = _states(u, batch * heads, config.chunks, width)
        join_kernel[(batch * heads,)](
            *own, *before, *starts, width, config.chunks, BACKWARD=False, BLOCK=config.block,
        )  # fmt: skip
        before = starts
    launch(before, ends, False)
    return out, *ends, *traces


@_forward.register_fake
def _(
    scores: Tensor, values: Tensor, m: Tensor, u: Tensor, w: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    ends = m.new_empty(m.shape), u.new_empty(u.shape), w.new_empty(w.shape)
    return values.new_empty(values.shape), *ends, u.new_empty(scores.shape), u.new_empty(scores.shape)


@operator("storyloom::aaren_backward")
def _backward(
    grad: Tensor,
    grad_u: Tensor,
    grad_w: Tensor,
    scores: Tensor,
    values: Tensor,
    out: Tensor,
    m_trace: Tensor,
    u_trace: Tensor,
    m: Tensor,
    u: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, length, heads, width = values.shape
    dscores, dvalues = scores.new_empty(scores.shape), values.new_empty(values.shape)
    du, dw = grad_u.new_empty(grad_u.shape), grad_w.new_empty(grad_w.shape)
    if not dvalues.numel():
        return dscores, dvalues, du, dw
    config = _config(batch * heads, length, width, values.device, 1024)
    grads_after = grad_u.contiguous(), grad_w.contiguous()
    firsts = m.contiguous(), u.contiguous()

    def launch(carry: tuple[Tensor, ...], after: tuple[Tensor, ...], summary: bool) -> None:
        backward_kernel[(batch * heads * config.chunks,)](
            grad, scores, values, out, m_trace, u_trace, *firsts, *carry, dscores, dvalues, *after,
            *grad.stride(), *scores.stride(), *values.stride(), heads, length, width, config.chunk,
            config.chunks,
            SUMMARY=summary, DTYPE=_kind(values), TILE=config.tile, BLOCK=config.block,
            num_warps=config.warps,
        )  # fmt: skip

    carry = grads_after
    if config.chunks > 1:
        own = _states(u, batch * heads, config.chunks, width)
        launch(grads_after, own, True)
        starts = _states(u, batch * heads, config.chunks, width)
        join_kernel[(batch * heads,)](
            *own, m_trace[:, -1].contiguous(), *grads_after, *starts, width, config.chunks,
            BACKWARD=True, BLOCK=config.block,
        )  # fmt: skip
        carry = starts[1:]
    launch(carry, (du, du, dw), False)
    return dscores, dvalues, du, dw


@_backward.register_fake
def _(
    _: Tensor, grad_u: Tensor, grad_w: Tensor, scores: Tensor, values: Tensor, *__: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        scores.new_empty(scores.shape),
        values.new_empty(values.shape),
        grad_u.new_empty(grad_u.shape),
        grad_w.new_empty(grad_w.shape),
    )


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    scores, values, m, u, _ = inputs
    out, m_end, _, _, m_trace, u_trace = output
    ctx.mark_non_differentiable(m_end, m_trace, u_trace)
    ctx.save_for_backward(scores, values, out, m_trace, u_trace, m, u)


def _differentiate(
    ctx: Any, grad: Tensor, _m: Tensor, grad_u: Tensor, grad_w: Tensor, *_traces: Tensor
) -> tuple[Tensor | None, ...]:
    dscores, dvalues, du, dw = _backward(grad, grad_u, grad_w, *ctx.saved_tensors)
    return dscores, dvalues, None, du, dw


_forward.register_autograd(_differentiate, setup_context=_keep)


def aaren_triton(
    scores: Tensor, values: Tensor, state: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """The prefix attention of ``aaren``; its gradients are the same scan, run backward."""
    out, m, u, w, _, _ = _forward(scores, values, *state)
    return out, (m, u, w)


def _config(heads: int, length: int, width: int, device: torch.device, numbers: int) -> Config:
    """One program holds a head's whole width, and a tile about so many numbers as its registers bear."""
    block = max(4, triton.next_power_of_2(width))
    tile = max(16, min(32, numbers // block, triton.next_power_of_2(length)))
    chunk, chunks = cut(heads, length, tile, device)
    return Config(tile, block, chunk, chunks, warps=8 if block > 128 else 4)
