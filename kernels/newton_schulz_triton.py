"""Newton–Schulz in Triton, as operators: alone, and with the add and the row norm.

A matrix that fits one program's registers stays there from its first step to its last; for a larger one there
is a launch a product. Between launches torch only allocates.
"""

from types import ModuleType

from torch import Tensor

from storyloom.kernels import newton_schulz_small_triton as small
from storyloom.kernels import newton_schulz_tiled_triton as tiled
from storyloom.kernels.newton_schulz_reference import COEFFICIENTS
from storyloom.kernels.newton_schulz_rows_triton import add_rows, add_rows_backward
from storyloom.kernels.operators import operator

_STEPS = len(COEFFICIENTS)


def newton_schulz_triton(g: Tensor, steps: int) -> Tensor:
    """:func:`newton_schulz.newton_schulz` for [batch, rows, columns]."""
    result: Tensor = _newton_schulz(g, steps)
    return result


def newton_schulz_add_triton(w: Tensor, g: Tensor, row_norms: Tensor) -> Tensor:
    """:func:`newton_schulz.newton_schulz_add` for [batch, rows, columns]."""
    result: Tensor = _newton_schulz_add(w, g, row_norms)
    return result


def _way_of(g: Tensor) -> ModuleType:
    return small if small.fits(g) else tiled


@operator("storyloom::newton_schulz")
def _newton_schulz(g: Tensor, steps: int) -> Tensor:
    result: Tensor = _way_of(g).forward(g, steps, g.dtype)[0]
    return result


@operator("storyloom::newton_schulz_backward")
def _newton_schulz_backward(g: Tensor, upstream: Tensor, steps: int) -> Tensor:
    way = _way_of(g)
    _, kept = way.forward(g, steps, g.dtype, save=True)
    gradient: Tensor = way.backward(g, kept, upstream, steps)
    return gradient


@operator("storyloom::newton_schulz_add")
def _newton_schulz_add(w: Tensor, g: Tensor, row_norms: Tensor) -> Tensor:
    if small.fits(g):
        return small.forward(g, _STEPS, w.dtype, add=(w, row_norms))[0]
    step, _ = tiled.forward(g, _STEPS, w.dtype)
    return add_rows(w, step, row_norms)


@operator("storyloom::newton_schulz_add_backward")
def _newton_schulz_add_backward(
    w: Tensor, g: Tensor, row_norms: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    way = _way_of(g)
    step, kept = way.forward(g, _STEPS, w.dtype, save=True)
    dw, dnorms = add_rows_backward(w, step, row_norms, upstream)
    return dw, way.backward(g, kept, dw, _STEPS), dnorms


@_newton_schulz.register_fake
def _(g: Tensor, steps: int) -> Tensor:  # noqa: ARG001
    return g.new_empty(g.shape)


@_newton_schulz_backward.register_fake
def _(g: Tensor, upstream: Tensor, steps: int) -> Tensor:  # noqa: ARG001
    return g.new_empty(g.shape)


@_newton_schulz_add.register_fake
def _(w: Tensor, g: Tensor, row_norms: Tensor) -> Tensor:  # noqa: ARG001
    return w.new_empty(w.shape)


@_newton_schulz_add_backward.register_fake
def _(w: Tensor, g: Tensor, row_norms: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    return w.new_empty(w.shape), g.new_empty(g.shape), w.new_empty(w.shape[:-1])


def _save_one(ctx, inputs, output) -> None:  # noqa: ARG001
    g, ctx.steps = inputs
    ctx.save_for_backward(g)


def _back_one(ctx, upstream: Tensor):
    return _newton_schulz_backward(ctx.saved_tensors[0], upstream, ctx.steps), None


def _save_three(ctx, inputs, output) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _back_three(ctx, upstream: Tensor):
    return _newton_schulz_add_backward(*ctx.saved_tensors, upstream)


_newton_schulz.register_autograd(_back_one, setup_context=_save_one)
_newton_schulz_add.register_autograd(_back_three, setup_context=_save_three)
