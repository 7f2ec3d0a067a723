"""How near a kernel comes to its reference."""

import torch
from torch import Tensor


def error_ratio(got: Tensor, want: Tensor) -> float:
    """Root mean square of the difference over that of what is wanted; both are read in float64."""
    difference = (got.detach().double() - want.detach().double()).square().mean().sqrt()
    scale = want.detach().double().square().mean().sqrt()
    return float(difference / scale.clamp_min(1e-12))


def assert_near(name: str, got: Tensor, want: Tensor, tolerance: float) -> None:
    """Hold a tensor to another's shape and values; NaN or infinity anywhere fails."""
    assert got.shape == want.shape, f"{name}: shape {list(got.shape)}, wanted {list(want.shape)}"
    if want.numel() == 0:
        return
    assert torch.isfinite(got).all(), f"{name} holds values that aren't finite"
    ratio = error_ratio(got, want)
    assert ratio <= tolerance, f"{name}: error ratio {ratio:.2e}, at most {tolerance:.0e} is allowed"
