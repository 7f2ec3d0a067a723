"""Affine scans and prefix attention: the references against the equations, the kernels against them."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from storyloom.kernels.affine_scan import aaren, affine_scan
from storyloom.kernels.backend import Backend
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import Precision

DOUBLE = torch.float64


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE).to(dtype)


def leaves(*tensors: Tensor, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    return [tensor.to(device, dtype, copy=True).requires_grad_() for tensor in tensors]


def naive_scan(a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
    """Token by token."""
    h, states = initial, []
    steps = range(a.shape[1])
    for step in reversed(steps) if reverse else steps:
        h = a[:, step] * h + b[:, step]
        states.append(h)
    return torch.stack(states[::-1] if reverse else states, 1)


def naive_aaren(scores: Tensor, values: Tensor) -> Tensor:
    """A softmax over each prefix."""
    outs = []
    for end in range(1, scores.shape[1] + 1):
        weight = torch.softmax(scores[:, :end], 1)
        outs.append((weight.unsqueeze(-1) * values[:, :end]).sum(1))
    return torch.stack(outs, 1)


# The references


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5, 64, 123])
def test_the_reference_scan_is_the_recurrence(length: int, reverse: bool) -> None:
    a, b, initial = draw(2, length, 3), draw(2, length, 3, seed=1), draw(2, 3, seed=2)
    got = affine_scan(a, b, initial=initial, reverse=reverse)
    torch.testing.assert_close(got, naive_scan(a, b, initial, reverse), rtol=1e-6, atol=1e-6)
    none = affine_scan(a, b, reverse=reverse)
    torch.testing.assert_close(none, naive_scan(a, b, 0 * initial, reverse), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("length", [1, 7, 64])
def test_the_reference_attention_is_a_softmax_over_each_prefix(length: int) -> None:
    scores, values = 10 * draw(2, length, 3), draw(2, length, 3, 4, seed=1)
    out, (m, u, w) = aaren(scores, values)
    torch.testing.assert_close(out, naive_aaren(scores, values), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(m + u.log(), scores.logsumexp(1))
    torch.testing.assert_close(w / u.unsqueeze(-1), out[:, -1])


@pytest.mark.parametrize("reverse", [False, True])
def test_the_reference_scan_has_its_gradients(reverse: bool) -> None:
    inputs = leaves(
        draw(2, 5, 2), draw(2, 5, 2, seed=1), draw(2, 2, seed=2), dtype=DOUBLE, device=torch.device("cpu")
    )
    assert torch.autograd.gradcheck(lambda a, b, i: affine_scan(a, b, initial=i, reverse=reverse), inputs)


def test_the_reference_attention_has_its_gradients() -> None:
    scores, values, u, w = leaves(
        draw(1, 4, 2), draw(1, 4, 2, 2, seed=1), draw(1, 2, seed=2).abs(), draw(1, 2, 2, seed=3),
        dtype=DOUBLE, device=torch.device("cpu"),
    )  # fmt: skip

    def attend(scores: Tensor, values: Tensor, u: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        out, (_, u, w) = aaren(scores, values, state=(torch.ones_like(u), u, w))
        # Of the state, what doesn't hang on its scale: m carries no gradient.
        return out, w / u.unsqueeze(-1)

    assert torch.autograd.gradcheck(attend, (scores, values, u, w))


def test_gradients_flow_through_the_state_as_through_one_pass() -> None:
    scores, values = 3 * draw(2, 9, 2), draw(2, 9, 2, 3, seed=1)
    whole = leaves(scores, values, dtype=DOUBLE, device=torch.device("cpu"))
    parts = leaves(scores, values, dtype=DOUBLE, device=torch.device("cpu"))
    _, state = aaren(parts[0][:, :6], parts[1][:, :6])
    late, _ = aaren(parts[0][:, 6:], parts[1][:, 6:], state=state)
    wanted = torch.autograd.grad(aaren(*whole)[0][:, 6:].square().sum(), whole)
    for got, want in zip(torch.autograd.grad(late.square().sum(), parts), wanted, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("cuts", [(0, 4, 5, 11), tuple(range(12))])
def test_segments_in_a_row_are_one_pass(cuts: tuple[int, ...]) -> None:
    a, b, initial = draw(2, 11, 3), draw(2, 11, 3, seed=1), draw(2, 3, seed=2)
    scores, values = draw(2, 11, 3), draw(2, 11, 3, 2, seed=1)
    h, state, hs, outs = initial, None, [], []
    for first, last in pairwise(cuts):
        hs.append(affine_scan(a[:, first:last], b[:, first:last], initial=h))
        h = hs[-1][:, -1]
        out, state = aaren(scores[:, first:last], values[:, first:last], state=state)
        outs.append(out)
    torch.testing.assert_close(torch.cat(hs, 1), affine_scan(a, b, initial=initial), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.cat(outs, 1), aaren(scores, values)[0], rtol=1e-6, atol=1e-6)


# The kernels


@pytest.mark.parametrize(
    ("batch", "length", "width", "reverse"),
    # The last ones are cut into chunks.
    [(2, 1, 3, False), (1, 5, 70, True), (2, 63, 5, False), (1, 123, 7, True),
     (1, 300, 3, False), (1, 521, 2, True)],
)  # fmt: skip
@pytest.mark.usefixtures("poison")
def test_the_scan_kernel_is_its_reference(
    batch: int, length: int, width: int, reverse: bool, device: torch.device, precision: Precision
) -> None:
    # Every other column of a tensor twice as wide, and an addend whose axes were swapped.
    a = draw(batch, length, 2 * width).clamp(-1, 1)
    # Decays that last from one chunk to the next.
    a = 1 - a.abs() / 100 if length > 256 else a
    a = a.to(device, precision.dtype)[:, :, ::2]
    b = draw(batch, width, length, seed=1).to(device, precision.dtype).transpose(1, 2)
    initial = draw(batch, width, seed=2).to(device, torch.float32)
    grad = draw(batch, length, width, seed=3).to(device, precision.dtype)
    kernel = [tensor.detach().requires_grad_() for tensor in (a, b, initial)]
    exact = leaves(a, b, initial, dtype=DOUBLE, device=device)
    h = affine_scan(kernel[0], kernel[1], initial=kernel[2], reverse=reverse, backend="triton")
    want = affine_scan(exact[0], exact[1], initial=exact[2], reverse=reverse, backend="reference")
    assert h.dtype == precision.dtype
    assert_near("h", h, want, precision.tolerance)
    got_grads = torch.autograd.grad(h, kernel, grad)
    for name, got, wanted in zip(
        ("a", "b", "initial"), got_grads, torch.autograd.grad(want, exact, grad.double()), strict=True
    ):
        assert_near(f"gradient of {name}", got, wanted, precision.tolerance)


@pytest.mark.parametrize(
    ("batch", "length", "heads", "width", "before"),
    # The last ones are cut into chunks: one whose maximum rises, one whose maximum was before them.
    [(2, 1, 2, 3, 0), (1, 5, 1, 33, 0), (2, 63, 2, 4, 0), (1, 300, 1, 3, 0), (1, 260, 1, 2, 20)],
)
@pytest.mark.usefixtures("poison")
def test_the_attention_kernel_is_its_reference(
    batch: int, length: int, heads: int, width: int, before: int, device: torch.device, precision: Precision
) -> None:
    rising = torch.linspace(0, 5, length)
    scores = (3 * draw(batch, heads, length) + rising).to(device, precision.dtype).transpose(1, 2)
    values = draw(batch, length, heads, 2 * width, seed=1).to(device, precision.dtype)[..., ::2]
    state = (
        (draw(batch, heads, seed=2) + before).to(device, torch.float32),
        draw(batch, heads, seed=3).abs().to(device, torch.float32),
        draw(batch, heads, width, seed=4).to(device, torch.float32),
    )
    grads = [
        draw(batch, length, heads, width, seed=5).to(device, precision.dtype),
        draw(batch, heads, seed=6).to(device, torch.float32),
        draw(batch, heads, width, seed=7).to(device, torch.float32),
    ]
    kernel = [tensor.detach().requires_grad_() for tensor in (scores, values, *state[1:])]
    exact = leaves(scores, values, *state[1:], dtype=DOUBLE, device=device)
    out, (m, u, w) = aaren(kernel[0], kernel[1], state=(state[0], kernel[2], kernel[3]), backend="triton")
    want, (want_m, want_u, want_w) = aaren(
        exact[0], exact[1], state=(state[0].double(), exact[2], exact[3]), backend="reference"
    )
    tolerance = precision.tolerance
    for name, got, wanted in (
        ("o", out, want), ("m", m, want_m), ("u", u, want_u), ("w", w, want_w)
    ):  # fmt: skip
        assert_near(name, got, wanted, tolerance)
    got_grads = torch.autograd.grad((out, u, w), kernel, grads)
    want_grads = torch.autograd.grad((want, want_u, want_w), exact, [grad.double() for grad in grads])
    for name, got, wanted in zip(("scores", "values", "u", "w"), got_grads, want_grads, strict=True):
        assert_near(f"gradient of {name}", got, wanted, tolerance)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_an_empty_batch_gives_empty_outputs(backend: Backend, device: torch.device) -> None:
    a = torch.zeros(0, 5, 3, device=device, requires_grad=True)
    h = affine_scan(a, a, backend=backend)
    assert h.shape == (0, 5, 3)
    h.sum().backward()  # type: ignore[no-untyped-call]
    values = torch.zeros(0, 5, 2, 3, device=device, requires_grad=True)
    out, state = aaren(torch.zeros(0, 5, 2, device=device), values, backend=backend)
    assert out.shape == (0, 5, 2, 3)
    assert [tuple(part.shape) for part in state] == [(0, 2), (0, 2), (0, 2, 3)]
    out.sum().backward()  # type: ignore[no-untyped-call]
    assert a.grad is not None
    assert values.grad is not None


# Where things break


def test_a_million_steps_keep_their_sum() -> None:
    steps = 1_000_000
    a, b = torch.full((1, steps, 1), 1 - 1e-4), torch.full((1, steps, 1), 1e-4)
    assert affine_scan(a, b)[0, -1, 0].item() == pytest.approx(1, rel=1e-3)
    out, (_, u, _) = aaren(torch.zeros(1, steps, 1), torch.ones(1, steps, 1, 1))
    assert u.item() == pytest.approx(steps, rel=1e-5)
    assert (out - 1).abs().max().item() < 1e-4


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_decays_near_0_and_1_stay_finite(backend: Backend, device: torch.device) -> None:
    length = 800
    a = torch.tensor([0.0, 1e-30, 1 - 1e-7, 1.0], device=device).expand(1, length, 4).clone().requires_grad_()
    b = (1e4 * draw(1, length, 4, dtype=torch.float32)).to(device).requires_grad_()
    h = affine_scan(a, b, backend=backend)
    want = affine_scan(a.double(), b.double(), backend="reference")
    assert_near("h", h, want, 2e-4)
    for got in torch.autograd.grad(h.square().mean(), (a, b)):
        assert torch.isfinite(got).all()
    # One of the addends alone where nothing decays, and where everything does.
    assert torch.equal(h[..., 0], b[..., 0])


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_scores_far_apart_and_left_out_stay_finite(backend: Backend, device: torch.device) -> None:
    scores = torch.tensor([-math.inf, -math.inf, -1e29, 3e4, -3e4, 1e29, -math.inf, 1e29], device=device)
    scores = scores.view(1, 8, 1).requires_grad_()
    values = (1e4 * draw(1, 8, 1, 3, dtype=torch.float32)).to(device)
    values[0, 0] = math.nan
    values.requires_grad_()
    out, state = aaren(scores, values, backend=backend)
    assert torch.equal(out[0, :2], torch.zeros_like(out[0, :2]))
    torch.testing.assert_close(out[0, 2:7, 0], values[0, [2, 3, 3, 5, 5], 0])
    torch.testing.assert_close(out[0, 7, 0], values[0, [5, 7], 0].mean(0))
    for got in torch.autograd.grad(out.sum() + state[2].sum(), (scores, values)):
        assert torch.isfinite(got).all()
    # Nothing but padding leaves the empty state, which zeros are too.
    nothing, padded = aaren(scores[:, :2], values[:, :2], backend=backend)
    assert torch.equal(nothing, torch.zeros_like(nothing))
    none = torch.zeros_like(padded[0])
    for empty in (padded, (none + 100, none, torch.zeros_like(padded[2]))):
        late, _ = aaren(scores[:, 2:], values[:, 2:], state=empty, backend=backend)
        torch.testing.assert_close(late, out[:, 2:])


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_nan_reaches_only_what_it_touches(backend: Backend, device: torch.device) -> None:
    b = draw(2, 40, 3, dtype=torch.float32).to(device)
    b[0, 20, 1] = math.nan
    h = affine_scan(torch.full_like(b, 0.5), b, backend=backend)
    touched = torch.zeros_like(h, dtype=torch.bool)
    touched[0, 20:, 1] = True
    assert torch.equal(h.isnan(), touched)
    back = affine_scan(torch.full_like(b, 0.5), b, reverse=True, backend=backend)
    touched = torch.zeros_like(h, dtype=torch.bool)
    touched[0, :21, 1] = True
    assert torch.equal(back.isnan(), touched)
    scores = draw(2, 40, 2, dtype=torch.float32).to(device)
    scores[1, 30, 1] = math.nan
    values = draw(2, 40, 2, 3, seed=1, dtype=torch.float32).to(device)
    values[0, 10, 0, 2] = math.nan
    out, _ = aaren(scores, values, backend=backend)
    touched = torch.zeros_like(out, dtype=torch.bool)
    touched[1, 30:, 1] = touched[0, 10:, 0, 2] = True
    assert torch.equal(out.isnan(), touched)


# As torch sees them


def test_the_operators_are_registered_as_torch_wants(device: torch.device) -> None:
    from storyloom.kernels import aaren_triton, affine_scan_triton

    a, initial = torch.rand(1, 4, 2, device=device), torch.rand(1, 2, device=device)
    inputs = (a.requires_grad_(), a.detach() + 1, initial.requires_grad_(), True)
    torch.library.opcheck(affine_scan_triton._forward, inputs)
    torch.library.opcheck(affine_scan_triton._backward, (*(t.detach() for t in (a, a, a, initial)), True))
    values = torch.rand(1, 4, 1, 2, device=device, requires_grad=True)
    one = torch.ones(1, 1, device=device)
    torch.library.opcheck(
        aaren_triton._forward,
        (values[..., 0].detach(), values, one, one, one.unsqueeze(-1) + initial.detach()),
    )


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_compiled_is_the_same(backend: Backend, device: torch.device) -> None:
    def both(a: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return affine_scan(a, a, backend=backend), aaren(a, values, backend=backend)[0]

    a = torch.rand(1, 6, 2, device=device, requires_grad=True)
    values = torch.rand(1, 6, 2, 3, device=device, requires_grad=True)
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    for got, want in zip(compiled(a, values), both(a, values), strict=True):
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(
            torch.autograd.grad(got.sum(), a, retain_graph=True),
            torch.autograd.grad(want.sum(), a, retain_graph=True),
        )


# Bad input


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("a has shape", {"a": torch.zeros(2, 3)}),
        ("length must have at least 1", {"a": torch.zeros(2, 0, 3), "b": torch.zeros(2, 0, 3)}),
        ("b has shape", {"b": torch.zeros(2, 3, 5)}),
        ("b has dtype", {"b": torch.zeros(2, 3, 4, dtype=torch.float16)}),
        ("a has dtype", {"a": torch.zeros(2, 3, 4, dtype=torch.int32)}),
        ("b is on meta", {"b": torch.zeros(2, 3, 4, device="meta")}),
        ("initial has shape", {"initial": torch.zeros(2, 5)}),
        ("initial has dtype", {"initial": torch.zeros(2, 4, dtype=torch.float16)}),
        ("backend is", {"backend": "cuda"}),
    ],
)
def test_a_scan_refuses_what_it_cannot_take(
    message: str, change: dict[str, object], backend: Backend
) -> None:
    call: dict[str, object] = {"a": torch.zeros(2, 3, 4), "b": torch.zeros(2, 3, 4), "backend": backend}
    with pytest.raises(ValueError, match=message):
        affine_scan(**(call | change))  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("values has shape", {"values": torch.zeros(2, 3, 4)}),
        ("width must be at most 256", {"values": torch.zeros(2, 3, 4, 257)}),
        ("scores has shape", {"scores": torch.zeros(2, 3, 5)}),
        ("scores has dtype", {"scores": torch.zeros(2, 3, 4, dtype=torch.float16)}),
        ("state has 2", {"state": (torch.zeros(2, 4), torch.zeros(2, 4))}),
        ("state w has shape", {"state": (torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(2, 4))}),
        ("state m has dtype", {"state": (torch.zeros(2, 4).half(), torch.zeros(2, 4), torch.zeros(2, 4, 5))}),
    ],
)
def test_attention_refuses_what_it_cannot_take(
    message: str, change: dict[str, object], backend: Backend
) -> None:
    call: dict[str, object] = {
        "scores": torch.zeros(2, 3, 4), "values": torch.zeros(2, 3, 4, 5), "backend": backend
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        aaren(**(call | change))  # type: ignore[arg-type]


def test_triton_that_cannot_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    a = torch.zeros(1, 2, 3)
    with pytest.raises(RuntimeError, match="affine_scan"):
        affine_scan(a, a, backend="triton")
    with pytest.raises(RuntimeError, match="aaren"):
        aaren(a, a.unsqueeze(-1), backend="triton")
