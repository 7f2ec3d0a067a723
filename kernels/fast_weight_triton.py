"""The fast-weight kernels as operators that autograd and torch.compile see.

Each operator also gives the states at the chunks' starts and the errors, which its backward reads.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from storyloom.kernels import fast_weight_linear_triton as linear
from storyloom.kernels import fast_weight_mlp_triton as mlp
from storyloom.kernels.fast_weight_step_triton import step

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
    if len(weights) == 1:
        output, weight, held, *_ = linear_op(*qkv, *gates, *weights, *momenta, chunk, window)
        return output, (weight,), (held,)
    output, first, second, held_first, held_second, *_ = mlp_op(
        *qkv, *gates, *weights, *momenta, chunk, window
    )
    return output, (first, second), (held_first, held_second)


def fast_weight_step(
    qkv: tuple[Tensor, Tensor, Tensor],
    gates: tuple[Tensor, Tensor, Tensor],
    weights: Tensors,
    momenta: Tensors,
    anchor: Tensors,
) -> tuple[Tensor, Tensors, Tensors]:
    """One token; k and v [batch, tokens, heads, width] hold the window's tokens, the newest last."""
    output, *after = step_op(*qkv, *gates, list(weights), list(momenta), list(anchor))
    return output, tuple(after[: len(weights)]), tuple(after[len(weights) :])


@torch.library.custom_op("storyloom::fast_weight_step", mutates_args=())
def step_op(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    momentum: Tensor,
    rate: Tensor,
    decay: Tensor,
    weights: Sequence[Tensor],
    momenta: Sequence[Tensor],
    anchor: Sequence[Tensor],
) -> list[Tensor]:
    """What was read, the weights after the token, and the momenta. It has no backward."""
    return step((q, k, v), (momentum, rate, decay), list(weights), list(momenta), list(anchor))


@step_op.register_fake
def _(q, k, v, momentum, rate, decay, weights, momenta, anchor):  # noqa: ARG001
    batch, _, heads, values = v.shape
    return [
        q.new_empty((batch, heads, values)),
        *(state.new_empty(state.shape) for state in (*weights, *momenta)),
    ]


@torch.library.custom_op("storyloom::fast_weight_linear", mutates_args=())
def linear_op(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    momentum: Tensor,
    rate: Tensor,
    decay: Tensor,
    weight: Tensor,
    held: Tensor,
    chunk: int,
    window: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The reads, the last weights and momenta, the states and the errors of a linear memory."""
    output, states, errors = linear.forward(q, k, v, (momentum, rate, decay), weight, held, chunk, window)
    return output, linear.state(states, -1, 0, weight), linear.state(states, -1, 1, held), states, errors


@linear_op.register_fake
def _(q, k, v, momentum, rate, decay, weight, held, chunk, window):  # noqa: ARG001
    batch, length, heads, width = q.shape
    values = v.shape[-1]
    chunks = -(-length // chunk)
    states = weight.new_empty((batch * heads, chunks + 1, 2, width, values))
    errors = weight.new_empty((batch * heads, length, values))
    return q.new_empty(v.shape), torch.empty_like(weight), torch.empty_like(held), states, errors


@torch.library.custom_op("storyloom::fast_weight_linear_backward", mutates_args=())
def linear_backward_op(
    d_output: Tensor,
    d_weight: Tensor,
    d_held: Tensor,
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the eight tensors that ``linear_op`` takes."""
    gates = (momentum, rate, decay)
    return linear.backward(d_output, d_weight, d_held, q, k, v, gates, states, errors, chunk, window)  # type: ignore[return-value]


@linear_backward_op.register_fake
def _(d_output, d_weight, d_held, q, k, v, momentum, rate, decay, states, errors, chunk, window):  # noqa: ARG001
    rows = [tensor.new_empty(tensor.shape) for tensor in (q, k, v, momentum, rate, decay)]
    return (*rows, torch.empty_like(d_weight), torch.empty_like(d_held))


def _save_linear(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.chunk, ctx.window = inputs[-2:]
    ctx.save_for_backward(*inputs[:6], *output)
    ctx.set_materialize_grads(False)


def _linear_gradients(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
    *inputs, output, weight, held, states, errors = ctx.saved_tensors
    wanted = (output, weight, held)
    known = (torch.zeros_like(like) if d is None else d for d, like in zip(given, wanted, strict=False))
    gradients = linear_backward_op(*known, *inputs, states, errors, ctx.chunk, ctx.window)
    return *gradients, None, None


linear_op.register_autograd(_linear_gradients, setup_context=_save_linear)


@torch.library.custom_op("storyloom::fast_weight_mlp", mutates_args=())
def mlp_op(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    momentum: Tensor,
    rate: Tensor,
    decay: Tensor,
    first: Tensor,
    second: Tensor,
    held_first: Tensor,
    held_second: Tensor,
    chunk: int,
    window: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The reads, the last weights and momenta of both layers, the states and the errors of a perceptron."""
    layers = (first, second, held_first, held_second)
    output, states, errors = mlp.forward(q, k, v, (momentum, rate, decay), layers, chunk, window)
    return output, *mlp.layers_of(states, -1, layers), states, errors


@mlp_op.register_fake
def _(q, k, v, momentum, rate, decay, first, second, held_first, held_second, chunk, window):  # noqa: ARG001
    batch, length, heads, width = q.shape
    values = v.shape[-1]
    chunks = -(-length // chunk)
    states = first.new_empty((batch * heads, chunks + 1, 2 * (width + values) * first.shape[-2]))
    errors = first.new_empty((batch * heads, length, values))
    layers = (torch.empty_like(layer) for layer in (first, second, held_first, held_second))
    return q.new_empty(v.shape), *layers, states, errors


@torch.library.custom_op("storyloom::fast_weight_mlp_backward", mutates_args=())
def mlp_backward_op(
    d_output: Tensor,
    d_first: Tensor,
    d_second: Tensor,
    d_held_first: Tensor,
    d_held_second: Tensor,
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the ten tensors that ``mlp_op`` takes."""
    d_layers = (d_first, d_second, d_held_first, d_held_second)
    gates = (momentum, rate, decay)
    return mlp.backward(d_output, d_layers, q, k, v, gates, states, errors, chunk, window)  # type: ignore[return-value]


@mlp_backward_op.register_fake
def _(d_output, d_first, d_second, d_held_first, d_held_second, q, k, v, momentum, rate, decay, *_):  # noqa: ARG001
    rows = [tensor.new_empty(tensor.shape) for tensor in (q, k, v, momentum, rate, decay)]
    return *rows, *(torch.empty_like(layer) for layer in (d_first, d_second, d_held_first, d_held_second))


def _save_mlp(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.chunk, ctx.window = inputs[-2:]
    ctx.save_for_backward(*inputs[:6], *output)
    ctx.set_materialize_grads(False)


def _mlp_gradients(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors
    inputs, wanted, (states, errors) = saved[:6], saved[6:11], saved[11:]
    known = (torch.zeros_like(like) if d is None else d for d, like in zip(given, wanted, strict=False))
    gradients = mlp_backward_op(*known, *inputs, states, errors, ctx.chunk, ctx.window)
    return *gradients, None, None


mlp_op.register_autograd(_mlp_gradients, setup_context=_save_mlp)
