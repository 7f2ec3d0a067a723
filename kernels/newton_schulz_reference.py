"""Newton–Schulz orthogonalisation in plain torch: the form that the Triton kernels are held to."""

import torch
from torch import Tensor

# X ← aX + bAX + cA²X with A = XXᵀ, a step a triple. They differ by step: the first ones lift small singular
# values fast, the last ones draw all of them close to 1 (LaCT, arXiv 2505.23884).
COEFFICIENTS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def newton_schulz_reference(g: Tensor, steps: int = len(COEFFICIENTS)) -> Tensor:
    """Each matrix with its singular values drawn towards 1; see :func:`newton_schulz.newton_schulz`."""
    return _orthogonalised(widened(g), steps).to(g.dtype)


def newton_schulz_add_reference(w: Tensor, g: Tensor, row_norms: Tensor) -> Tensor:
    """The weights after a step; see :func:`newton_schulz.newton_schulz_add`."""
    step = _orthogonalised(widened(g), len(COEFFICIENTS))
    moved = widened(w) + step.to(widened(w).dtype)
    return (unit_rows(moved) * widened(row_norms).unsqueeze(-1)).to(w.dtype)


def unit_rows(matrix: Tensor) -> Tensor:
    """Each row divided by its Euclidean norm; a row of zeros stays one, and passes no gradient."""
    return _unit(matrix, (-1,))


def widened(tensor: Tensor) -> Tensor:
    """The tensor in the dtype that the reference computes in: double keeps double, all else is float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _orthogonalised(g: Tensor, steps: int) -> Tensor:
    tall = g.shape[-2] > g.shape[-1]
    x = _unit(g.mT if tall else g, (-2, -1))
    for a, b, c in COEFFICIENTS[:steps]:
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def _unit(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Divided by the norm over some axes; zeros stay zeros.

    The largest magnitude is divided out first: the squares of a norm of 1e20 or 1e-20 leave float32. It
    cancels in the quotient, so its own gradient is left out.
    """
    largest = values.detach().abs().amax(axes, keepdim=True)
    scaled = values / torch.where(largest == 0, 1.0, largest)
    square = scaled.square().sum(axes, keepdim=True)
    zero = square == 0
    return scaled * torch.where(zero, 0.0, torch.where(zero, 1.0, square).rsqrt())
