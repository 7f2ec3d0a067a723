"""The reference against the equation, the kernels against the reference, and where both end."""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from storyloom.kernels import ssd_reference
from storyloom.kernels.backend import Backend
from storyloom.kernels.ssd import ssd, ssd_step
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import Precision

BACKENDS: tuple[Backend, ...] = ("reference", "triton")
NAMES = ("x", "a", "b", "c", "initial_state")
CPU = torch.device("cpu")


def draw(
    batch: int,
    length: int,
    *,
    heads: int = 4,
    groups: int = 2,
    state: int = 24,
    width: int = 40,
    sequences: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device = CPU,
) -> list[Tensor]:
    """x, a, b, c and an initial state; leaves that want gradients."""
    generator = torch.Generator().manual_seed(length)
    wide = torch.float64 if dtype is torch.float64 else torch.float32

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    tensors = [
        normal(batch, length, heads, width).to(dtype),
        -normal(batch, length, heads).exp().mul(0.2).to(wide),
        normal(batch, length, groups, state).div(state**0.5).to(dtype),
        normal(batch, length, groups, state).div(state**0.5).to(dtype),
        normal(sequences or batch, heads, state, width).to(wide),
    ]
    return [tensor.to(device).requires_grad_() for tensor in tensors]


def doubled(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach().double().requires_grad_() for tensor in tensors]


def run(tensors: Sequence[Tensor], backend: Backend = "reference", **options: Any) -> tuple[Tensor, Tensor]:
    x, a, b, c, initial = tensors
    return ssd(x, a, b, c, initial_state=initial, backend=backend, **options)


def token_by_token(tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The equation as it is written, for one batch entry after another."""
    x, a, b, c, initial = tensors
    repeats = x.shape[2] // b.shape[2]
    rows, finals = [], []
    for entry in range(x.shape[0]):
        heads, states = [], []
        for head in range(x.shape[2]):
            h, ys = initial[entry, head], []
            for t in range(x.shape[1]):
                h = a[entry, t, head].exp() * h + torch.outer(b[entry, t, head // repeats], x[entry, t, head])
                ys.append(c[entry, t, head // repeats] @ h)
            heads.append(torch.stack(ys) if ys else x[entry, :, head])
            states.append(h)
        rows.append(torch.stack(heads, 1))
        finals.append(torch.stack(states))
    return torch.stack(rows), torch.stack(finals)


def sequence_by_sequence(tensors: Sequence[Tensor], bounds: Sequence[int]) -> tuple[Tensor, Tensor]:
    *tokens, initial = tensors
    y, finals = torch.zeros_like(tokens[0]), []
    for number, (start, end) in enumerate(pairwise(bounds)):
        part = [tensor[:, start:end] for tensor in tokens]
        y[:, start:end], final = token_by_token([*part, initial[number : number + 1]])
        finals.append(final)
    return y, torch.cat(finals)


def assert_same(got: Tensor, want: Tensor, tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


def compare(
    tensors: Sequence[Tensor],
    tolerance: float,
    *,
    of: Callable[[Tensor, Tensor], Tensor] | None = None,
    as_given: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    **options: Any,
) -> None:
    """Hold the kernel's outputs and gradients to those of the reference in float64."""
    twins = doubled(tensors)
    y, final = run([as_given(tensor) for tensor in tensors], "triton", **options)
    y_twin, final_twin = run(twins, **options)
    assert_near("y", y, y_twin, tolerance)
    assert_near("final_state", final, final_twin, tolerance)
    assert y.dtype is tensors[0].dtype
    assert final.dtype is torch.float32

    def loss(y: Tensor, final: Tensor) -> Tensor:
        y, final = y.double(), final.double()
        # Weights that differ everywhere: a sum alone would miss a gradient in the wrong place.
        y = y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype, device=y.device).cos().view_as(y)
        return of(y, final) if of else y.sum() + final.square().sum()

    gradients = torch.autograd.grad(loss(y, final), tensors, allow_unused=True)
    wanted = torch.autograd.grad(loss(y_twin, final_twin), twins, allow_unused=True)
    for name, tensor, gradient, want in zip(NAMES, tensors, gradients, wanted, strict=True):
        want = torch.zeros_like(tensor) if want is None else want
        gradient = torch.zeros_like(tensor) if gradient is None else gradient
        assert_near(f"gradient of {name}", gradient, want, tolerance)


class TestReference:
    @pytest.mark.parametrize("length", [1, 16, 37])
    def test_is_the_equation(self, length: int) -> None:
        tensors = draw(2, length, state=3, width=5)
        for got, want in zip(run(tensors, chunk=16), token_by_token(tensors), strict=True):
            assert_same(got, want)

    def test_packed_is_the_equation_for_each_sequence(self) -> None:
        bounds = [0, 5, 5, 38, 54]
        tensors = draw(1, 57, state=3, width=5, sequences=4)
        got = run(tensors, chunk=16, cu_seqlens=torch.tensor(bounds))
        for mine, want in zip(got, sequence_by_sequence(tensors, bounds), strict=True):
            assert_same(mine, want)
        assert not got[0][:, 54:].any()

    @pytest.mark.parametrize("bounds", [None, [0, 2, 2, 20]])
    def test_gradients(self, bounds: list[int] | None) -> None:
        packed = None if bounds is None else torch.tensor(bounds)
        tensors = draw(1, 21, heads=2, groups=1, state=2, width=2, sequences=None if bounds is None else 3)
        assert torch.autograd.gradcheck(lambda *inputs: run(inputs, chunk=16, cu_seqlens=packed), tensors)

    def test_chained_segments_are_one_pass(self) -> None:
        *tokens, state = draw(2, 70, state=3, width=5)
        whole, final = run([*tokens, state], chunk=32)
        parts = []
        for start, end in ((0, 1), (1, 40), (40, 70)):
            y, state = run([*(tensor[:, start:end] for tensor in tokens), state], chunk=32)
            parts.append(y)
        assert_same(torch.cat(parts, 1), whole)
        assert_same(state, final)

    def test_step_by_step_is_parallel(self) -> None:
        x, a, b, c, state = draw(2, 40, state=3, width=5)
        whole, final = run([x, a, b, c, state], chunk=16)
        for t in range(40):
            y, state = ssd_step(x[:, t], a[:, t], b[:, t], c[:, t], state)
            assert_same(y, whole[:, t])
        assert_same(state, final)

    def test_half_computes_in_float32(self) -> None:
        tensors = [tensor.detach() for tensor in draw(1, 50, dtype=torch.float16)]
        y, final = run(tensors)
        wanted, final_wanted = run([tensor.float() for tensor in tensors])
        assert y.dtype is torch.float16
        assert torch.equal(y, wanted.half())
        assert torch.equal(final, final_wanted)

    def test_prefix_linear_attention_as_documented(self) -> None:
        """JRT: a prefix that every token sees, causal sums after it, normalised by the keys' sums."""
        v_prefix, _, k_prefix, _, _ = (tensor.detach() for tensor in draw(1, 9, heads=2, state=3, width=4))
        v, a, k, q, _ = (tensor.detach() for tensor in draw(1, 20, heads=2, state=3, width=4))
        k_prefix, k, q = k_prefix.exp(), k.exp(), q.exp()
        causal = torch.einsum("bihn,bjhn->bhij", q, k).tril()
        weights = torch.cat((torch.einsum("bihn,bjhn->bhij", q, k_prefix), causal), -1)
        want = torch.einsum(
            "bhij,bjhw->bihw", weights / weights.sum(-1, keepdim=True), torch.cat((v_prefix, v), 1)
        )

        v_prefix, v = (torch.nn.functional.pad(tensor, (0, 1), value=1.0) for tensor in (v_prefix, v))
        _, prefix = ssd(v_prefix, torch.zeros_like(a[:, :9]), k_prefix, k_prefix)
        y, _ = ssd(v, torch.zeros_like(a), k, q, initial_state=prefix)
        assert_same(y[..., :-1] / y[..., -1:], want)


@pytest.mark.usefixtures("poison")
class TestKernel:
    @pytest.mark.parametrize("length", [1, 5, 63, 123])
    def test_agrees(self, length: int, precision: Precision, device: torch.device) -> None:
        compare(draw(1, length, heads=1, groups=1, dtype=precision.dtype, device=device), precision.tolerance)

    def test_takes_strided_inputs(self, precision: Precision, device: torch.device) -> None:
        def strided(tensor: Tensor) -> Tensor:
            apart = torch.stack((tensor, torch.full_like(tensor, torch.nan)), -1)
            return apart.transpose(0, 2).contiguous().transpose(0, 2)[..., 0]

        tensors = draw(2, 21, heads=2, groups=1, dtype=precision.dtype, device=device)
        assert not strided(tensors[0]).is_contiguous()
        compare(tensors, precision.tolerance, as_given=strided, chunk=16)

    @pytest.mark.parametrize(("programs", "chunk"), [(1, 32), (10_000, 128)])
    def test_large_heads_in_blocks(
        self,
        programs: int,
        chunk: int,
        precision: Precision,
        device: torch.device,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """More than a tile of state and width; a group's heads taken together, and one by one."""
        monkeypatch.setattr("storyloom.kernels.ssd_tiles_triton._PROGRAMS", programs)
        tensors = draw(1, 50, heads=2, groups=1, state=80, width=72, dtype=precision.dtype, device=device)
        compare(tensors, precision.tolerance, chunk=chunk)

    def test_packed_sequences(self, precision: Precision, device: torch.device) -> None:
        """One is empty, one ends within a chunk, one with it, and a last token belongs to none."""
        bounds = torch.tensor([0, 5, 5, 38, 70], dtype=torch.int32, device=device)
        tensors = draw(1, 71, heads=2, groups=1, sequences=4, dtype=precision.dtype, device=device)
        compare(tensors, precision.tolerance, cu_seqlens=bounds, chunk=32)

    @pytest.mark.parametrize("of", [lambda y, _: y.sum(), lambda _, final: final.square().sum()])
    def test_either_output_alone(self, of: Callable[[Tensor, Tensor], Tensor], device: torch.device) -> None:
        compare(draw(1, 20, heads=1, groups=1, dtype=torch.float32, device=device), 2e-4, of=of, chunk=16)

    def test_starts_from_zeros_unless_told(self, device: torch.device) -> None:
        x, a, b, c, initial = (tensor.detach() for tensor in draw(2, 5, dtype=torch.float32, device=device))
        y, final = ssd(x, a, b, c, backend="triton")
        zeros = doubled([x, a, b, c, torch.zeros_like(initial)])
        assert_near("y", y, run(zeros)[0], 2e-4)
        assert_near("final_state", final, run(zeros)[1], 2e-4)

    def test_one_token(self, precision: Precision, device: torch.device) -> None:
        x, a, b, c, state = (
            tensor.detach() for tensor in draw(2, 3, state=80, dtype=precision.dtype, device=device)
        )
        state = state.transpose(2, 3).contiguous().transpose(2, 3)
        # A token among others is strided.
        inputs = (x[:, 1], a[:, 1], b[:, 1], c[:, 1], state)
        y, after = ssd_step(*inputs, backend="triton")
        wanted, after_wanted = ssd_step(*doubled(inputs), backend="reference")
        assert y.dtype is precision.dtype
        assert_near("y", y, wanted, precision.tolerance)
        assert_near("state", after, after_wanted, precision.tolerance)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_an_empty_batch(self, backend: Backend, device: torch.device) -> None:
        tensors = draw(0, 5, dtype=torch.float32, device=device)
        y, final = run(tensors, backend)
        assert y.shape == tensors[0].shape
        assert final.shape == tensors[4].shape
        assert [gradient.shape for gradient in torch.autograd.grad(y.sum() + final.sum(), tensors)] == [
            tensor.shape for tensor in tensors
        ]
        x, a, b, c, state = (tensor.detach() for tensor in tensors)
        y, after = ssd_step(x[:, 0], a[:, 0], b[:, 0], c[:, 0], state, backend=backend)
        assert y.shape == (0, 4, 40)
        assert after.shape == state.shape

    def test_a_step_refuses_to_train(self, device: torch.device) -> None:
        x, a, b, c, state = draw(1, 1, dtype=torch.float32, device=device)
        y, _ = ssd_step(x[:, 0], a[:, 0], b[:, 0], c[:, 0], state, backend="triton")
        with pytest.raises(RuntimeError, match="ssd_step: Triton's step has no backward"):
            torch.autograd.grad(y.sum(), x)


class TestLimits:
    def test_a_million_tokens(self) -> None:
        """A sum under a decay near 1, by its closed form, in float32."""
        decay, length, parts = -1e-6, 2**17, 8
        ones = torch.ones(1, length, 1, 1)
        a = torch.full((1, length, 1), decay)
        state = None
        for _ in range(parts):
            y, state = ssd(ones, a, ones, ones, initial_state=state, chunk=128)
        # What is left is the rounding of exp(128 · decay), once a chunk.
        want = math.expm1(decay * length * parts) / math.expm1(decay)
        assert float(y[0, -1, 0, 0]) == pytest.approx(want, rel=5e-4)
        assert state is not None
        assert float(state) == pytest.approx(want, rel=5e-4)

    def test_thousands_of_tokens_in_the_kernel(self, device: torch.device) -> None:
        """Nothing forgotten, then little, then at once."""
        x, _, b, c, initial = draw(
            1, 2100, heads=1, groups=1, state=16, width=16, dtype=torch.float32, device=device
        )
        a = torch.tensor([0.0, -1e-5, -30.0], device=device).repeat_interleave(700)[None, :, None]
        compare([x, a.requires_grad_(), b, c, initial], 2e-4, chunk=128)

    @pytest.mark.parametrize("reset", [-1e6, -math.inf])
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_strong_resets_cost_no_digits(self, reset: float, backend: Backend, device: torch.device) -> None:
        """Decays after a reset come from sums of their own, not from a difference of huge ones."""
        x, a, b, c, initial = draw(
            1, 60, heads=2, groups=1, state=3, width=5, dtype=torch.float32, device=device
        )
        a = a.detach().clone()
        a[:, 7::20] = reset
        tensors = [x, a.requires_grad_(), b, c, initial]
        twins = doubled(tensors)
        y, final = run(tensors, backend, chunk=32)
        wanted, final_wanted = token_by_token(twins)
        assert_near("y", y, wanted, 1e-5)
        assert_near("final_state", final, final_wanted, 1e-5)
        gradients = torch.autograd.grad(y.square().sum() + final.sum(), tensors)
        wants = torch.autograd.grad(wanted.square().sum() + final_wanted.sum(), twins)
        for name, gradient, want in zip(NAMES, gradients, wants, strict=True):
            assert_near(f"gradient of {name}", gradient, want, 1e-5)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_large_and_small_norms(self, backend: Backend, device: torch.device) -> None:
        x, a, b, c, initial = draw(1, 40, heads=2, groups=1, dtype=torch.float32, device=device)
        for scale in (1e15, 1e-15):
            scaled = [x * scale, a, b * scale, c / scale, initial * scale]
            y, final = run(scaled, backend, chunk=16)
            wanted, final_wanted = run(doubled(scaled), chunk=16)
            assert_near("y", y / scale, wanted / scale, 2e-4)
            assert_near("final_state", final / scale**2, final_wanted / scale**2, 2e-4)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_not_a_number_stays_where_it_is(self, backend: Backend, device: torch.device) -> None:
        def results(*, spoiled: bool) -> list[Tensor]:
            tensors = draw(2, 40, state=8, width=8, dtype=torch.float32, device=device)
            if spoiled:
                with torch.no_grad():
                    tensors[0][0, 35, 3] = torch.nan
                    tensors[2][1, 35, 0] = torch.nan
            y, final = run(tensors, backend, chunk=32)
            gradients = torch.autograd.grad((y.sum() + final.sum()), tensors)
            return [y, final.detach(), *gradients]

        clean, touched = results(spoiled=False), results(spoiled=True)
        # Head 3 of the first row; heads 0 and 1, b's group 0, of the second.
        for want, got in zip(clean[:2], touched[:2], strict=True):
            heads = 2 if got is touched[0] else 1
            got, want = got.movedim(heads, 1), want.movedim(heads, 1)
            assert torch.equal(got[0, :3], want[0, :3])
            assert torch.equal(got[1, 2:], want[1, 2:])
        y = touched[0]
        assert torch.equal(y[:, :32], clean[0][:, :32])
        assert y[0, 35:, 3].isnan().all()
        assert y[1, 35:, :2].isnan().all()
        dx, da, db, dc, d_initial = touched[2:]
        for gradient in (
            dx[0, :, :3],
            dx[1, :, 2:],
            da[0, :, :3],
            da[1, :, 2:],
            db[0, :, 0],
            db[1, :, 1],
            dc[0, :, 0],
        ):
            assert gradient.isfinite().all()
        assert d_initial[0, :3].isfinite().all()

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_not_a_number_stays_in_its_sequence(self, backend: Backend, device: torch.device) -> None:
        bounds = torch.tensor([0, 5, 25, 40], device=device)
        tensors = [t.detach() for t in draw(1, 40, heads=2, sequences=3, dtype=torch.float32, device=device)]
        y, final = run(tensors, backend, chunk=16, cu_seqlens=bounds)
        tensors[0][0, 10] = torch.nan
        touched, final_touched = run(tensors, backend, chunk=16, cu_seqlens=bounds)
        outside = torch.arange(40, device=device).sub(15).abs() > 10
        outside[25] = True
        assert torch.equal(touched[:, outside], y[:, outside])
        assert torch.equal(final_touched[::2], final[::2])
        assert final_touched[1].isnan().all()

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_wrong_bounds_never_lead_out_of_memory(self, backend: Backend, device: torch.device) -> None:
        bounds = torch.tensor([-3, 9, 2, 900], device=device)
        tensors = draw(1, 20, heads=2, sequences=3, dtype=torch.float32, device=device)
        y, final = run(tensors, backend, chunk=16, cu_seqlens=bounds)
        wanted = run(tensors, chunk=16, cu_seqlens=torch.tensor([0, 9, 9, 20], device=device))
        assert_near("y", y, wanted[0], 2e-4)
        assert_near("final_state", final, wanted[1], 2e-4)


class TestOperators:
    CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")

    @pytest.mark.parametrize("packed", [False, True])
    def test_are_registered_well(self, packed: bool, device: torch.device) -> None:
        from storyloom.kernels import ssd_triton

        sequences = 2 if packed else 1
        tensors = draw(1, 20, heads=1, groups=1, sequences=sequences, dtype=torch.float32, device=device)
        bounds = torch.tensor([0, 3, 20], device=device)
        places = ssd_reference.place_chunks(bounds, 20, 32) if packed else (None, None)
        torch.library.opcheck(ssd_triton._ssd, (*tensors, *places, 32), test_utils=self.CHECKS)
        with torch.no_grad():
            y, final, starts, totals = ssd_triton._ssd(*tensors, *places, 32)
            plain = [tensor.detach() for tensor in tensors]
            arguments = (y, final, *plain[:4], starts, totals, *places, 32)
            torch.library.opcheck(ssd_triton._ssd_backward, arguments, test_utils=self.CHECKS)

    def test_step_is_registered_well(self, device: torch.device) -> None:
        from storyloom.kernels import ssd_step_triton

        x, a, b, c, state = (tensor.detach() for tensor in draw(2, 1, dtype=torch.float32, device=device))
        step = (x[:, 0], a[:, 0], b[:, 0], c[:, 0], state)
        torch.library.opcheck(ssd_step_triton._ssd_step, step, test_utils=self.CHECKS)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_compile(self, backend: Backend, device: torch.device) -> None:
        def whole(*tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            y, state = run(tensors[:5], backend, chunk=32, cu_seqlens=tensors[5])
            x, a, b, c = (tensor[:1, 0].detach() for tensor in tensors[:4])
            step, _ = ssd_step(x, a, b, c, state[:1].detach(), backend=backend)
            return y, state, step

        tensors = draw(
            1, 20, heads=2, groups=1, state=16, width=16, sequences=2, dtype=torch.float32, device=device
        )
        bounds = torch.tensor([0, 3, 20], device=device)
        want = whole(*tensors, bounds)
        torch._dynamo.reset()
        got = torch.compile(whole, fullgraph=True, backend="aot_eager")(*tensors, bounds)
        for mine, wanted in zip(got, want, strict=True):
            assert_near("output", mine, wanted, 1e-6)
        gradients = torch.autograd.grad(got[0].sum() + got[1].sum(), tensors)
        wants = torch.autograd.grad(want[0].sum() + want[1].sum(), tensors)
        for name, gradient, wanted in zip(NAMES, gradients, wants, strict=True):
            assert_near(f"gradient of {name}", gradient, wanted, 1e-6)


def bad_calls() -> dict[str, tuple[str, dict[str, Any]]]:
    """What each error says, and the arguments that call it forth."""
    z = torch.zeros
    return {
        "x axes": (r"ssd: x has shape \[1, 6, 4\]; it must have 4 axes", {"x": z(1, 6, 4)}),
        "no length": (r"ssd: x has shape \[1, 0, 4, 8\]; its axis length", {"x": z(1, 0, 4, 8)}),
        "no width": (r"ssd: x has shape \[1, 6, 4, 0\]; its axis width", {"x": z(1, 6, 4, 0)}),
        "x dtype": (r"ssd: x has dtype torch.int64; it must be one of", {"x": z(1, 6, 4, 8).long()}),
        "a shape": (
            r"ssd: a has shape \[1, 6, 2\]; it must be \[batch=1, length=6, heads=4\]",
            {"a": z(1, 6, 2)},
        ),
        "a dtype": (r"ssd: a has dtype torch.float16; it must be torch.float32", {"a": z(1, 6, 4).half()}),
        "no state": (r"ssd: b has shape \[1, 6, 2, 0\]; its axis state", {"b": z(1, 6, 2, 0)}),
        "b length": (
            r"ssd: b has shape \[1, 5, 2, 3\]; it must be \[batch=1, length=6",
            {"b": z(1, 5, 2, 3)},
        ),
        "groups": ("ssd: b has 3 groups; x's 4 heads", {"b": z(1, 6, 3, 3), "c": z(1, 6, 3, 3)}),
        "c shape": (r"ssd: c has shape \[1, 6, 2, 5\]; it must be", {"c": z(1, 6, 2, 5)}),
        "c dtype": (
            "ssd: c has dtype torch.float16; it must be torch.float32, like x",
            {"c": z(1, 6, 2, 3).half()},
        ),
        "device": ("ssd: c is on meta; it must be on", {"c": z(1, 6, 2, 3, device="meta")}),
        "initial layout": (
            r"ssd: initial_state has shape \[1, 4, 8, 3\]; it must be \[sequences=1, heads=4, state=3",
            {"initial_state": z(1, 4, 8, 3)},
        ),
        "initial dtype": (
            "ssd: initial_state has dtype torch.float64",
            {"initial_state": z(1, 4, 3, 8).double()},
        ),
        "sequences": (
            r"ssd: initial_state has shape \[1, 4, 3, 8\]; it must be \[sequences=2",
            {"initial_state": z(1, 4, 3, 8), "cu_seqlens": torch.tensor([0, 2, 6])},
        ),
        "bounds axes": (r"ssd: cu_seqlens has shape \[1\]", {"cu_seqlens": torch.tensor([0])}),
        "bounds dtype": ("ssd: cu_seqlens has dtype torch.float32", {"cu_seqlens": z(2)}),
        "packed batch": (
            "ssd: x has a batch of 2; it must be 1 with cu_seqlens",
            {"x": z(2, 6, 4, 8), "cu_seqlens": torch.tensor([0, 6])},
        ),
        "chunk": (r"ssd: chunk is 48; it must be one of \[16, 32, 64, 128\]", {"chunk": 48}),
    }


class TestBadInput:
    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize("case", list(bad_calls()))
    def test_names_the_argument(self, case: str, backend: Backend, device: torch.device) -> None:
        message, changed = bad_calls()[case]
        good = {"x": torch.zeros(1, 6, 4, 8), "a": torch.zeros(1, 6, 4), "b": torch.zeros(1, 6, 2, 3)}
        arguments: dict[str, Any] = {**good, "c": torch.zeros(1, 6, 2, 3), **changed}
        for name, value in arguments.items():
            if isinstance(value, Tensor) and value.device == CPU:
                arguments[name] = value.to(device)
        with pytest.raises(ValueError, match=message):
            ssd(**arguments, backend=backend)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_a_step_names_the_argument(self, backend: Backend, device: torch.device) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        x, a, b, state = zeros(1, 4, 8), zeros(1, 4), zeros(1, 2, 3), zeros(1, 4, 3, 8)
        with pytest.raises(ValueError, match=r"ssd_step: state has shape \[1, 4, 8, 3\]"):
            ssd_step(x, a, b, b, state.mT, backend=backend)
        with pytest.raises(ValueError, match=r"ssd_step: a has shape \[1, 2\]"):
            ssd_step(x, a[:, :2], b, b, state, backend=backend)
        with pytest.raises(ValueError, match=r"ssd_step: state has dtype torch\.float16"):
            ssd_step(x, a, b, b, state.half(), backend=backend)
        with pytest.raises(ValueError, match="ssd_step: b has 3 groups"):
            ssd_step(x, a, zeros(1, 3, 3), zeros(1, 3, 3), state, backend=backend)

    def test_triton_that_cannot_run_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRITON_INTERPRET", "0")
        x, a, b, c, state = (tensor.detach() for tensor in draw(1, 1, dtype=torch.float32))
        with pytest.raises(
            RuntimeError, match='ssd: backend="triton" can\'t run here: the tensors are on cpu'
        ):
            ssd(x, a, b, c, backend="triton")
        with pytest.raises(RuntimeError, match='ssd_step: backend="triton" can\'t run here'):
            ssd_step(x[:, 0], a[:, 0], b[:, 0], c[:, 0], state, backend="triton")

    def test_double_precision_is_the_references(self, device: torch.device) -> None:
        x, a, b, c, _ = draw(1, 1, device=device)
        with pytest.raises(RuntimeError, match="float64, and only the reference"):
            ssd(x, a, b, c, backend="triton")
        assert ssd(x, a, b, c)[0].dtype is torch.float64

    def test_no_such_backend(self) -> None:
        x, a, b, c, _ = draw(1, 1)
        with pytest.raises(ValueError, match="backend is 'cuda'"):
            ssd(x, a, b, c, backend="cuda")  # type: ignore[arg-type]


def test_imports_without_triton() -> None:
    probe = "import sys; sys.modules['triton'] = None; import storyloom.kernels.ssd"
    subprocess.run([sys.executable, "-c", probe], check=True)
