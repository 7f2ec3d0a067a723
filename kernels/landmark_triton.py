"""Landmark attention in Triton, forward and backward, as operators; see ``landmark``.

Flash attention whose tile of keys is one block. Nothing of the size queries × keys or queries × blocks is
stored.
"""

import torch
import triton
from torch import Tensor

from storyloom.kernels.landmark_backward_triton import blocks_kernel, queries_kernel
from storyloom.kernels.landmark_forward_triton import forward_kernel
from storyloom.kernels.landmark_tiles_triton import MARKS, config_of
from storyloom.kernels.operators import operator
from storyloom.kernels.softmax_triton import LOG2E


@operator("storyloom::landmark_attention")
def landmark_attention_triton(
    q: Tensor, k: Tensor, v: Tensor, landmarks: Tensor, gate: Tensor, scale: float, block: int, local: int
) -> tuple[Tensor, Tensor]:
    """The public function's arithmetic; its arguments have been checked."""
    batch, queries, heads, width = q.shape
    length, kv_heads = k.shape[1:3]
    o, lse = _outputs(q)
    if batch == 0:
        return o, lse
    config = config_of(q.dtype, width, block, "forward")
    forward_kernel[(triton.cdiv(queries, config["BLOCK_M"]) * batch * heads,)](
        q, k, v, landmarks, gate, o, lse,
        *q.stride(), *k.stride(), *v.stride(), *landmarks.stride(), gate.stride(0),
        queries, length, scale * LOG2E.value,
        KV_HEADS=kv_heads, GROUP=heads // kv_heads, WIDTH=width, BLOCK=block, LOCAL=local,
        MARKS=MARKS, **config,
    )  # fmt: skip
    return o, lse


@landmark_attention_triton.register_fake
def _(q, k, v, landmarks, gate, scale, block, local):  # noqa: ARG001
    return _outputs(q)


@operator("storyloom::landmark_attention_backward")
def _backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    landmarks: Tensor,
    gate: Tensor,
    o: Tensor,
    lse: Tensor,
    d_o: Tensor,
    d_lse: Tensor,
    scale: float,
    block: int,
    local: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, landmarks and gate."""
    batch, queries, heads, width = q.shape
    length, kv_heads = k.shape[1:3]
    d_q, d_k, d_v, d_landmarks, d_gate = _gradients(q, k, v, landmarks, gate)
    if batch == 0:
        return d_q, d_k, d_v, d_landmarks, d_gate.zero_()
    d_o, d_lse = d_o.contiguous(), d_lse.contiguous()
    # What the softmax's gradient subtracts, and the gate's gradient, a query of a head.
    delta, d_gates = torch.empty_like(lse), torch.empty_like(lse)
    strides = (*q.stride(), *k.stride(), *v.stride(), *landmarks.stride(), gate.stride(0))
    sizes = {"KV_HEADS": kv_heads, "GROUP": heads // kv_heads, "WIDTH": width, "BLOCK": block, "LOCAL": local}
    config = config_of(q.dtype, width, block, "queries")
    queries_kernel[(triton.cdiv(queries, config["BLOCK_M"]) * batch * heads,)](
        q, k, v, landmarks, gate, o, lse, d_o, d_lse, d_q, delta, d_gates, *strides,
        queries, length, scale, MARKS=MARKS, **sizes, **config,
    )  # fmt: skip
    config = config_of(q.dtype, width, block, "blocks")
    blocks_kernel[(landmarks.shape[1] * batch * kv_heads,)](
        q, k, v, landmarks, gate, lse, d_o, delta, d_k, d_v, d_landmarks, *strides,
        queries, length, landmarks.shape[1], scale, **sizes, **config,
    )  # fmt: skip
    return d_q, d_k, d_v, d_landmarks, d_gates.sum((0, 1)).to(gate.dtype)


@_backward.register_fake
def _(q, k, v, landmarks, gate, o, lse, d_o, d_lse, scale, block, local):  # noqa: ARG001
    return _gradients(q, k, v, landmarks, gate)


def _setup(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[:5], *output)
    ctx.scale, ctx.block, ctx.local = inputs[5:]


def _differentiate(ctx, d_o, d_lse):
    return *_backward(*ctx.saved_tensors, d_o, d_lse, ctx.scale, ctx.block, ctx.local), None, None, None


landmark_attention_triton.register_autograd(_differentiate, setup_context=_setup)


def _outputs(q: Tensor) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape), q.new_empty(q.shape[:3], dtype=torch.float32)


def _gradients(*inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in inputs)
