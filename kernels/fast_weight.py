"""A memory that learns while it reads: Titans' fast weights, and ATLAS' Omega window over them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from storyloom.kernels import fast_weight_reference as reference
from storyloom.kernels.backend import Backend, choose_backend
from storyloom.kernels.checks import check_alike, check_axes, check_device, check_dtype, check_shape

if TYPE_CHECKING:
    from types import ModuleType

MAX_CHUNK = 64
MAX_WIDTH = 128

Tensors = tuple[Tensor, ...]


def fast_weight(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    momentum: Tensor,
    rate: Tensor,
    decay: Tensor,
    weights: Tensors,
    *,
    momenta: Tensors | None = None,
    chunk: int = 64,
    window: int = 1,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensors, Tensors]:
    """Write every token into a memory by gradient descent with momentum and decay, and read it.

    Titans (arXiv 2501.00663, equations 12 to 15 and section 3.2), in its chunked dual form: for each token

        S_t = η_t S_{t−1} − θ_t Σ_{t−window < i ≤ t} ∇‖M(k_i) − v_i‖²,   W_t = (1 − α_t) W_{t−1} + S_t,
        o_t = M_{W_t}(q_t)

    with every gradient of a chunk taken at the weights that the chunk began with. The memory is linear,
    M(x) = W x, or a two-layer perceptron, M(x) = W2 silu(W1 x), without biases. A ``window`` above 1 is the
    Omega rule of ATLAS (arXiv 2505.23735, equation 9, with γ = 1); it doesn't reach back over a chunk's
    start. The per-token weights never exist. No normalisation is applied: normalise q and k before.

    A call with the returned states goes on as if it were one call where that ended with a whole chunk;
    elsewhere it begins a new chunk early.

    Args:
        q: what is asked, [batch, length, heads, width]; float16, bfloat16, float32, or float64 (reference
            only). ``width`` is at most 128. The batch may be empty, no other axis.
        k: under what it is written, shaped and typed like q.
        v: what is written, [batch, length, heads, value_width], typed like q; ``value_width`` at most 128.
        momentum: η in [0, 1], [batch, length, heads]; float32 or q's dtype.
        rate: θ ≥ 0, the step size, the same. Descent is stable while 2 θ ‖k‖² summed over a chunk stays
            about 1 or less; the library doesn't limit it.
        decay: α in [0, 1), the same.
        weights: the memory before the first token, float32 (float64 for float64 inputs): (W,) of [batch,
            heads, value_width, width], or (W1, W2) of [batch, heads, hidden, width] and [batch, heads,
            value_width, hidden].
        momenta: S before the first token, shaped and typed like the weights; zeros when None.
        chunk: tokens whose gradients share one anchor, 1 to 64.
        window: how many of the last tokens' gradients each update sums, 1 to ``chunk``.
        backend: ``auto`` takes Triton on a CUDA device, the reference elsewhere and for float64.

    Returns:
        What was read, [batch, length, heads, value_width] in q's dtype; the weights and the momenta after
        the last token, tuples of new tensors like those given. All are differentiable in every tensor
        argument, on both backends; Triton's once, the reference's twice.

    Finite inputs with gates in their ranges give finite results as long as the equation's own numbers, the
    weights, momenta, errors and their products, stay below 3e38 (what is returned in float16 below 65504):
    nothing is divided by and no logarithm taken of a gate, so η = 0 and α = 1 − 1e-7 are exact to rounding.
    The ranges aren't checked, which would wait for the device. NaN in a token reaches its own head of its
    own sequence, from the start of its chunk on, and nothing else.

    Raises:
        ValueError: a tensor's shape, dtype or device, or a size, is not as said above.
        RuntimeError: ``backend="triton"`` can't run here, or was asked for in float64.
    """
    name = "fast_weight"
    _check_qkv(name, q, k, v)
    _check_gates(name, q, (momentum, rate, decay), "batch length heads")
    momenta = _check_memory(name, q, v, weights, momenta)
    _check_count(name, "chunk", chunk, MAX_CHUNK)
    _check_count(name, "window", window, chunk)
    gates = (momentum, rate, decay)
    if choose_backend(name, backend, q) == "triton":
        return _triton().fast_weight((q, k, v), gates, tuple(weights), momenta, chunk, window)  # type: ignore[no-any-return]
    return reference.fast_weight((q, k, v), gates, tuple(weights), momenta, chunk, window)


def fast_weight_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    momentum: Tensor,
    rate: Tensor,
    decay: Tensor,
    weights: Tensors,
    *,
    momenta: Tensors | None = None,
    anchor: Tensors | None = None,
    earlier: tuple[Tensor, Tensor] | None = None,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensors, Tensors]:
    """One token of ``fast_weight``, on the same states: for writing a story a word at a time.

    Its gradient is taken at ``anchor``. Which parallel pass the steps equal depends on what is given there:

    - None takes the weights themselves: the steps equal ``fast_weight(..., chunk=1)``, plain descent.
    - The weights as they were at the chunk's start, the same for each of its tokens: the steps equal
      ``fast_weight(..., chunk=C)`` when the caller replaces the anchor by the weights before tokens 0, C, 2C
      and so on. For a window above 1, ``earlier`` holds the tokens that it still reaches within the chunk.

    After a chunk that is not full, ``fast_weight`` returns no anchor: continue by steps with the weights
    that the call began that chunk with, or accept a new chunk.

    Args:
        q: [batch, heads, width], like a token of ``fast_weight``'s.
        k: the same.
        v: [batch, heads, value_width].
        momentum: [batch, heads].
        rate: [batch, heads].
        decay: [batch, heads].
        weights: as in ``fast_weight``.
        momenta: as in ``fast_weight``.
        anchor: the weights at which gradients are taken, shaped and typed like the weights.
        earlier: k [batch, tokens, heads, width] and v [batch, tokens, heads, value_width] of the tokens
            before this one whose gradients its update also sums: at most the window's others and 63.
        backend: as in ``fast_weight``. Triton's step has no backward: ``auto`` takes the reference where a
            gradient is asked for.

    Returns:
        What was read, [batch, heads, value_width]; the weights and the momenta after the token, new tensors.

    Raises:
        ValueError: as in ``fast_weight``.
        RuntimeError: ``backend="triton"`` can't run here, or was asked for in float64 or for a gradient.
    """
    name = "fast_weight_step"
    _check_qkv(name, q, k, v, "batch heads")
    _check_gates(name, q, (momentum, rate, decay), "batch heads")
    momenta = _check_memory(name, q, v, weights, momenta)
    anchor = _check_states(name, "anchor", weights, anchor) if anchor is not None else tuple(weights)
    keys, values = k[:, None], v[:, None]
    if earlier is not None:
        before_k, before_v = _check_earlier(name, q, v, earlier)
        keys, values = torch.cat([before_k, keys], dim=1), torch.cat([before_v, values], dim=1)
    gates = (momentum, rate, decay)
    learns = torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (q, keys, values, *gates, *weights, *momenta, *anchor)
    )
    obstacle = (
        "a step has no gradient there. Call it under torch.no_grad(), or call fast_weight with one token."
        if learns
        else ""
    )
    if choose_backend(name, backend, q, obstacle) == "triton":
        return _triton().fast_weight_step((q, keys, values), gates, tuple(weights), momenta, anchor)  # type: ignore[no-any-return]
    return reference.fast_weight_step((q, keys, values), gates, tuple(weights), momenta, anchor)


def _triton() -> "ModuleType":
    from storyloom.kernels import fast_weight_triton

    return fast_weight_triton


def _check_qkv(name: str, q: Tensor, k: Tensor, v: Tensor, leading: str = "batch length heads") -> None:
    sizes = check_axes(name, "q", q, f"{leading} width")
    check_axes(name, "v", v, f"{leading} value_width")
    check_alike(name, "q", q, k=k, v=v)
    known = dict(zip((*leading.split(), "width"), sizes, strict=True))
    check_shape(name, "k", k, (*leading.split(), "width"), **known)
    known["value_width"] = v.shape[-1]
    check_shape(name, "v", v, (*leading.split(), "value_width"), **known)
    for argument, tensor, axis in (("q", q, "width"), ("v", v, "value_width")):
        if tensor.shape[-1] > MAX_WIDTH:
            raise ValueError(
                f"{name}: {argument} has shape {list(tensor.shape)}; its {axis} must be at most {MAX_WIDTH}."
            )


def _check_gates(name: str, q: Tensor, gates: Tensors, axes: str) -> None:
    sizes = dict(zip(axes.split(), q.shape, strict=False))
    for argument, gate in zip(("momentum", "rate", "decay"), gates, strict=True):
        check_shape(name, argument, gate, axes.split(), **sizes)
        check_device(name, argument, gate, q.device, "q")
        check_dtype(name, argument, gate, torch.float32, q.dtype)


def _check_memory(name: str, q: Tensor, v: Tensor, weights: Tensors, momenta: Tensors | None) -> Tensors:
    """Hold weights and momenta to their layout; gives the momenta, zeros where there were none."""
    if not isinstance(weights, tuple | list) or len(weights) not in {1, 2}:
        told = (
            f"{len(weights)} tensors" if isinstance(weights, tuple | list) else f"a {type(weights).__name__}"
        )
        raise ValueError(
            f"{name}: weights is {told}; it must be a tuple of 1 (linear) or 2 (perceptron) tensors."
        )
    sizes = {"batch": q.shape[0], "heads": q.shape[-2], "width": q.shape[-1], "value_width": v.shape[-1]}
    if len(weights) == 1:
        check_shape(name, "weights[0]", weights[0], ("batch", "heads", "value_width", "width"), **sizes)
    else:
        sizes["hidden"] = check_axes(name, "weights[0]", weights[0], "batch heads hidden width")[2]
        check_shape(name, "weights[0]", weights[0], ("batch", "heads", "hidden", "width"), **sizes)
        check_shape(name, "weights[1]", weights[1], ("batch", "heads", "value_width", "hidden"), **sizes)
    for index, weight in enumerate(weights):
        check_device(name, f"weights[{index}]", weight, q.device, "q")
        check_dtype(
            name, f"weights[{index}]", weight, torch.float64 if q.dtype is torch.float64 else torch.float32
        )
    if momenta is None:
        return tuple(torch.zeros_like(weight) for weight in weights)
    return _check_states(name, "momenta", weights, momenta)


def _check_states(name: str, argument: str, weights: Tensors, states: Tensors) -> Tensors:
    if not isinstance(states, tuple | list) or len(states) != len(weights):
        told = f"{len(states)} tensors" if isinstance(states, tuple | list) else f"a {type(states).__name__}"
        raise ValueError(f"{name}: {argument} is {told}; it must be a tuple of {len(weights)}, like weights.")
    for index, (weight, state) in enumerate(zip(weights, states, strict=True)):
        check_shape(name, f"{argument}[{index}]", state, weight.shape)
        check_device(name, f"{argument}[{index}]", state, weight.device, "weights")
        check_dtype(name, f"{argument}[{index}]", state, weight.dtype)
    return tuple(states)


def _check_earlier(name: str, q: Tensor, v: Tensor, earlier: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    if not isinstance(earlier, tuple | list) or len(earlier) != 2:
        raise ValueError(f"{name}: earlier is {type(earlier).__name__}; it must be a tuple of k and v.")
    before_k, before_v = earlier
    batch, heads, width = q.shape
    tokens = check_axes(name, "earlier[0]", before_k, "batch tokens heads width")[1]
    sizes = {"batch": batch, "tokens": tokens, "heads": heads, "width": width, "value_width": v.shape[-1]}
    check_shape(name, "earlier[0]", before_k, ("batch", "tokens", "heads", "width"), **sizes)
    check_shape(name, "earlier[1]", before_v, ("batch", "tokens", "heads", "value_width"), **sizes)
    check_alike(name, "q", q, **{"earlier[0]": before_k, "earlier[1]": before_v})
    _check_count(name, "earlier's tokens", tokens, MAX_CHUNK - 1)
    return before_k, before_v


def _check_count(name: str, argument: str, count: int, most: int) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
        raise ValueError(f"{name}: {argument} is {count!r}; it must be a whole number from 1 to {most}.")
