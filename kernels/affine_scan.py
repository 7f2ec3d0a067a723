"""Diagonal affine scans: h_t = a_t ⊙ h_{t−1} + b_t, and the prefix attention that is one of them."""

import torch
from torch import Tensor

from storyloom.kernels.affine_scan_reference import aaren_reference, affine_scan_reference
from storyloom.kernels.backend import Backend, choose_backend
from storyloom.kernels.checks import check_alike, check_axes, check_device, check_dtype, check_shape

AarenState = tuple[Tensor, Tensor, Tensor]
_WIDEST_VALUE = 256


def affine_scan(
    a: Tensor, b: Tensor, *, initial: Tensor | None = None, reverse: bool = False, backend: Backend = "auto"
) -> Tensor:
    """Run the diagonal affine recurrence h_t = a_t ⊙ h_{t−1} + b_t over a sequence, with gradients.

    This is the linear system that each of ParaRNN's Newton steps solves (arXiv 2510.21450, the diagonal case
    of its parallel reduction), and the recurrence under Aaren and other gated linear layers. With
    ``reverse`` time runs backwards: h_t = a_t ⊙ h_{t+1} + b_t.

    Args:
        a: multipliers, [batch, length, width]; float16, bfloat16, float32 or float64; any strides.
        b: addends, the same shape, dtype and device.
        initial: h before the first step (after the last one with ``reverse``), [batch, width], float32
            (float64 for float64 inputs) or the dtype of ``a``; zeros without it.
        reverse: from the last step to the first.
        backend: "auto" takes Triton on a CUDA device and the reference elsewhere.

    Returns:
        h, [batch, length, width] in the dtype of ``a``. The state is kept in float32 (float64 for float64
        inputs) from step to step; ``h[:, -1]`` continues the sequence in another call.

    Raises:
        ValueError: a shape, dtype or device doesn't fit, an axis but the batch is empty, or no such backend.
        RuntimeError: ``backend="triton"`` can't run here.

    Finite inputs give finite outputs where |a| ≤ 1 and |b| times the length fits the dtype. Beyond |a| = 1
    the product of any run of multipliers must fit float32 too, even where the state is zero: the parallel
    form takes the products first.
    """
    name = "affine_scan"
    batch, length, width = check_axes(name, "a", a, "batch length width")
    check_alike(name, "a", a, b=b)
    check_shape(name, "b", b, ("batch", "length", "width"), batch=batch, length=length, width=width)
    kept = _kept(a)
    if initial is None:
        initial = a.new_zeros((batch, width), dtype=kept)
    check_device(name, "initial", initial, a.device, "a")
    check_dtype(name, "initial", initial, *dict.fromkeys((kept, a.dtype)))
    check_shape(name, "initial", initial, ("batch", "width"), batch=batch, width=width)
    if choose_backend(name, backend, a, float64=True) == "reference":
        return affine_scan_reference(a, b, initial, reverse)
    from storyloom.kernels.affine_scan_triton import affine_scan_triton

    return affine_scan_triton(a, b, initial.to(kept), reverse)


def aaren(
    scores: Tensor, values: Tensor, *, state: AarenState | None = None, backend: Backend = "auto"
) -> tuple[Tensor, AarenState]:
    """Attend from one fixed query a head to every prefix, with gradients: o_t = Σ_{j≤t} softmax(s_≤t)_j v_j.

    Aaren's many-to-many attention (arXiv 2405.13956, §3.2): a scan of (m, u, w) with m_t = max(m_{t−1}, s_t),
    u_t = u_{t−1} e^{m_{t−1}−m_t} + e^{s_t−m_t}, w_t likewise with v_t, and o_t = w_t / u_t. The whole past is
    a state of width + 2 numbers a head.

    Args:
        scores: s, the scaled product of query and key, [batch, length, heads]; float16, bfloat16, float32 or
            float64. A score of −∞ leaves its token out (padding); before the first token with weight o is 0.
        values: v, [batch, length, heads, width], width at most 256; the same dtype and device.
        state: (m, u, w) that an earlier call returned: [batch, heads], [batch, heads] and
            [batch, heads, width] in float32 (float64 for float64 inputs). Where u is 0 it is the empty state,
            so that zeros mean a fresh start.
        backend: "auto" takes Triton on a CUDA device and the reference elsewhere.

    Returns:
        o, [batch, length, heads, width] in the dtype of ``values``, and the state after the last token.
        Gradients flow through u and w; m is only their scale, which cancels, and carries none.

    Raises:
        ValueError: a shape, dtype or device doesn't fit, an axis but the batch is empty, the width is over
            256, or no such backend.
        RuntimeError: ``backend="triton"`` can't run here.

    Finite outputs for scores of any finite size from −1e29 to 1e29, or −∞, and for values up to the state's
    dtype's largest divided by the number of tokens.
    """
    name = "aaren"
    batch, length, heads, width = check_axes(name, "values", values, "batch length heads width")
    check_alike(name, "values", values, scores=scores)
    check_shape(name, "scores", scores, ("batch", "length", "heads"), batch=batch, length=length, heads=heads)
    if width > _WIDEST_VALUE:
        raise ValueError(
            f"{name}: values has shape {list(values.shape)}; its width must be at most {_WIDEST_VALUE}."
        )
    kept = _kept(values)
    if state is None:
        state = (
            values.new_zeros((batch, heads), dtype=kept),
            values.new_zeros((batch, heads), dtype=kept),
            values.new_zeros((batch, heads, width), dtype=kept),
        )
    _check_state(name, state, values, kept)
    if choose_backend(name, backend, values, float64=True) == "reference":
        return aaren_reference(scores, values, state)
    from storyloom.kernels.aaren_triton import aaren_triton

    return aaren_triton(scores, values, state)


def _kept(tensor: Tensor) -> torch.dtype:
    """The dtype in which a state is kept."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _check_state(name: str, state: AarenState, values: Tensor, kept: torch.dtype) -> None:
    batch, _, heads, width = values.shape
    if len(state) != 3:
        raise ValueError(f"{name}: state has {len(state)} tensors; it must be the 3 tensors (m, u, w).")
    for part, tensor in zip(("m", "u", "w"), state, strict=True):
        axes = ("batch", "heads", "width") if part == "w" else ("batch", "heads")
        sizes = {"batch": batch, "heads": heads, "width": width}
        check_device(name, f"state {part}", tensor, values.device, "values")
        check_dtype(name, f"state {part}", tensor, kept)
        check_shape(name, f"state {part}", tensor, axes, **{axis: sizes[axis] for axis in axes})
