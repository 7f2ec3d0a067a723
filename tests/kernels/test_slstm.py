"""sLSTM and GRU: the references against the equations and torch's own, the kernels against the references."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from storyloom.kernels.backend import Backend
from storyloom.kernels.slstm import SlstmState, gru, slstm
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import Precision

DOUBLE = torch.float64


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE).to(dtype)


def draw_state(batch: int, heads: int, width: int, dtype: torch.dtype = DOUBLE) -> SlstmState:
    h, c, n, m = (draw(batch, heads, width, seed=seed, dtype=dtype) for seed in range(10, 14))
    return h.tanh(), c, n.abs() + 0.5, m


def leaves(*tensors: Tensor, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    return [tensor.to(device, dtype, copy=True).requires_grad_() for tensor in tensors]


def naive_slstm(gates: Tensor, recurrent: Tensor) -> Tensor:
    """By the equations without a stabiliser, number by number."""
    batch, length, heads, _, width = gates.shape
    out = torch.zeros(batch, length, heads, width, dtype=DOUBLE)
    for one in range(batch):
        for head in range(heads):
            h, c, n = [0.0] * width, [0.0] * width, [0.0] * width
            for step in range(length):
                pre = [
                    [
                        gates[one, step, head, gate, at].item()
                        + sum(recurrent[head, gate, at, j].item() * h[j] for j in range(width))
                        for at in range(width)
                    ]
                    for gate in range(4)
                ]
                for at in range(width):
                    enter, keep = math.exp(pre[0][at]), 1 / (1 + math.exp(-pre[1][at]))
                    c[at] = keep * c[at] + enter * math.tanh(pre[2][at])
                    n[at] = keep * n[at] + enter
                    h[at] = c[at] / n[at] / (1 + math.exp(-pre[3][at]))
                out[one, step, head] = torch.tensor(h, dtype=DOUBLE)
    return out


# The references


def test_the_reference_slstm_is_the_equations() -> None:
    gates, recurrent = 2 * draw(2, 9, 2, 4, 3), draw(2, 4, 3, 3, seed=1)
    out, (h, _, _, _) = slstm(gates, recurrent)
    torch.testing.assert_close(out, naive_slstm(gates, recurrent), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(h, out[:, -1])


def test_the_reference_gru_is_torchs() -> None:
    batch, length, heads, width = 2, 9, 2, 3
    gates, recurrent, start = (
        draw(batch, length, heads, 3, width), draw(heads, 3, width, width, seed=1),
        draw(batch, heads, width, seed=2),
    )  # fmt: skip
    out, end = gru(gates, recurrent, state=start)
    for head in range(heads):
        torchs = torch.nn.GRU(3 * width, width, batch_first=True, dtype=DOUBLE)
        with torch.no_grad():
            own = {"weight_ih_l0": torch.eye(3 * width), "weight_hh_l0": recurrent[head].flatten(0, 1)}
            for name, weight in torchs.named_parameters():
                weight.copy_(own.get(name, torch.zeros_like(weight)))
        want, last = torchs(gates[:, :, head].flatten(2), start[None, :, head].contiguous())
        torch.testing.assert_close(out[:, :, head], want, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(end[:, head], last[0], rtol=1e-6, atol=1e-6)


def test_the_references_have_their_gradients() -> None:
    cpu = torch.device("cpu")
    gates, recurrent, h, c, n = leaves(
        draw(1, 3, 2, 4, 2), draw(2, 4, 2, 2, seed=1), *draw_state(1, 2, 2)[:3], dtype=DOUBLE, device=cpu
    )

    def run(gates: Tensor, recurrent: Tensor, h: Tensor, c: Tensor, n: Tensor) -> tuple[Tensor, ...]:
        out, (last, c, n, _) = slstm(gates, recurrent, state=(h, c, n, torch.ones_like(n)))
        # Of c and n, what doesn't hang on their scale: m carries no gradient.
        return out, last, c / n

    assert torch.autograd.gradcheck(run, (gates, recurrent, h, c, n))
    short = [gates[:, :, :, :3].detach().requires_grad_(), recurrent[:, :3].detach().requires_grad_(), h]
    assert torch.autograd.gradcheck(lambda gates, recurrent, h: gru(gates, recurrent, state=h), short)


@pytest.mark.parametrize("cuts", [(0, 4, 5, 11), tuple(range(12))])
def test_segments_in_a_row_are_one_pass(cuts: tuple[int, ...]) -> None:
    gates, recurrent = draw(2, 11, 2, 4, 3), draw(2, 4, 3, 3, seed=1)
    state, h, outs, others = None, None, [], []
    for first, last in pairwise(cuts):
        out, state = slstm(gates[:, first:last], recurrent, state=state)
        other, h = gru(gates[:, first:last, :, :3], recurrent[:, :3], state=h)
        outs.append(out)
        others.append(other)
    torch.testing.assert_close(torch.cat(outs, 1), slstm(gates, recurrent)[0], rtol=1e-6, atol=1e-6)
    want, _ = gru(gates[:, :, :, :3], recurrent[:, :3])
    torch.testing.assert_close(torch.cat(others, 1), want, rtol=1e-6, atol=1e-6)


def test_gradients_flow_through_the_state_as_through_one_pass() -> None:
    cpu = torch.device("cpu")
    inputs = draw(2, 9, 2, 4, 3), draw(2, 4, 3, 3, seed=1)
    whole, parts = leaves(*inputs, dtype=DOUBLE, device=cpu), leaves(*inputs, dtype=DOUBLE, device=cpu)
    _, state = slstm(parts[0][:, :6], parts[1])
    late, _ = slstm(parts[0][:, 6:], parts[1], state=state)
    wanted = torch.autograd.grad(slstm(*whole)[0][:, 6:].square().sum(), whole)
    for got, want in zip(torch.autograd.grad(late.square().sum(), parts), wanted, strict=True):
        torch.testing.assert_close(got, want)


# The kernels


@pytest.mark.parametrize(
    ("batch", "length", "heads", "width"), [(2, 1, 2, 3), (17, 5, 1, 16), (1, 63, 1, 33), (2, 123, 1, 5)]
)
@pytest.mark.usefixtures("poison")
def test_the_slstm_kernel_is_its_reference(
    batch: int, length: int, heads: int, width: int, device: torch.device, precision: Precision
) -> None:
    # Gates whose axes were swapped, and every other column of matrices twice as wide.
    gates = (1.5 * draw(batch, 4, heads, length, width)).to(device, precision.dtype).permute(0, 3, 2, 1, 4)
    wide = draw(heads, 4, width, 2 * width, seed=1) / math.sqrt(width)
    recurrent = wide.to(device, precision.dtype)[..., ::2]
    state = [part.to(device) for part in draw_state(batch, heads, width, torch.float32)]
    grad = draw(batch, length, heads, width, seed=2).to(device, precision.dtype)
    grads = [grad, *(draw(batch, heads, width, seed=seed).to(device, torch.float32) for seed in (3, 4, 5))]
    kernel = [tensor.detach().requires_grad_() for tensor in (gates, recurrent, *state[:3])]
    exact = leaves(gates, recurrent, *state[:3], dtype=DOUBLE, device=device)
    got = run_slstm(kernel, state[3], "triton")
    want = run_slstm(exact, state[3].double(), "reference")
    assert got[0].dtype == precision.dtype
    for name, one, other in zip(("out", "h", "c", "n", "m"), got, want, strict=True):
        assert_near(name, one, other, precision.tolerance)
    got_grads = torch.autograd.grad(got[:4], kernel, grads)
    want_grads = torch.autograd.grad(want[:4], exact, [one.double() for one in grads])
    for name, one, other in zip(("gates", "recurrent", "h", "c", "n"), got_grads, want_grads, strict=True):
        assert_near(f"gradient of {name}", one, other, precision.tolerance)


def run_slstm(inputs: list[Tensor], m: Tensor, backend: Backend) -> tuple[Tensor, ...]:
    gates, recurrent, h, c, n = inputs
    out, state = slstm(gates, recurrent, state=(h, c, n, m), backend=backend)
    return out, *state


@pytest.mark.parametrize(
    ("batch", "length", "heads", "width"), [(2, 1, 2, 3), (17, 5, 1, 16), (1, 63, 1, 33), (2, 123, 1, 5)]
)
@pytest.mark.usefixtures("poison")
def test_the_gru_kernel_is_its_reference(
    batch: int, length: int, heads: int, width: int, device: torch.device, precision: Precision
) -> None:
    gates = draw(batch, 3, heads, length, width).to(device, precision.dtype).permute(0, 3, 2, 1, 4)
    wide = draw(heads, 3, width, 2 * width, seed=1) / math.sqrt(width)
    recurrent = wide.to(device, precision.dtype)[..., ::2]
    start = draw(batch, heads, width, seed=4, dtype=torch.float32).to(device)
    grads = [
        draw(batch, length, heads, width, seed=2).to(device, precision.dtype),
        draw(batch, heads, width, seed=3, dtype=torch.float32).to(device),
    ]
    kernel = [tensor.detach().requires_grad_() for tensor in (gates, recurrent, start)]
    exact = leaves(gates, recurrent, start, dtype=DOUBLE, device=device)
    got = gru(kernel[0], kernel[1], state=kernel[2], backend="triton")
    want = gru(exact[0], exact[1], state=exact[2], backend="reference")
    for name, one, other in zip(("out", "h"), got, want, strict=True):
        assert_near(name, one, other, precision.tolerance)
    got_grads = torch.autograd.grad(got, kernel, grads)
    want_grads = torch.autograd.grad(want, exact, [one.double() for one in grads])
    for name, one, other in zip(("gates", "recurrent", "state"), got_grads, want_grads, strict=True):
        assert_near(f"gradient of {name}", one, other, precision.tolerance)


@pytest.mark.usefixtures("poison")
def test_a_matrixs_gradient_is_summed_over_every_token(device: torch.device) -> None:
    from storyloom.kernels.cells_triton import matrix_gradient

    # Enough tokens that several programs share them.
    dgates = draw(2, 603, 1, 4, 5, dtype=torch.float32).to(device)
    out = draw(2, 603, 1, 5, seed=1, dtype=torch.float32).to(device)
    start = draw(2, 1, 5, seed=2, dtype=torch.float32).to(device)
    before = torch.cat((start.unsqueeze(1), out[:, :-1]), 1).double()
    want = torch.einsum("bthgo,bthi->hgoi", dgates.double(), before)
    assert_near("gradient", matrix_gradient(dgates, out, start), want, 2e-4)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_an_empty_batch_gives_empty_outputs(backend: Backend, device: torch.device) -> None:
    gates = torch.zeros(0, 5, 2, 4, 3, device=device, requires_grad=True)
    recurrent = torch.zeros(2, 4, 3, 3, device=device, requires_grad=True)
    out, state = slstm(gates, recurrent, backend=backend)
    other, h = gru(gates[:, :, :, :3], recurrent[:, :3], backend=backend)
    assert out.shape == other.shape == (0, 5, 2, 3)
    assert {tuple(part.shape) for part in (*state, h)} == {(0, 2, 3)}
    (out.sum() + other.sum()).backward()  # type: ignore[no-untyped-call]
    assert recurrent.grad is not None
    assert not recurrent.grad.any()


# Where things break


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_gates_far_out_stay_finite(backend: Backend, device: torch.device) -> None:
    length = 64
    size = torch.tensor([1e29, 1e4, 30.0], device=device)
    signs = torch.randint(-1, 2, (1, length, 1, 4, 3), generator=torch.Generator().manual_seed(1)).to(device)
    gates = (signs * size).requires_grad_()
    recurrent = torch.full((1, 4, 3, 3), 1.0, device=device).requires_grad_()
    out, (h, _, n, _) = slstm(gates, recurrent, backend=backend)
    assert out.abs().max() <= 1
    assert n.min() >= 1
    for grad in torch.autograd.grad(out.sum() + h.sum(), (gates, recurrent)):
        assert torch.isfinite(grad).all()
    out, h = gru(gates[:, :, :, :3], recurrent[:, :3], backend=backend)
    assert out.abs().max() <= 1
    for grad in torch.autograd.grad(out.sum() + h.sum(), (gates, recurrent)):
        assert torch.isfinite(grad).all()


def test_a_long_sequence_forgets_its_start_or_keeps_it() -> None:
    gates = torch.zeros(1, 20_000, 1, 4, 2)
    gates[..., 1, 0], gates[..., 1, 1] = -8, 20
    gates[:, 1:, :, 0] = -30
    gates[:, 0, :, 2] = 5
    out, _ = slstm(gates, torch.zeros(1, 4, 2, 2))
    # An input gate this small counts only where the rest was forgotten.
    assert out[0, -1, 0, 0].item() == pytest.approx(0, abs=1e-3)
    assert out[0, -1, 0, 1].item() == pytest.approx(0.5 * math.tanh(5), rel=1e-3)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_state_of_zeros_is_the_empty_one(backend: Backend, device: torch.device) -> None:
    gates = draw(2, 3, 1, 4, 3, dtype=torch.float32).to(device)
    # Beside any other maximum than none, the first tokens would weigh nothing.
    gates[:, :, :, 0] -= 200
    recurrent = draw(1, 4, 3, 3, seed=1, dtype=torch.float32).to(device)
    zeros = torch.zeros(2, 1, 3, device=device)
    out, _ = slstm(gates, recurrent, backend=backend)
    again, _ = slstm(gates, recurrent, state=(zeros, zeros, zeros, zeros + 7), backend=backend)
    assert torch.isfinite(out).all()
    assert torch.equal(out, again)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_nan_reaches_only_what_it_touches(backend: Backend, device: torch.device) -> None:
    gates = draw(3, 6, 2, 4, 3, dtype=torch.float32).to(device)
    recurrent = draw(2, 4, 3, 3, seed=1, dtype=torch.float32).to(device)
    gates[1, 3, 0, 2, 1] = math.nan
    out, _ = slstm(gates, recurrent, backend=backend)
    other, _ = gru(gates[:, :, :, :3], recurrent[:, :3], backend=backend)
    for got in (out, other):
        spoilt = got.isnan()
        assert spoilt[1, 3, 0].tolist() == [False, True, False]
        assert spoilt[1, 4:, 0].all()
        spoilt[1, 3:, 0] = False
        assert not spoilt.any()


# As torch sees them


def test_the_operators_are_registered_as_torch_wants(device: torch.device) -> None:
    from storyloom.kernels import gru_triton, slstm_triton

    gates = torch.rand(1, 2, 1, 4, 2, device=device, requires_grad=True)
    recurrent = torch.rand(1, 4, 2, 2, device=device, requires_grad=True)
    state = [torch.rand(1, 1, 2, device=device) + 0.5 for _ in range(4)]
    tests = ("test_schema", "test_faketensor", "test_autograd_registration", "test_aot_dispatch_static")
    torch.library.opcheck(slstm_triton._forward, (gates, recurrent, *state, True), test_utils=tests)
    short = (
        gates.detach()[:, :, :, :3].clone().requires_grad_(),
        recurrent.detach()[:, :3].clone().requires_grad_(),
    )
    torch.library.opcheck(gru_triton._forward, (*short, state[0]), test_utils=tests)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_compiled_is_the_same(backend: Backend, device: torch.device) -> None:
    def both(gates: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor]:
        out = slstm(gates, recurrent, backend=backend)[0]
        return out, gru(gates[:, :, :, :3], recurrent[:, :3], backend=backend)[0]

    gates = torch.rand(1, 2, 1, 4, 3, device=device, requires_grad=True)
    recurrent = torch.rand(1, 4, 3, 3, device=device, requires_grad=True)
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    got, want = compiled(gates, recurrent), both(gates, recurrent)
    torch.testing.assert_close(got, want)
    inputs = (gates, recurrent)
    torch.testing.assert_close(
        torch.autograd.grad(got[0].sum() + got[1].sum(), inputs),
        torch.autograd.grad(want[0].sum() + want[1].sum(), inputs),
    )


# Bad input


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("gates has shape", {"gates": torch.zeros(2, 3, 1, 12)}),
        ("gates has shape .* must be .*, 4, ", {"gates": torch.zeros(2, 3, 1, 3, 5)}),
        ("length must have at least 1", {"gates": torch.zeros(2, 0, 1, 4, 5)}),
        ("width must be at most 64", {"gates": torch.zeros(2, 3, 1, 4, 65)}),
        ("recurrent has shape", {"recurrent": torch.zeros(1, 4, 5, 6)}),
        ("recurrent has dtype", {"recurrent": torch.zeros(1, 4, 5, 5, dtype=torch.float16)}),
        ("gates has dtype", {"gates": torch.zeros(2, 3, 1, 4, 5, dtype=torch.int64)}),
        ("state has 1", {"state": (torch.zeros(2, 1, 5),)}),
        ("state n has shape", {"state": (*[torch.zeros(2, 1, 5)] * 2, *[torch.zeros(2, 1, 4)] * 2)}),
        ("state h has dtype", {"state": (*[torch.zeros(2, 1, 5).half()] * 4,)}),
        ("recurrent is on meta", {"recurrent": torch.zeros(1, 4, 5, 5, device="meta")}),
    ],
)
def test_slstm_refuses_what_it_cannot_take(message: str, change: dict[str, object], backend: Backend) -> None:
    call: dict[str, object] = {"gates": torch.zeros(2, 3, 1, 4, 5), "recurrent": torch.zeros(1, 4, 5, 5)}
    with pytest.raises(ValueError, match=message):
        slstm(**(call | {"backend": backend} | change))  # type: ignore[arg-type]


def test_gru_refuses_four_gates_and_a_short_state() -> None:
    with pytest.raises(ValueError, match="gates has shape"):
        gru(torch.zeros(2, 3, 1, 4, 5), torch.zeros(1, 4, 5, 5))
    with pytest.raises(ValueError, match="state has shape"):
        gru(torch.zeros(2, 3, 1, 3, 5), torch.zeros(1, 3, 5, 5), state=torch.zeros(2, 1, 4))


def test_triton_that_cannot_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    gates, recurrent = torch.zeros(1, 2, 1, 4, 3), torch.zeros(1, 4, 3, 3)
    with pytest.raises(RuntimeError, match="float64"):
        slstm(gates.double(), recurrent.double(), backend="triton")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(RuntimeError, match="slstm"):
        slstm(gates, recurrent, backend="triton")
    with pytest.raises(RuntimeError, match="gru"):
        gru(gates[:, :, :, :3], recurrent[:, :3], backend="triton")
