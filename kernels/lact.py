"""LaCT's fast weights: a SwiGLU that is applied to a chunk of tokens, then learns from it. Knows no model.

Shapes: b batch (heads folded in), t tokens of a chunk, w width, h hidden. The equations are those of
"Test-Time Training Done Right" (arXiv 2505.23884) for its layer with large chunks. What the paper writes W1,
W3 and W2 are w0, w2 and w1 here, as in its authors' program.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from storyloom.kernels.backend import Backend, choose_backend
from storyloom.kernels.checks import check_alike, check_axes, check_device, check_dtype, check_shape
from storyloom.kernels.lact_reference import lact_apply_reference, lact_gradients_reference
from storyloom.kernels.newton_schulz import newton_schulz_add
from storyloom.kernels.newton_schulz_reference import unit_rows

Three = tuple[Tensor, Tensor, Tensor]


class LactState(NamedTuple):
    """What a chunk hands to the next one.

    Attributes:
        weights: w0 [b, h, w], w1 [b, w, h], w2 [b, h, w]; float32 is advised whatever the tokens are.
        velocities: the sums of directions that momentum carries on, shaped and typed like the weights.
        row_norms: the norms of the rows of the initial weights: [b, h], [b, w], [b, h].
    """

    weights: Three
    velocities: Three
    row_norms: Three


def lact_state(w0: Tensor, w1: Tensor, w2: Tensor) -> LactState:
    """The state before the first chunk: these weights, at rest.

    Args:
        w0: [b, h, w], any float dtype.
        w1: [b, w, h], like ``w0``.
        w2: [b, h, w], like ``w0``.

    Raises:
        ValueError: a weight has another shape, dtype or device than the others call for.
    """
    _check_weights("lact_state", w0, w1, w2)
    weights = (w0, w1, w2)
    velocities = (torch.zeros_like(w0), torch.zeros_like(w1), torch.zeros_like(w2))
    return LactState(weights, velocities, (w0.norm(dim=-1), w1.norm(dim=-1), w2.norm(dim=-1)))


def lact_apply(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor, *, backend: Backend = "auto") -> Tensor:
    """Apply fast weights to queries.

    The fast network of arXiv 2505.23884::

        o = f(q) = W1 (silu(W0 q) ⊙ W2 q)

    Args:
        w0: [b, h, w], the gate; float32, float16 or bfloat16, or float64 (reference only).
        w1: [b, w, h], the way back to the width; like ``w0``.
        w2: [b, h, w], the other factor; like ``w0``.
        q: [b, t, w], the queries; like ``w0``, at least one token.
        backend: "auto", "reference" or "triton".

    Returns:
        [b, t, w] in the dtype of ``q``. Differentiable in all four, once on Triton. Tokens don't see each
        other: NaN in one reaches its own output only, NaN in a weight its own batch entry.

    Finite as long as W0 q, W2 q, their product and the output fit into the dtype (float16: 65504); the
    sigmoid overflows for no gate.

    Raises:
        ValueError: an argument has another shape, dtype or device than the above, or an axis but the batch is
            empty.
        RuntimeError: ``backend="triton"`` can't run here, or was asked for float64.
    """
    name = "lact_apply"
    sizes = _check_weights(name, w0, w1, w2)
    check_alike(name, "w0", w0, q=q)
    check_shape(name, "q", q, ("b", _tokens(name, "q", q), "w"), **sizes)
    if choose_backend(name, backend, w0) == "reference":
        return lact_apply_reference(w0, w1, w2, q)
    from storyloom.kernels.lact_triton import lact_apply_triton

    return lact_apply_triton(w0, w1, w2, q)


def lact_gradients(
    w0: Tensor, w1: Tensor, w2: Tensor, k: Tensor, v: Tensor, rates: Tensor, *, backend: Backend = "auto"
) -> Three:
    """The directions in which a chunk's tokens move the fast weights.

    The loss of a token in arXiv 2505.23884 is −⟨f(k), v⟩. The directions point **down** it, to be added to
    the weights. With g = W0 k, u = W2 k and s = silu::

        d0 = Σ_t r0 (W1ᵀ v ⊙ u ⊙ s'(g)) kᵀ,    d1 = Σ_t r1 v (s(g) ⊙ u)ᵀ,    d2 = Σ_t r2 (W1ᵀ v ⊙ s(g)) kᵀ

    Args:
        w0: [b, h, w]; float32, float16 or bfloat16, or float64 (reference only).
        w1: [b, w, h], like ``w0``.
        w2: [b, h, w], like ``w0``.
        k: [b, t, w], the keys, like ``w0``; at least one token.
        v: [b, t, w], the values, like ``w0``.
        rates: [b, t, 3], each token's step on w0, w1 and w2, in the dtype of ``k`` or float32. No sign is
            asked for; 0 leaves a token out.
        backend: "auto", "reference" or "triton".

    Returns:
        d0 [b, h, w], d1 [b, w, h], d2 [b, h, w] in the dtype of the weights. Differentiable in all six
        inputs, once on Triton. A token reaches all that its batch entry learns, and so does its NaN, at a
        rate of 0 as well.

    Finite as long as the hidden values, their gradients times the rates, and the sums over tokens fit into
    the dtype. On Triton float16 keeps few digits of a rate times a value below 6e-5: prefer bfloat16 there.

    Raises:
        ValueError: an argument has another shape, dtype or device than the above, or an axis but the batch is
            empty.
        RuntimeError: ``backend="triton"`` can't run here, or was asked for float64.
    """
    name = "lact_gradients"
    sizes = _check_weights(name, w0, w1, w2)
    check_alike(name, "w0", w0, k=k, v=v)
    check_shape(name, "k", k, ("b", _tokens(name, "k", k), "w"), **sizes)
    check_shape(name, "v", v, k.shape)
    check_shape(name, "rates", rates, (*k.shape[:2], 3))
    check_device(name, "rates", rates, w0.device, "w0")
    check_dtype(name, "rates", rates, k.dtype, torch.float32)
    if choose_backend(name, backend, w0) == "reference":
        return lact_gradients_reference(w0, w1, w2, k, v, rates)
    from storyloom.kernels.lact_triton import lact_gradients_triton

    return lact_gradients_triton(w0, w1, w2, k, v, rates)


def lact_update(
    state: LactState,
    directions: Three,
    momentum: Tensor,
    *,
    orthogonalise: bool = True,
    backend: Backend = "auto",
) -> LactState:
    """Step the fast weights by a chunk's directions.

    The update of arXiv 2505.23884 with momentum, Muon and weight normalisation::

        V ← D + m̄ V,    W ← ‖W_initial‖_row · (W + NS₅(V)) / ‖W + NS₅(V)‖_row

    Args:
        state: from :func:`lact_state` or an earlier update.
        directions: of :func:`lact_gradients`, in the dtype of the weights or a half precision beside float32
            weights; Newton–Schulz takes its products in this dtype.
        momentum: [b, t], each token's share of the velocity that stays, 0 to 1; m̄ is the chunk's mean.
        orthogonalise: whether NS₅ is taken; else V itself is added.
        backend: of :func:`newton_schulz.newton_schulz_add`; all else is elementwise in torch.

    Returns:
        The next state; nothing is changed in place. Differentiable.

    Finite for every finite direction whose norm lies in the range of ``newton_schulz_add``.

    Raises:
        ValueError: an argument has another shape, dtype or device than the above.
        RuntimeError: ``backend="triton"`` can't run here.
    """
    name = "lact_update"
    _check_weights(name, *state.weights)
    batch = state.weights[0].shape[0]
    check_shape(name, "momentum", momentum, (batch, _tokens(name, "momentum", momentum, "batch tokens")))
    check_device(name, "momentum", momentum, state.weights[0].device, "w0")
    halves = (torch.float16, torch.bfloat16) if state.weights[0].dtype == torch.float32 else ()
    for index, (weight, direction) in enumerate(zip(state.weights, directions, strict=True)):
        check_shape(name, f"directions[{index}]", direction, weight.shape)
        check_device(name, f"directions[{index}]", direction, weight.device, "w0")
        check_dtype(name, f"directions[{index}]", direction, weight.dtype, *halves)
    kept = momentum.to(state.weights[0].dtype).mean(1)[:, None, None]
    weights, velocities = [], []
    for weight, direction, velocity, norms in zip(
        state.weights, directions, state.velocities, state.row_norms, strict=True
    ):
        moving = direction.to(weight.dtype) + kept * velocity
        velocities.append(moving)
        if orthogonalise:
            weights.append(newton_schulz_add(weight, moving.to(direction.dtype), norms, backend=backend))
        else:
            weights.append(unit_rows(weight + moving) * norms.unsqueeze(-1))
    return LactState(_three(weights), _three(velocities), state.row_norms)


def lact_chunk(
    state: LactState,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rates: Tensor,
    momentum: Tensor,
    *,
    orthogonalise: bool = True,
    backend: Backend = "auto",
) -> tuple[Tensor, LactState]:
    """One chunk: apply the weights to its queries, **then** learn from its keys and values.

    So no token sees another of its own chunk: what is near is attention's part. The products are in the dtype
    of the tokens, the state keeps its own.

    Args:
        state: from :func:`lact_state` or the chunk before.
        q: [b, t, w], see :func:`lact_apply`.
        k: [b, t, w], see :func:`lact_gradients`.
        v: [b, t, w].
        rates: [b, t, 3].
        momentum: [b, t], see :func:`lact_update`.
        orthogonalise: see :func:`lact_update`.
        backend: "auto", "reference" or "triton".

    Returns:
        The outputs [b, t, w], and the state for the next chunk.

    Raises:
        ValueError: an argument has another shape, dtype or device than the parts call for.
        RuntimeError: ``backend="triton"`` can't run here.
    """
    w0, w1, w2 = (weight.to(q.dtype) for weight in state.weights)
    output = lact_apply(w0, w1, w2, q, backend=backend)
    directions = lact_gradients(w0, w1, w2, k, v, rates, backend=backend)
    return output, lact_update(state, directions, momentum, orthogonalise=orthogonalise, backend=backend)


def _three(tensors: list[Tensor]) -> Three:
    first, second, third = tensors
    return first, second, third


def _check_weights(operation: str, w0: Tensor, w1: Tensor, w2: Tensor) -> dict[str, int]:
    """Hold the weights to each other; gives the sizes b, h and w."""
    batch, hidden, width = check_axes(operation, "w0", w0, "batch hidden width")
    sizes = {"b": batch, "h": hidden, "w": width}
    check_alike(operation, "w0", w0, w1=w1, w2=w2)
    check_shape(operation, "w1", w1, ("b", "w", "h"), **sizes)
    check_shape(operation, "w2", w2, ("b", "h", "w"), **sizes)
    return sizes


def _tokens(operation: str, name: str, tensor: Tensor, axes: str = "batch tokens width") -> int:
    """How many tokens a tensor holds, at least one."""
    return check_axes(operation, name, tensor, axes)[1]
