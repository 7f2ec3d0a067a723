"""Kernels are held to their references on the GPU where there is one, else in Triton's interpreter."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

HAS_GPU = torch.cuda.is_available()
if not HAS_GPU:
    # Read when a kernel is decorated, Triton's own functions too: before anything imports them.
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        raise RuntimeError(
            "A test module that is collected before the kernels' imports Triton at its top, as transformers "
            "does. Import that in its tests and fixtures instead."
        )
    os.environ["TRITON_INTERPRET"] = "1"

# Root mean square of the error over that of the reference, which runs in float64. One tolerance a dtype,
# for outputs and gradients alike.
TOLERANCE = {torch.float32: 2e-4, torch.float16: 5e-3, torch.bfloat16: 2e-2}


@dataclass(frozen=True)
class Precision:
    """The dtype of a test, and how near to the float64 reference it must come."""

    dtype: torch.dtype
    tolerance: float


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if HAS_GPU else "cpu")


@pytest.fixture(params=list(TOLERANCE), ids=lambda dtype: str(dtype).removeprefix("torch."))
def precision(request: pytest.FixtureRequest) -> Precision:
    if request.param is torch.bfloat16 and not HAS_GPU:
        pytest.skip("bfloat16 arithmetic is wrong in Triton's interpreter; make test-gpu runs it")
    return Precision(request.param, TOLERANCE[request.param])


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every buffer that is allocated without a value holds NaN: what a kernel doesn't write shows."""

    def poisoned(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def made(*args: object, **options: object) -> Tensor:
            tensor = make(*args, **options)
            return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

        return made

    for name in ("empty", "empty_like", "empty_strided"):
        monkeypatch.setattr(torch, name, poisoned(getattr(torch, name)))
    for name in ("new_empty", "new_empty_strided"):
        monkeypatch.setattr(Tensor, name, poisoned(getattr(Tensor, name)))
