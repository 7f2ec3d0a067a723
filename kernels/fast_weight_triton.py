"""The fast-weight kernels as operators that autograd and torch.compile see.

An operator's ``memory`` is the weights and then the momenta: two tensors of a linear memory, four of a
perceptron.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from storyloom.kernels.fast_weight_passes_triton import backward, buffers, forward, memory_in
from storyloom.kernels.fast_weight_step_triton import step
from storyloom.kernels.operators import operator

Tensors = tuple[Tensor, ...]


def fast_weight(
    qkv: tuple[Tensor, Tensor, Tensor],
    gates: tuple[Tensor, Tensor, Tensor],
    weights: Tensors,
    momenta: Tensors,
    chunk: int,
    window: int,
) -> tuple[Tensor, Tensors, Tensors]:
    """The whole sequence; arguments as in the public function."""
    output, memory, _, _ = _forward(*qkv, *gates, [*weights, *momenta], chunk, window)
    return output, tuple(memory[: len(weights)]), tuple(memory[len(weights) :])


def fast_weight_step(
    qkv: tuple[Tensor, Tensor, Tensor],
    gates: tuple[Tensor, Tensor, Tensor],
    weights: Tensors,
    momenta: Tensors,
    anchor: Tensors,
) -> tuple[Tensor, Tensors, Tensors]:
    """One token; k and v [batch, tokens, heads, width] hold the window's tokens, the newest last."""
    output, memory = _step(*qkv, *gates, [*weights, *momenta], list(anchor))
    return output, tuple(memory[: len(weights)]), tuple(memory[len(weights) :])


@operator("storyloom::fast_weight")
def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    momentum: Tensor,
    rate: Tensor,
    decay: Tensor,
    memory: Sequence[Tensor],
    chunk: int,
    window: int,
) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
    """The reads and the memory after the last token; then for the backward the states and the errors."""
    output, states, errors = forward((q, k, v), (momentum, rate, decay), memory, chunk, window)
    return output, memory_in(states, -1, memory), states, errors


@_forward.register_fake
def _(q, k, v, momentum, rate, decay, memory, chunk, window):  # noqa: ARG001
    output, states, errors = buffers(q, v, memory, chunk)
    return output, [torch.empty_like(layer) for layer in memory], states, errors


@operator("storyloom::fast_weight_backward")
def _backward(
    d_output: Tensor,
    d_memory: Sequence[Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    momentum: Tensor,
    rate: Tensor,
    decay: Tensor,
    states: Tensor,
    errors: Tensor,
    chunk: int,
    window: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, list[Tensor]]:
    """Gradients of the tensors that ``storyloom::fast_weight`` takes."""
    gates = (momentum, rate, decay)
    d_qkv, d_gates, d_first = backward(d_output, d_memory, (q, k, v), gates, states, errors, chunk, window)
    return *d_qkv, *d_gates, d_first


@_backward.register_fake
def _(_d_output, d_memory, q, k, v, momentum, rate, decay, *_):
    tokens = [tensor.new_empty(tensor.shape) for tensor in (q, k, v, momentum, rate, decay)]
    return *tokens, [torch.empty_like(layer) for layer in d_memory]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    *tokens, memory, ctx.chunk, ctx.window = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tokens, *memory, *output[2:])


def _differentiate(ctx: Any, d_output: Any, d_memory: Any, *_: Any) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    tokens, memory, (states, errors) = saved[:6], saved[6:-2], saved[-2:]
    if d_output is None:
        d_output = tokens[0].new_zeros(tokens[2].shape)
    d_memory = [
        like.new_zeros(like.shape) if d is None else d for d, like in zip(d_memory, memory, strict=True)
    ]
    *d_tokens, d_first = _backward(d_output, d_memory, *tokens, states, errors, ctx.chunk, ctx.window)
    return *d_tokens, d_first, None, None


_forward.register_autograd(_differentiate, setup_context=_keep)


@operator("storyloom::fast_weight_step")
def _step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    momentum: Tensor,
    rate: Tensor,
    decay: Tensor,
    memory: Sequence[Tensor],
    anchor: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """What was read, and the memory after the token. It has no backward."""
    return step((q, k, v), (momentum, rate, decay), memory, anchor)


@_step.register_fake
def _(q, k, v, momentum, rate, decay, memory, anchor):  # noqa: ARG001
    batch, _, heads, values = v.shape
    return q.new_empty((batch, heads, values)), [layer.new_empty(layer.shape) for layer in memory]
