"""LaCT: the equations token by token, the two backends against each other, and a chunk after another."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from storyloom.kernels.backend import Backend
from storyloom.kernels.lact import (
    LactState,
    lact_apply,
    lact_chunk,
    lact_gradients,
    lact_state,
    lact_update,
)
from storyloom.kernels.newton_schulz import newton_schulz
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import Precision

Draw = Callable[..., Tensor]

BACKENDS: tuple[Backend, Backend] = ("reference", "triton")
# Tokens, width, hidden: one of each, odd sizes within a tile, and several tiles, larger for half precisions.
MANY_TILES, HALF_MANY_TILES = (70, 67, 75), (195, 67, 200)
SIZES = [(1, 1, 1), (5, 24, 17), (63, 16, 40), (123, 70, 33), MANY_TILES]


@pytest.fixture
def normal(device: torch.device) -> Draw:
    generator = torch.Generator(device).manual_seed(11)

    def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    return drawn


def drawn_weights(normal: Draw, batch: int, width: int, hidden: int) -> list[Tensor]:
    """w0, w1, w2, so large that hidden values and outputs are near 1."""
    return [
        normal(batch, hidden, width) / width**0.5,
        normal(batch, width, hidden) / hidden**0.5,
        normal(batch, hidden, width) / width**0.5,
    ]


def drawn_chunk(normal: Draw, batch: int, tokens: int, width: int, hidden: int) -> list[Tensor]:
    """What the gradients take: w0, w1, w2, k, v, rates."""
    weights = drawn_weights(normal, batch, width, hidden)
    rates = normal(batch, tokens, 3).sigmoid()
    return [*weights, normal(batch, tokens, width), normal(batch, tokens, width), rates]


def token_by_token(weights: Sequence[Tensor], q: Tensor) -> Tensor:
    """The fast network in float64, a token at a time, from its definition."""
    outputs = []
    for entry in range(q.shape[0]):
        w0, w1, w2 = (weight[entry].double() for weight in weights)
        for x in q[entry].double():
            gate = w0 @ x
            outputs.append(w1 @ (gate / (1 + torch.exp(-gate)) * (w2 @ x)))
    return torch.stack(outputs).view(q.shape)


def descent(weights: Sequence[Tensor], k: Tensor, v: Tensor, rates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the directions are: minus each token's own gradient of its loss, times its rates, summed."""
    leaves = [weight.detach().double().requires_grad_() for weight in weights]
    total = [torch.zeros_like(leaf) for leaf in leaves]
    for token in range(k.shape[1]):
        reached = token_by_token(leaves, k[:, token : token + 1])
        loss = -(reached * v[:, token : token + 1].double()).sum()
        for index, slope in enumerate(torch.autograd.grad(loss, leaves)):
            total[index] -= rates[:, token, index].double()[:, None, None] * slope
    return total[0], total[1], total[2]


def outputs_and_gradients(
    run: Callable[..., Tensor | Sequence[Tensor]], inputs: list[Tensor], upstream: list[Tensor]
) -> list[Tensor]:
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    got = run(*leaves)
    outputs = [got] if isinstance(got, Tensor) else list(got)
    upstream = [tensor.to(output.dtype) for tensor, output in zip(upstream, outputs, strict=True)]
    return [*(output.detach() for output in outputs), *torch.autograd.grad(outputs, leaves, upstream)]


def applied(backend: Backend) -> Callable[..., Tensor]:
    return lambda *inputs: lact_apply(*inputs, backend=backend)


def learned(backend: Backend) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    return lambda *inputs: lact_gradients(*inputs, backend=backend)


def doubled(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.double() for tensor in tensors]


def tiled(sizes: tuple[int, int, int], precision: Precision) -> tuple[int, int, int]:
    return HALF_MANY_TILES if sizes == MANY_TILES and precision.dtype != torch.float32 else sizes


def test_reference_is_the_equation(normal: Draw) -> None:
    inputs = doubled(drawn_chunk(normal, 2, 5, 6, 7))
    weights, k, v, rates = inputs[:3], *inputs[3:]
    assert_near("output", applied("reference")(*weights, k), token_by_token(weights, k), 1e-10)
    got = learned("reference")(*inputs)
    for name, ours, theirs in zip(("d0", "d1", "d2"), got, descent(weights, k, v, rates), strict=True):
        assert_near(name, ours, theirs, 1e-10)


def test_the_directions_go_down(normal: Draw) -> None:
    """A small step along them lowers the loss: their sign is that of a descent."""
    w0, w1, w2, k, v, rates = doubled(drawn_chunk(normal, 1, 9, 6, 7))
    before = -(lact_apply(w0, w1, w2, k) * v).sum()
    d0, d1, d2 = lact_gradients(w0, w1, w2, k, v, torch.ones_like(rates))
    after = -(lact_apply(w0 + 1e-4 * d0, w1 + 1e-4 * d1, w2 + 1e-4 * d2, k) * v).sum()
    assert after < before


def test_reference_gradients(normal: Draw) -> None:
    inputs = [tensor.requires_grad_() for tensor in doubled(drawn_chunk(normal, 2, 3, 4, 5))]
    assert torch.autograd.gradcheck(applied("reference"), inputs[:4])
    assert torch.autograd.gradcheck(learned("reference"), inputs)


def test_a_sum_over_tokens_may_be_split(normal: Draw) -> None:
    """Tokens one by one, and a chunk in two parts, give what the whole chunk gives."""
    w0, w1, w2, k, v, rates = doubled(drawn_chunk(normal, 2, 9, 6, 7))
    whole = lact_gradients(w0, w1, w2, k, v, rates)
    for cuts in ([4, 5], [1] * 9):
        parts = zip(*(torch.split(tensor, cuts, 1) for tensor in (k, v, rates)), strict=True)
        summed = [lact_gradients(w0, w1, w2, *part) for part in parts]
        for index in range(3):
            assert_near(f"{cuts}", sum(part[index] for part in summed), whole[index], 1e-10)  # type: ignore[arg-type]
        outputs = [lact_apply(w0, w1, w2, part) for part in torch.split(k, cuts, 1)]
        assert_near(f"{cuts}", torch.cat(outputs, 1), lact_apply(w0, w1, w2, k), 1e-10)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.usefixtures("poison")
def test_triton_applies_like_the_reference(
    normal: Draw, precision: Precision, sizes: tuple[int, int, int]
) -> None:
    tokens, width, hidden = tiled(sizes, precision)
    inputs = [tensor.to(precision.dtype) for tensor in drawn_chunk(normal, 2, tokens, width, hidden)[:4]]
    upstream = [normal(2, tokens, width, dtype=precision.dtype)]
    want = outputs_and_gradients(applied("reference"), doubled(inputs), upstream)
    got = outputs_and_gradients(applied("triton"), inputs, upstream)
    for name, ours, theirs in zip(("output", "w0", "w1", "w2", "q"), got, want, strict=True):
        assert ours.dtype == precision.dtype
        assert_near(name, ours, theirs, precision.tolerance)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.usefixtures("poison")
def test_triton_learns_like_the_reference(
    normal: Draw, precision: Precision, sizes: tuple[int, int, int]
) -> None:
    tokens, width, hidden = tiled(sizes, precision)
    inputs = [tensor.to(precision.dtype) for tensor in drawn_chunk(normal, 2, tokens, width, hidden)]
    upstream = [weight.to(precision.dtype) for weight in drawn_weights(normal, 2, width, hidden)]
    want = outputs_and_gradients(learned("reference"), doubled(inputs), upstream)
    got = outputs_and_gradients(learned("triton"), inputs, upstream)
    names = ("d0", "d1", "d2", "w0", "w1", "w2", "k", "v", "rates")
    for name, ours, theirs in zip(names, got, want, strict=True):
        assert ours.dtype == precision.dtype
        assert_near(name, ours, theirs, precision.tolerance)


@pytest.mark.usefixtures("poison")
def test_a_long_chunk_is_summed_in_parts(normal: Draw) -> None:
    inputs, upstream = drawn_chunk(normal, 1, 2500, 20, 24), drawn_weights(normal, 1, 20, 24)
    want = outputs_and_gradients(learned("reference"), doubled(inputs), upstream)
    got = outputs_and_gradients(learned("triton"), inputs, upstream)
    for ours, theirs in zip(got, want, strict=True):
        assert_near("2500 tokens", ours, theirs, 2e-4)


def test_float32_rates_beside_half_tokens(normal: Draw) -> None:
    inputs = drawn_chunk(normal, 1, 20, 24, 17)
    inputs = [tensor.half() for tensor in inputs[:5]] + inputs[5:]
    upstream = drawn_weights(normal, 1, 24, 17)
    want = outputs_and_gradients(learned("reference"), doubled(inputs), upstream)
    for backend in BACKENDS:
        got = outputs_and_gradients(learned(backend), inputs, upstream)
        assert got[-1].dtype == torch.float32
        for ours, theirs in zip(got, want, strict=True):
            assert_near(backend, ours, theirs, 5e-3)


def test_strided_inputs(normal: Draw) -> None:
    """Heads interleaved with tokens, every second feature, transposed weights."""
    batch, tokens, width, hidden = 2, 33, 20, 24
    weights = [
        normal(batch, width, hidden).mT,
        normal(batch, hidden, width).mT,
        normal(batch, hidden, 2 * width)[..., ::2],
    ]
    k = normal(tokens, batch, 2 * width).transpose(0, 1)[..., ::2]
    v = normal(width, tokens, batch).permute(2, 1, 0)
    rates = normal(3, batch, tokens).permute(1, 2, 0).sigmoid()
    upstream = [normal(tokens, width, batch).permute(2, 0, 1)]
    assert not any(tensor.is_contiguous() for tensor in (k, v, rates, *weights, *upstream))
    want = outputs_and_gradients(applied("reference"), [*weights, k], upstream)
    got = outputs_and_gradients(applied("triton"), [*weights, k], upstream)
    upstream = [weight.flip(0) for weight in weights]
    want += outputs_and_gradients(learned("reference"), [*weights, k, v, rates], upstream)
    got += outputs_and_gradients(learned("triton"), [*weights, k, v, rates], upstream)
    for ours, theirs in zip(got, want, strict=True):
        assert_near("strided", ours, theirs, 2e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_batch(normal: Draw, backend: Backend) -> None:
    inputs = drawn_chunk(normal, 0, 3, 4, 5)
    got = outputs_and_gradients(applied(backend), inputs[:4], [normal(0, 3, 4)])
    assert [tensor.shape for tensor in got[1:]] == [tensor.shape for tensor in inputs[:4]]
    got = outputs_and_gradients(learned(backend), inputs, drawn_weights(normal, 0, 4, 5))
    assert [tensor.shape for tensor in got[3:]] == [tensor.shape for tensor in inputs]


def test_only_some_directions_are_used(normal: Draw) -> None:
    inputs = [tensor.requires_grad_() for tensor in drawn_chunk(normal, 1, 5, 6, 7)]
    for index in range(3):
        want, got = (
            torch.autograd.grad(learned(backend)(*inputs)[index].sum(), inputs, materialize_grads=True)
            for backend in BACKENDS
        )
        for ours, theirs in zip(got, want, strict=True):
            assert (ours - theirs).abs().max() <= 1e-4 * (1 + theirs.abs().max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_gates_at_both_ends(normal: Draw, backend: Backend) -> None:
    """A sigmoid far out overflows nowhere, and a closed gate passes nothing."""
    w0, w1, w2, k, v, rates = drawn_chunk(normal, 1, 17, 16, 16)
    inputs = [w0 * 1e4, w1, w2, k, v, rates]
    upstream = drawn_weights(normal, 1, 16, 16)
    got = outputs_and_gradients(learned(backend), inputs, upstream)
    want = outputs_and_gradients(learned("reference"), doubled(inputs), upstream)
    for ours, theirs in zip(got, want, strict=True):
        assert_near("steep gates", ours, theirs, 2e-4)
    k = torch.ones_like(k)
    closed = lact_apply(-torch.ones_like(w0) * 1e6, w1, w2, k, backend=backend)
    assert not closed.any()
    wide = lact_apply(w0 * 1e10, w1 * 1e10, w2 * 1e10, k, backend=backend)
    assert torch.isfinite(wide).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_stays_where_it_is(normal: Draw, backend: Backend) -> None:
    w0, w1, w2, k, v, rates = drawn_chunk(normal, 3, 40, 20, 24)
    k[1, 7, 3] = float("nan")
    output = lact_apply(w0, w1, w2, k, backend=backend)
    assert output[1, 7].isnan().all()
    assert int(output.isnan().any(-1).sum()) == 1
    for direction in lact_gradients(w0, w1, w2, k, v, rates, backend=backend):
        assert direction.isnan().flatten(1).any(1).tolist() == [False, True, False]
    w2[2, 0, 0] = float("nan")
    assert lact_apply(w0, w1, w2, k, backend=backend)[0].isfinite().all()


def naive_chunks(
    weights: Sequence[Tensor], tokens: Sequence[Tensor], chunk: int, orthogonalise: bool
) -> tuple[Tensor, list[Tensor]]:
    """The layer in float64: apply to a chunk, learn from it, and on; from the definitions alone."""
    q, k, v, rates, momentum = tokens
    current = [weight.double() for weight in weights]
    norms = [weight.norm(dim=-1, keepdim=True) for weight in current]
    velocity = [torch.zeros_like(weight) for weight in current]
    outputs = []
    for start in range(0, q.shape[1], chunk):
        now = slice(start, start + chunk)
        outputs.append(token_by_token(current, q[:, now]))
        slopes = descent(current, k[:, now], v[:, now], rates[:, now])
        kept = momentum[:, now].double().mean(1)[:, None, None]
        for index in range(3):
            velocity[index] = slopes[index] + kept * velocity[index]
            step = newton_schulz(velocity[index]) if orthogonalise else velocity[index]
            moved = current[index] + step
            current[index] = moved / moved.norm(dim=-1, keepdim=True) * norms[index]
    return torch.cat(outputs, 1), current


def drawn_sequence(normal: Draw, batch: int, tokens: int, width: int) -> list[Tensor]:
    """q, k, v, rates, momentum."""
    return [
        normal(batch, tokens, width),
        normal(batch, tokens, width),
        normal(batch, tokens, width),
        0.1 * normal(batch, tokens, 3).sigmoid(),
        normal(batch, tokens).sigmoid(),
    ]


def run_chunks(
    state: LactState,
    tokens: Sequence[Tensor],
    chunk: int,
    backend: Backend = "auto",
    orthogonalise: bool = True,
) -> tuple[Tensor, LactState]:
    outputs = []
    for parts in zip(*(torch.split(tensor, chunk, 1) for tensor in tokens), strict=True):
        output, state = lact_chunk(state, *parts, backend=backend, orthogonalise=orthogonalise)
        outputs.append(output)
    return torch.cat(outputs, 1), state


@pytest.mark.parametrize("orthogonalise", [True, False])
def test_a_chunk_applies_then_learns(normal: Draw, orthogonalise: bool) -> None:
    weights = doubled(drawn_weights(normal, 2, 5, 7))
    tokens = doubled(drawn_sequence(normal, 2, 11, 5))
    got, state = run_chunks(lact_state(*weights), tokens, 4, orthogonalise=orthogonalise)
    want, ends = naive_chunks(weights, tokens, 4, orthogonalise)
    assert_near("outputs", got, want, 1e-6)
    for ours, theirs in zip(state.weights, ends, strict=True):
        assert_near("weights", ours, theirs, 1e-6)


def test_segments_carry_the_state(normal: Draw) -> None:
    weights = doubled(drawn_weights(normal, 1, 5, 7))
    tokens = doubled(drawn_sequence(normal, 1, 24, 5))
    whole, last = run_chunks(lact_state(*weights), tokens, 4)
    first, state = run_chunks(lact_state(*weights), [tensor[:, :12] for tensor in tokens], 4)
    second, state = run_chunks(state, [tensor[:, 12:] for tensor in tokens], 4)
    assert torch.equal(torch.cat([first, second], 1), whole)
    for ours, theirs in zip(state.weights + state.velocities, last.weights + last.velocities, strict=True):
        assert torch.equal(ours, theirs)


def test_no_token_sees_its_chunk(normal: Draw) -> None:
    weights = drawn_weights(normal, 1, 5, 7)
    tokens = drawn_sequence(normal, 1, 12, 5)
    before, _ = run_chunks(lact_state(*weights), tokens, 4)
    tokens[1] = tokens[1].clone()
    tokens[1][:, 4:] += 1
    after, _ = run_chunks(lact_state(*weights), tokens, 4)
    assert torch.equal(before[:, :8], after[:, :8])
    assert not torch.allclose(before[:, 8:], after[:, 8:])


def test_chunks_on_triton(normal: Draw) -> None:
    """Through two chunks, forward and backward: a gradient of the directions' gradients."""
    inputs = [*drawn_weights(normal, 1, 12, 16), *drawn_sequence(normal, 1, 20, 12)]
    upstream = [normal(1, 20, 12)]

    def run(backend: Backend) -> Callable[..., Tensor]:
        return lambda *inputs: run_chunks(lact_state(*inputs[:3]), inputs[3:], 10, backend)[0]

    want = outputs_and_gradients(run("reference"), doubled(inputs), upstream)
    got = outputs_and_gradients(run("triton"), inputs, upstream)
    names = ("outputs", "w0", "w1", "w2", "q", "k", "v", "rates", "momentum")
    for name, ours, theirs in zip(names, got[:-1], want[:-1], strict=False):
        assert_near(name, ours, theirs, 2e-4)


def test_half_tokens_beside_float32_weights(normal: Draw) -> None:
    weights = drawn_weights(normal, 1, 12, 16)
    tokens = [tensor.half() for tensor in drawn_sequence(normal, 1, 20, 12)]
    want, _ = run_chunks(lact_state(*doubled(weights)), doubled(tokens), 10)
    for backend in BACKENDS:
        got, state = run_chunks(lact_state(*weights), tokens, 10, backend)
        assert got.dtype == torch.float16
        assert {tensor.dtype for tensor in state.weights + state.velocities} == {torch.float32}
        assert_near(backend, got, want, 1e-2)


def test_many_chunks_keep_the_rows_norms(normal: Draw) -> None:
    state = first = lact_state(*drawn_weights(normal, 1, 8, 8))
    tokens = drawn_sequence(normal, 1, 64, 8)
    tokens[3] = torch.ones_like(tokens[3])
    tokens[4] = torch.full_like(tokens[4], 0.999)
    with torch.no_grad():
        for _ in range(500):
            output, state = lact_chunk(state, *tokens)
    assert torch.isfinite(output).all()
    for weight, norms in zip(state.weights, first.row_norms, strict=True):
        assert_near("norms", weight.norm(dim=-1), norms, 1e-5)


def test_the_operators_hold_to_torchs_rules(normal: Draw) -> None:
    inputs = drawn_chunk(normal, 2, 5, 6, 7)
    lact_apply(*inputs[:4], backend="triton")
    operators = torch.ops.storyloom
    upstream = drawn_weights(normal, 2, 6, 7)
    torch.library.opcheck(operators.lact_apply_backward.default, (*inputs[:4], inputs[4]))
    torch.library.opcheck(operators.lact_gradients_backward.default, (*inputs, *upstream))
    leaves = [tensor.requires_grad_() for tensor in inputs]
    torch.library.opcheck(operators.lact_apply.default, tuple(leaves[:4]))
    torch.library.opcheck(operators.lact_gradients.default, tuple(leaves))


@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_is_eager(normal: Draw, backend: Backend) -> None:
    def run(*inputs: Tensor) -> Tensor:
        # Newton–Schulz compiles in its own tests; in the reference it makes a graph that takes long.
        orthogonalise = backend == "triton"
        return run_chunks(lact_state(*inputs[:3]), inputs[3:], 5, backend, orthogonalise)[0]

    inputs = [*drawn_weights(normal, 1, 6, 7), *drawn_sequence(normal, 1, 10, 6)]
    upstream = [normal(1, 10, 6)]
    leaves = [tensor.requires_grad_() for tensor in inputs[:7]]
    want = run(*leaves, inputs[7])
    got = torch.compile(run, fullgraph=True, backend="aot_eager")(*leaves, inputs[7])
    assert_near("compiled", got, want, 1e-5)
    pairs = zip(
        torch.autograd.grad(got, leaves, upstream), torch.autograd.grad(want, leaves, upstream), strict=True
    )
    for ours, theirs in pairs:
        assert_near("compiled", ours, theirs, 1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bad_input_is_named(backend: Backend) -> None:
    w, w1, q = torch.zeros(2, 5, 4), torch.zeros(2, 4, 5), torch.zeros(2, 3, 4)
    good = {"w0": w, "w1": w1, "w2": w, "q": q}
    bad: list[tuple[str, dict[str, Tensor]]] = [
        ("w0 has shape", {"w0": w[0]}),
        ("w0 has shape .* hidden", {"w0": torch.zeros(2, 0, 4)}),
        ("w0 has dtype", {"w0": w.int()}),
        ("w1 has shape", {"w1": w}),
        ("w1 has dtype", {"w1": w1.double()}),
        ("w2 has shape", {"w2": w1}),
        ("w2 is on meta", {"w2": w.to("meta")}),
        ("q has shape", {"q": torch.zeros(2, 3, 5)}),
        ("q has shape .* tokens", {"q": torch.zeros(2, 0, 4)}),
        ("q has shape", {"q": torch.zeros(1, 3, 4)}),
        ("q has dtype", {"q": q.half()}),
    ]
    for told, arguments in bad:
        with pytest.raises(ValueError, match=f"lact_apply: {told}"):
            lact_apply(**{**good, **arguments}, backend=backend)
    rates = torch.zeros(2, 3, 3)
    good = {"w0": w, "w1": w1, "w2": w, "k": q, "v": q, "rates": rates}
    bad = [
        ("w1 has shape", {"w1": w}),
        ("k has shape", {"k": torch.zeros(2, 3, 5)}),
        ("k has shape .* tokens", {"k": torch.zeros(2, 0, 4)}),
        ("v has shape", {"v": torch.zeros(2, 4, 4)}),
        ("v has dtype", {"v": q.half()}),
        ("rates has shape", {"rates": torch.zeros(2, 3)}),
        ("rates has dtype", {"rates": rates.half()}),
        ("rates is on meta", {"rates": rates.to("meta")}),
    ]
    for told, arguments in bad:
        with pytest.raises(ValueError, match=f"lact_gradients: {told}"):
            lact_gradients(**{**good, **arguments}, backend=backend)
    state = lact_state(w, w1, w)
    with pytest.raises(ValueError, match="lact_update: momentum has shape"):
        lact_update(state, (w, w1, w), torch.zeros(2), backend=backend)
    with pytest.raises(ValueError, match=r"lact_update: directions\[1\] has shape"):
        lact_update(state, (w, w, w), torch.zeros(2, 3), backend=backend)
    with pytest.raises(ValueError, match=r"lact_update: directions\[2\] has dtype"):
        lact_update(state, (w, w1, w.double()), torch.zeros(2, 3), backend=backend)
    with pytest.raises(ValueError, match="lact_state: w1 has shape"):
        lact_state(w, w, w)


def test_backends_that_cant_run(monkeypatch: pytest.MonkeyPatch) -> None:
    w, w1, q, rates = torch.zeros(2, 5, 4), torch.zeros(2, 4, 5), torch.zeros(2, 3, 4), torch.zeros(2, 3, 3)
    with pytest.raises(ValueError, match="lact_apply: backend is 'cuda'"):
        lact_apply(w, w1, w, q, backend="cuda")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"lact_apply: .* float64"):
        lact_apply(w.double(), w1.double(), w.double(), q.double(), backend="triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError, match=r"lact_apply: .* can't run here"):
        lact_apply(w, w1, w, q, backend="triton")
    with pytest.raises(RuntimeError, match=r"lact_gradients: .* can't run here"):
        lact_gradients(w, w1, w, q, q, rates, backend="triton")
    assert lact_apply(w, w1, w, q).shape == q.shape
