"""A million steps of decay, where rounding has had time to add up: the kernels against their references."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from storyloom.kernels.affine_scan import aaren, affine_scan
from storyloom.kernels.backend import Backend
from storyloom.kernels.ssd import ssd
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import HAS_GPU, TOLERANCE

MILLION = 1_000_000
on_a_gpu = pytest.mark.skipif(
    not HAS_GPU, reason="a million steps take Triton's interpreter minutes; make test-gpu runs them"
)
Draw = Callable[[int], list[Tensor]]
Run = Callable[..., tuple[Tensor, ...]]


def decays(length: int, *shape: int) -> Tensor:
    """Logarithms of decays that leave about a third of the first step to the last."""
    return -2 * torch.rand(1, length, *shape) / length


def run_ssd(x: Tensor, a: Tensor, b: Tensor, c: Tensor, *, backend: Backend) -> tuple[Tensor, ...]:
    # The reference's memory grows with its chunk.
    return ssd(x, a, b, c, chunk=128 if backend == "triton" else 32, backend=backend)


def draw_ssd(length: int) -> list[Tensor]:
    x, b, c = (torch.randn(1, length, 1, 16) for _ in range(3))
    return [x, decays(length, 1), b / 4, c / 4]


def run_affine_scan(a: Tensor, b: Tensor, *, backend: Backend) -> tuple[Tensor, ...]:
    return (affine_scan(a, b, backend=backend),)


def draw_affine_scan(length: int) -> list[Tensor]:
    return [decays(length, 4).exp(), torch.randn(1, length, 4)]


def run_aaren(scores: Tensor, values: Tensor, *, backend: Backend) -> tuple[Tensor, ...]:
    out, (_, u, w) = aaren(scores, values, backend=backend)
    return out, u, w


def draw_aaren(length: int) -> list[Tensor]:
    """Scores that rise: the past fades as their maximum does."""
    rising = torch.linspace(0, 2, length)[None, :, None]
    return [rising + torch.randn(1, length, 1), torch.randn(1, length, 1, 4)]


@pytest.mark.parametrize(
    ("run", "draw", "length"),
    [
        # The longest that the interpreter does in a few seconds.
        pytest.param(run_ssd, draw_ssd, 2560, id="ssd"),
        pytest.param(run_affine_scan, draw_affine_scan, 1024, id="affine_scan"),
        pytest.param(run_ssd, draw_ssd, MILLION, id="ssd-million", marks=on_a_gpu),
        pytest.param(run_affine_scan, draw_affine_scan, MILLION, id="affine_scan-million", marks=on_a_gpu),
        pytest.param(run_aaren, draw_aaren, MILLION, id="aaren-million", marks=on_a_gpu),
    ],
)
def test_kernel_and_reference_agree_at_the_end(
    run: Run, draw: Draw, length: int, device: torch.device
) -> None:
    torch.manual_seed(0)
    inputs = [tensor.to(device).requires_grad_() for tensor in draw(length)]
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    outputs, wanted = run(*inputs, backend="triton"), run(*exact, backend="reference")
    for number, (got, want) in enumerate(zip(outputs, wanted, strict=True)):
        assert_near(f"output {number}", got, want, TOLERANCE[torch.float32])
    slopes = [torch.randn_like(want) for want in wanted]
    gradients = torch.autograd.grad(outputs, inputs, [slope.float() for slope in slopes])
    for number, (got, want) in enumerate(
        zip(gradients, torch.autograd.grad(wanted, exact, slopes), strict=True)
    ):
        assert_near(f"gradient {number}", got, want, TOLERANCE[torch.float32])
