"""Newton–Schulz orthogonalisation of batches of matrices, alone and as a step on weights. Knows no model."""

from math import prod

import torch
from torch import Tensor

from storyloom.kernels.backend import Backend, choose_backend
from storyloom.kernels.checks import check_alike, check_choice, check_device, check_dtype, check_shape
from storyloom.kernels.newton_schulz_reference import (
    COEFFICIENTS,
    newton_schulz_add_reference,
    newton_schulz_reference,
)


def newton_schulz(g: Tensor, *, steps: int = len(COEFFICIENTS), backend: Backend = "auto") -> Tensor:
    """Draw the singular values of each matrix towards 1, and keep its singular vectors.

    LaCT's orthogonalisation of a fast weight's update (arXiv 2505.23884, its option Muon)::

        X₀ = G / ‖G‖_F,    A = X Xᵀ,    X ← a X + (b A + c A²) X    with (a, b, c) of the step

    so that G = U diag(σ) Vᵀ becomes U diag(p(σ / ‖G‖_F)) Vᵀ, with p the steps' odd polynomial. After five
    steps p lies between 0.85 and 1.15 for arguments from 0.002 to 1, and nears 493 times the argument towards
    0. A matrix with more rows than columns is taken transposed, which gives the same and costs less.

    Args:
        g: [..., rows, columns], float32, or float16 or bfloat16, or float64 (reference only). No unit: the
            result doesn't change when a matrix is multiplied by a positive number.
        steps: how many, 1 to 5; fewer take the first of the coefficients.
        backend: "auto", "reference" or "triton".

    Returns:
        [..., rows, columns] in the dtype of ``g``. Differentiable once on Triton, at will on the reference. A
        matrix of zeros gives zeros, and a gradient of zeros. NaN or infinity reach the whole of their own
        matrix, and no other.

    Finite for every finite matrix whose norm lies in 1e-30 to 1e30 (float16: whatever it can hold). The
    gradient is of the order of the incoming one divided by the norm, and overflows where that leaves the
    dtype. In half precisions, matrices too large for one program keep their iterates in that dtype.

    Raises:
        ValueError: ``g`` has fewer than two axes, an empty matrix or no float dtype; ``steps`` isn't 1 to 5.
        RuntimeError: ``backend="triton"`` can't run here, or was asked for float64.
    """
    name = "newton_schulz"
    _check_matrices(name, "g", g)
    check_alike(name, "g", g)
    check_choice(name, "steps", steps, range(1, len(COEFFICIENTS) + 1))
    if choose_backend(name, backend, g) == "reference":
        return newton_schulz_reference(g, steps)
    from storyloom.kernels.newton_schulz_triton import newton_schulz_triton

    return newton_schulz_triton(_batched(g), steps).reshape(g.shape)


def newton_schulz_add(w: Tensor, g: Tensor, row_norms: Tensor, *, backend: Backend = "auto") -> Tensor:
    """Step weights by an orthogonalised update, and give each row its norm back.

    LaCT's update of a fast weight (arXiv 2505.23884, weight normalisation after Muon)::

        U = W + NS₅(G),    W ← row_norms · U / ‖U‖_row

    Args:
        w: [..., rows, columns], the weights; float32, or float16 or bfloat16, or float64 (reference only).
        g: [..., rows, columns], the direction to go, as it is added; in the dtype of ``w``, or in float16 or
            bfloat16 beside float32 weights. Its dtype is that of the products.
        row_norms: [..., rows] in the dtype of ``w``: the norms of the rows of the initial weights.
        backend: "auto", "reference" or "triton".

    Returns:
        The new weights, shaped and typed like ``w``; nothing is changed in place. Differentiable in all
        three, once on Triton. A row that sums to zeros stays zeros, and passes no gradient. NaN in a row of
        ``w`` reaches that row only; NaN in ``g`` its whole matrix.

    Finite for every ``g`` as in :func:`newton_schulz`, and rows of ``w`` with norms up to 1e30; in float32 a
    row norm above 1e8 drowns the step.

    Raises:
        ValueError: an argument has another shape, dtype or device than the above; a matrix is empty.
        RuntimeError: ``backend="triton"`` can't run here, or was asked for float64.
    """
    name = "newton_schulz_add"
    _check_matrices(name, "w", w)
    check_alike(name, "w", w, row_norms=row_norms)
    check_shape(name, "g", g, w.shape)
    check_device(name, "g", g, w.device, "w")
    halves = (torch.float16, torch.bfloat16) if w.dtype == torch.float32 else ()
    check_dtype(name, "g", g, w.dtype, *halves)
    check_shape(name, "row_norms", row_norms, w.shape[:-1])
    if choose_backend(name, backend, w) == "reference":
        return newton_schulz_add_reference(w, g, row_norms)
    from storyloom.kernels.newton_schulz_triton import newton_schulz_add_triton

    rows = row_norms.reshape(prod(w.shape[:-2]), w.shape[-2])
    return newton_schulz_add_triton(_batched(w), _batched(g), rows).reshape(w.shape)


def _batched(matrices: Tensor) -> Tensor:
    """The leading axes as one; a view wherever strides allow it."""
    return matrices.reshape(prod(matrices.shape[:-2]), *matrices.shape[-2:])


def _check_matrices(operation: str, name: str, tensor: Tensor) -> None:
    if tensor.dim() < 2:
        raise ValueError(
            f"{operation}: {name} has shape {list(tensor.shape)}; it must have 2 axes or more: "
            "[..., rows, columns]."
        )
    for axis, size in zip(("rows", "columns"), tensor.shape[-2:], strict=True):
        if size == 0:
            raise ValueError(
                f"{operation}: {name} has shape {list(tensor.shape)}; its axis {axis} must have at least 1."
            )
