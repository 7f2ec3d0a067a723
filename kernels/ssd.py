"""Mamba-2's recurrence: a matrix state under a scalar decay (arXiv 2405.21060). Knows no model.

The plain-torch form is in ``ssd_reference``, the Triton kernels in ``ssd_triton``.
"""

import torch
from torch import Tensor

from storyloom.kernels.backend import Backend, choose_backend
from storyloom.kernels.checks import (
    check_alike,
    check_axes,
    check_choice,
    check_device,
    check_dtype,
    check_shape,
)
from storyloom.kernels.ssd_reference import place_chunks, ssd_reference, ssd_step_reference

CHUNKS = (16, 32, 64, 128)


def ssd(
    x: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    initial_state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    chunk: int = 64,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Run whole sequences through the selective state space of arXiv 2405.21060, equation 2, A a scalar.

    h_t = exp(a_t) h_{t−1} + b_t x_tᵀ and y_t = c_tᵀ h_t, in the chunked form of the paper's section 6.
    The time step and the skip are the caller's: give x·dt as x and A·dt as a, and add D·x to y.

    Differentiable in x, a, b, c and initial_state, once. Prefix-linear attention (JRT, arXiv 2407.05483)
    is the case without decay whose initial state sums the prefix: with φ the feature map and a = 0,
    ``_, prefix = ssd(v_prefix, a_prefix, φ(k_prefix), φ(k_prefix))`` and then
    ``y, _ = ssd(v, a, φ(k), φ(q), initial_state=prefix)``; with a last column of ones in both v, its
    normalised output is ``y[..., :-1] / y[..., -1:]``.

    Args:
        x: what is written, [batch, length, heads, width]; float16, bfloat16, float32 or (reference only)
            float64. Any strides.
        a: logarithm of the decay, at most 0 (−inf forgets everything before this token),
            [batch, length, heads]; float32, or float64 where x is. Its values aren't checked.
        b: where it is written, [batch, length, groups, state], in x's dtype; heads is a multiple of
            groups, and head h takes group h // (heads / groups).
        c: where it is read, like b.
        initial_state: h_0, [sequences, heads, state, width] in a's dtype; zeros if None.
        cu_seqlens: where packed sequences begin and the last one ends, in tokens, [sequences + 1] from 0,
            never falling; int32 or int64, on x's device. The batch must be 1. A sequence may be empty;
            tokens after the last give zeros. Its values aren't checked, as that would wait for the device:
            wrong ones give wrong sequences, never an access outside of the tensors.
        chunk: tokens that are worked on together, one of 16, 32, 64, 128. Changes rounding and speed only.
        backend: ``auto`` takes Triton on a CUDA device (but not for float64), the reference elsewhere.

    Returns:
        y, [batch, length, heads, width] in x's dtype; and h after each sequence's last token,
        [sequences, heads, state, width] in a's dtype. Sequences are the batch, or len(cu_seqlens) − 1.

        Finite inputs with a ≤ 0 give finite outputs while |h_0| + Σ_t |b_t||x_t| and that times |c| stay
        below 3e38, whatever the length; in float16 every entry of h, of c·b and of y must stay below
        65504. Gradients are finite under the same bounds with dy for x and c for b. A NaN in a token
        reaches its chunk and what follows in its own sequence and head (for b and c, the heads of its
        group), nothing else.

    Raises:
        ValueError: an argument has another shape, dtype or device than it must have, or there is no
            such chunk or backend.
        RuntimeError: Triton was asked for by name and can't run here, or x is float64.
    """
    sequences = _check_ssd(x, a, b, c, initial_state, cu_seqlens)
    check_choice("ssd", "chunk", chunk, CHUNKS)
    chosen = choose_backend("ssd", backend, x)
    if initial_state is None:
        initial_state = a.new_zeros(sequences, x.shape[2], b.shape[3], x.shape[3])
    places = None if cu_seqlens is None else place_chunks(cu_seqlens, x.shape[1], chunk)
    if chosen == "reference":
        return ssd_reference(x, a, b, c, initial_state, places, chunk=chunk)
    from storyloom.kernels.ssd_triton import ssd_triton

    return ssd_triton(x, a, b, c, initial_state, places, chunk=chunk)


def ssd_step(
    x: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor, *, backend: Backend = "auto"
) -> tuple[Tensor, Tensor]:
    """Take one token of the recurrence of ``ssd``, for decoding: as ``ssd`` with a length of 1.

    Triton's step has no backward: train with ``ssd``. The reference's has one.

    Args:
        x: [batch, heads, width], dtypes as for ``ssd``.
        a: [batch, heads].
        b: [batch, groups, state].
        c: like b.
        state: h_{t−1}, [batch, heads, state, width] in a's dtype; it isn't changed.
        backend: as for ``ssd``.

    Returns:
        y, [batch, heads, width] in x's dtype, and h_t in a's dtype. The range is that of ``ssd``.

    Raises:
        ValueError: an argument has another shape, dtype or device than it must have, or there is no
            such backend.
        RuntimeError: Triton was asked for by name and can't run here, or x is float64.
    """
    batch, heads, width = check_axes("ssd_step", "x", x, "batch heads width")
    _, groups, size = check_axes("ssd_step", "b", b, "batch groups state")
    sizes = {"batch": batch, "heads": heads, "width": width, "groups": groups, "state": size}
    for name, tensor, axes in (
        ("a", a, "batch heads"),
        ("b", b, "batch groups state"),
        ("c", c, "batch groups state"),
        ("state", state, "batch heads state width"),
    ):
        check_shape("ssd_step", name, tensor, axes.split(), **sizes)
    _check_kinds("ssd_step", x, a, b, c, state=state)
    if choose_backend("ssd_step", backend, x) == "reference":
        return ssd_step_reference(x, a, b, c, state)
    from storyloom.kernels.ssd_step_triton import ssd_step_triton

    return ssd_step_triton(x, a, b, c, state)


def _check_ssd(
    x: Tensor, a: Tensor, b: Tensor, c: Tensor, initial_state: Tensor | None, cu_seqlens: Tensor | None
) -> int:
    """Hold the arguments to each other; gives the number of sequences."""
    batch, length, heads, width = check_axes("ssd", "x", x, "batch length heads width")
    _, _, groups, size = check_axes("ssd", "b", b, "batch length groups state")
    sequences = batch if cu_seqlens is None else _count_packed(cu_seqlens, batch, x.device)
    sizes = {
        "batch": batch,
        "length": length,
        "heads": heads,
        "width": width,
        "groups": groups,
        "state": size,
    }
    check_shape("ssd", "a", a, ("batch", "length", "heads"), **sizes)
    check_shape("ssd", "b", b, ("batch", "length", "groups", "state"), **sizes)
    check_shape("ssd", "c", c, ("batch", "length", "groups", "state"), **sizes)
    if initial_state is not None:
        wanted = ("sequences", "heads", "state", "width")
        check_shape("ssd", "initial_state", initial_state, wanted, sequences=sequences, **sizes)
    _check_kinds("ssd", x, a, b, c, initial_state=initial_state)
    return sequences


def _count_packed(cu_seqlens: Tensor, batch: int, device: torch.device) -> int:
    if cu_seqlens.dim() != 1 or cu_seqlens.shape[0] < 2:
        raise ValueError(
            f"ssd: cu_seqlens has shape {list(cu_seqlens.shape)}; it must be [sequences + 1], at least [2]."
        )
    check_dtype("ssd", "cu_seqlens", cu_seqlens, torch.int32, torch.int64)
    check_device("ssd", "cu_seqlens", cu_seqlens, device, "x")
    if batch != 1:
        raise ValueError(f"ssd: x has a batch of {batch}; it must be 1 with cu_seqlens.")
    return cu_seqlens.shape[0] - 1


def _check_kinds(operation: str, x: Tensor, a: Tensor, b: Tensor, c: Tensor, **states: Tensor | None) -> None:
    """Dtypes, devices, and whether the groups share out the heads."""
    heads, groups = x.shape[-2], b.shape[-2]
    if heads % groups:
        raise ValueError(f"{operation}: b has {groups} groups; x's {heads} heads must be a multiple of them.")
    check_alike(operation, "x", x, b=b, c=c)
    wide = torch.float64 if x.dtype is torch.float64 else torch.float32
    for name, tensor in {"a": a, **states}.items():
        if tensor is not None:
            check_device(operation, name, tensor, x.device, "x")
            check_dtype(operation, name, tensor, wide)
