"""LaCT's fast weights in Triton, as operators: applied to tokens, and taught by them.

Products over the width give hidden values, products of those all else. Hidden values are held in the tokens'
dtype from one launch to the next; none is kept for the backward, which computes them again. Between launches
torch allocates, lays weights out contiguously, adds up partial sums.
"""

from torch import Tensor

from storyloom.kernels.lact_hidden_triton import hidden_backward, hidden_second, hidden_values
from storyloom.kernels.lact_products_triton import multiply
from storyloom.kernels.operators import operator


def lact_apply_triton(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor) -> Tensor:
    """:func:`lact.lact_apply`."""
    output: Tensor = _apply(w0, w1, w2, q)
    return output


def lact_gradients_triton(
    w0: Tensor, w1: Tensor, w2: Tensor, k: Tensor, v: Tensor, rates: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`lact.lact_gradients`."""
    d0, d1, d2 = _gradients(w0, w1, w2, k, v, rates)
    return d0, d1, d2


@operator("storyloom::lact_apply")
def _apply(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor) -> Tensor:
    w0, w1, w2 = w0.contiguous(), w1.contiguous(), w2.contiguous()
    return multiply([hidden_values(w0, w2, q)], [w1.mT])


@operator("storyloom::lact_apply_backward")
def _apply_backward(
    w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    w0, w1, w2 = w0.contiguous(), w1.contiguous(), w2.contiguous()
    value, d_gate, d_up = hidden_backward(w0, w1, w2, q, upstream, None)
    dq = multiply([d_gate, d_up], [w0, w2])
    return multiply([d_gate.mT], [q]), multiply([upstream.mT], [value]), multiply([d_up.mT], [q]), dq


@operator("storyloom::lact_gradients")
def _gradients(
    w0: Tensor, w1: Tensor, w2: Tensor, k: Tensor, v: Tensor, rates: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    value, d_gate, d_up = hidden_backward(w0.contiguous(), w1.contiguous(), w2.contiguous(), k, v, rates)
    return multiply([d_gate.mT], [k]), multiply([v.mT], [value]), multiply([d_up.mT], [k])


@operator("storyloom::lact_gradients_backward")
def _gradients_backward(
    w0: Tensor,
    w1: Tensor,
    w2: Tensor,
    k: Tensor,
    v: Tensor,
    rates: Tensor,
    e0: Tensor,
    e1: Tensor,
    e2: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    w0, w1, w2 = w0.contiguous(), w1.contiguous(), w2.contiguous()
    e0, e1, e2 = e0.contiguous(), e1.contiguous(), e2.contiguous()
    derivatives, d_rates = hidden_second((w0, w1, w2), (e0, e1, e2), k, v, rates)
    d_gate, d_up, d_back, r_gate, r_value, r_up = derivatives
    return (
        multiply([d_gate.mT], [k]),
        multiply([v.mT], [d_back]),
        multiply([d_up.mT], [k]),
        multiply([d_gate, d_up, r_gate, r_up], [w0, w2, e0, e2]),
        multiply([d_back, r_value], [w1.mT, e1.mT]),
        d_rates.sum(0).to(rates.dtype),
    )


@_apply.register_fake
def _(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor) -> Tensor:  # noqa: ARG001
    return q.new_empty(q.shape)


@_apply_backward.register_fake
def _(*inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs[:4])


@_gradients.register_fake
def _(w0: Tensor, w1: Tensor, w2: Tensor, *tokens: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG001
    return tuple(tensor.new_empty(tensor.shape) for tensor in (w0, w1, w2))


@_gradients_backward.register_fake
def _(*inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs[:6])


def _save(ctx, inputs, output) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _back_apply(ctx, upstream: Tensor):
    return _apply_backward(*ctx.saved_tensors, upstream)


def _back_gradients(ctx, e0: Tensor, e1: Tensor, e2: Tensor):
    return _gradients_backward(*ctx.saved_tensors, e0, e1, e2)


_apply.register_autograd(_back_apply, setup_context=_save)
_gradients.register_autograd(_back_gradients, setup_context=_save)
