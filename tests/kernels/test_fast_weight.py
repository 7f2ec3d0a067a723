"""The memory that learns while it reads: against its equation, and the kernels against the reference."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, silu

from storyloom.kernels.backend import Backend
from storyloom.kernels.fast_weight import fast_weight, fast_weight_step
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import Precision

Tensors = tuple[Tensor, ...]
BACKENDS: tuple[Backend, ...] = ("reference", "triton")
KINDS = ("linear", "mlp")
TOKENS = ("q", "k", "v", "momentum", "rate", "decay")
NAMES = {
    "linear": (*TOKENS, "W", "S"),
    "mlp": (*TOKENS, "W1", "W2", "S1", "S2"),
}
# Those of a run: what was read, then the states.
OUTPUTS = {"linear": ("o", "W", "S"), "mlp": ("o", "W1", "W2", "S1", "S2")}


@dataclass(frozen=True)
class Case:
    """The arguments of a call."""

    tokens: Tensors  # q, k, v, momentum, rate, decay
    weights: Tensors
    momenta: Tensors

    @property
    def all(self) -> Tensors:
        return (*self.tokens, *self.weights, *self.momenta)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Case":
        return Case(*(tuple(map(change, part)) for part in (self.tokens, self.weights, self.momenta)))

    def between(self, start: int, end: int) -> "Case":
        return replace(self, tokens=tuple(tensor[:, start:end] for tensor in self.tokens))


def draw(
    kind: str,
    length: int,
    *,
    batch: int = 2,
    heads: int = 2,
    width: int = 24,
    values: int = 20,
    hidden: int = 40,
) -> Case:
    """A case in float64 of strided tokens: heads before length in memory, q and k in one tensor."""
    generator = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def gate(most: float) -> Tensor:
        return (
            torch.rand((heads, batch, length), generator=generator, dtype=torch.float64).permute(1, 2, 0)
            * most
        )

    q, k = normalize(normal(batch, heads, length, 2, width), dim=-1).transpose(1, 2).unbind(3)
    v = normal(batch, heads, length, values).transpose(1, 2)
    shapes = [(values, width)] if kind == "linear" else [(hidden, width), (values, hidden)]
    # What enters silu, and what leaves a memory, is of size 1: where both bend.
    weights = tuple(
        normal(batch, heads, *shape) / (shape[-1] ** 0.5 if layer else 1)
        for layer, shape in enumerate(shapes)
    )
    momenta = tuple(normal(batch, heads, *shape) / 10 for shape in shapes)
    return Case((q, k, v, gate(0.95), gate(0.01), gate(0.1)), weights, momenta)


def run(case: Case, **options: Any) -> Tensors:
    """What was read, the weights and the momenta."""
    output, weights, momenta = fast_weight(
        **named(case.tokens), weights=case.weights, momenta=case.momenta, **options
    )
    return (output, *weights, *momenta)


def gradients(case: Case, **options: Any) -> tuple[Tensors, Tensors]:
    """A run's outputs, and every argument's gradient of a fixed sum of them."""
    case = case.map(lambda tensor: tensor.detach().requires_grad_())
    outputs = run(case, **options)
    generator = torch.Generator().manual_seed(7)
    loss = torch.zeros((), dtype=torch.float64, device=outputs[0].device)
    for output in outputs:
        weighting = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.device)
        loss = loss + (output.double() * weighting).sum()
    return outputs, torch.autograd.grad(loss, case.all)


def named(tokens: Tensors) -> dict[str, Any]:
    """The tokens as keywords."""
    return dict(zip(TOKENS, tokens, strict=True))


def cast(case: Case, dtype: torch.dtype, device: torch.device) -> Case:
    """The case as a model would have it: tokens in its dtype, gates and states in float32."""
    tokens = [
        tensor.to(device, dtype if index < 3 else torch.float32) for index, tensor in enumerate(case.tokens)
    ]
    states = case.map(lambda tensor: tensor.to(device, torch.float32))
    return replace(states, tokens=tuple(tokens))


def assert_all_near(names: Tensors | tuple[str, ...], got: Tensors, want: Tensors, tolerance: float) -> None:
    for name, one, other in zip(names, got, want, strict=True):
        assert_near(str(name), one, other.to(one.device), tolerance)


def remember(weights: Tensors, x: Tensor) -> Tensor:
    """A memory's answer, W x or W2 silu(W1 x), for one vector."""
    for layer, weight in enumerate(weights):
        x = weight @ (silu(x) if layer else x)
    return x


def by_the_equation(case: Case, chunk: int, window: int) -> Tensors:
    """Token by token, as the paper writes it; autograd takes the gradients of the loss."""
    batch, length, heads, _ = case.tokens[0].shape
    read = torch.zeros_like(case.tokens[2])
    finals = [torch.zeros_like(state) for state in (*case.weights, *case.momenta)]
    for b in range(batch):
        for h in range(heads):
            q, k, v, momentum, rate, decay = (tensor[b, :, h] for tensor in case.tokens)
            weights = [weight[b, h] for weight in case.weights]
            momenta = [held[b, h] for held in case.momenta]
            for t in range(length):
                if t % chunk == 0:
                    anchor = [weight.clone().requires_grad_() for weight in weights]
                first = max(t - window + 1, t - t % chunk)
                loss = sum((remember(tuple(anchor), k[i]) - v[i]).square().sum() for i in range(first, t + 1))
                slopes = torch.autograd.grad(loss, anchor)  # type: ignore[arg-type]
                momenta = [momentum[t] * s - rate[t] * g for s, g in zip(momenta, slopes, strict=True)]
                weights = [(1 - decay[t]) * w + s for w, s in zip(weights, momenta, strict=True)]
                read[b, t, h] = remember(tuple(weights), q[t])
            for final, state in zip(finals, [*weights, *momenta], strict=True):
                final[b, h] = state
    return (read, *finals)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("chunk", "window"), [(1, 1), (8, 1), (5, 3), (4, 4), (64, 16)])
def test_the_reference_is_the_equation(kind: str, chunk: int, window: int) -> None:
    case = draw(kind, 21, width=3, values=4, hidden=5)
    got = run(case, chunk=chunk, window=window, backend="reference")
    assert_all_near(OUTPUTS[kind], got, by_the_equation(case, chunk, window), 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_references_gradients_are_its_slopes(kind: str) -> None:
    case = draw(kind, 5, batch=1, heads=1, width=2, values=3, hidden=3)
    # Gates of exactly 0 and 1 too, where a logarithm would end.
    for gate, place, value in ((3, 1, 0.0), (3, 2, 1.0), (4, 3, 0.0), (5, 2, 0.0)):
        case.tokens[gate][:, place] = value
    leaves = [tensor.clone().requires_grad_() for tensor in case.all]
    layers = len(case.weights)

    def call(*tensors: Tensor) -> Tensors:
        parts = Case(tensors[:6], tensors[6 : 6 + layers], tensors[6 + layers :])
        return run(parts, chunk=3, window=2, backend="reference")

    assert torch.autograd.gradcheck(call, leaves)


@pytest.mark.parametrize("kind", KINDS)
def test_segments_that_end_with_a_chunk_equal_one_pass(kind: str) -> None:
    case = draw(kind, 29)
    options: dict[str, Any] = {"chunk": 8, "window": 3, "backend": "reference"}
    reads, part = [], case
    for start, end in ((0, 8), (8, 24), (24, 29)):
        read, *states = run(replace(part, tokens=case.between(start, end).tokens), **options)
        part = Case((), tuple(states[: len(case.weights)]), tuple(states[len(case.weights) :]))
        reads.append(read)
    got = (torch.cat(reads, dim=1), *part.weights, *part.momenta)
    assert_all_near(OUTPUTS[kind], got, run(case, **options), 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_equal_a_pass_of_chunks_of_one(kind: str) -> None:
    case = draw(kind, 9)
    got = step_through(case, chunk=1, window=1, backend="reference")
    assert_all_near(OUTPUTS[kind], got, run(case, chunk=1, backend="reference"), 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_with_an_anchor_equal_a_pass_of_its_chunks(kind: str) -> None:
    case = draw(kind, 9)
    got = step_through(case, chunk=4, window=3, backend="reference")
    assert_all_near(OUTPUTS[kind], got, run(case, chunk=4, window=3, backend="reference"), 1e-6)


def test_without_momenta_they_begin_at_zero() -> None:
    case = draw("linear", 5)
    read, _, _ = fast_weight(**named(case.tokens), weights=case.weights, backend="reference")
    zeros = replace(case, momenta=tuple(torch.zeros_like(held) for held in case.momenta))
    assert_near("o", read, run(zeros, backend="reference")[0], 1e-9)


def step_through(case: Case, *, chunk: int, window: int, backend: Backend) -> Tensors:
    """A run of steps, the anchor replaced at each chunk's start."""
    _, k, v, *_ = case.tokens
    weights, momenta, anchor = case.weights, case.momenta, None
    reads = []
    for t in range(k.shape[1]):
        if chunk > 1 and t % chunk == 0:
            anchor = weights
        first = max(t - window + 1, t - t % chunk)
        read, weights, momenta = fast_weight_step(
            **named(tuple(tensor[:, t] for tensor in case.tokens)),
            weights=weights,
            momenta=momenta,
            anchor=anchor,
            earlier=(k[:, first:t], v[:, first:t]) if first < t else None,
            backend=backend,
        )
        reads.append(read)
    return (torch.stack(reads, dim=1), *weights, *momenta)


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("length", "chunk", "window"),
    [(1, 16, 1), (5, 3, 2), (63, 16, 4), (123, 64, 1)],
    ids=lambda size: str(size),
)
def test_triton_agrees(
    kind: str, length: int, chunk: int, window: int, precision: Precision, device: torch.device
) -> None:
    # Sizes past a tile: of some, the last is in part empty.
    sizes = {"width": 20, "values": 36, "hidden": 72} if length > 5 else {}
    case = cast(draw(kind, length, batch=1, **sizes), precision.dtype, device)
    assert length == 1 or not any(tensor.is_contiguous() for tensor in case.tokens)
    want, slopes = gradients(case.map(Tensor.double), chunk=chunk, window=window, backend="reference")
    got, given = gradients(case, chunk=chunk, window=window, backend="triton")
    assert got[0].dtype is precision.dtype
    assert_all_near(OUTPUTS[kind], got, want, precision.tolerance)
    assert_all_near(tuple(f"d_{name}" for name in NAMES[kind]), given, slopes, precision.tolerance)


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("kind", KINDS)
def test_tritons_steps_agree(kind: str, precision: Precision, device: torch.device) -> None:
    case = cast(draw(kind, 5), precision.dtype, device)
    want = run(case.map(Tensor.double), chunk=3, window=2, backend="reference")
    got = step_through(case, chunk=3, window=2, backend="triton")
    assert got[0].dtype is precision.dtype
    assert_all_near(OUTPUTS[kind], got, want, precision.tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch_gives_empty_tensors(kind: str, backend: Backend, device: torch.device) -> None:
    case = cast(draw(kind, 7), torch.float32, device).map(lambda tensor: tensor[:0])
    outputs, slopes = gradients(case, backend=backend)
    shapes = [case.tokens[2].shape, *(state.shape for state in (*case.weights, *case.momenta))]
    assert [output.shape for output in outputs] == shapes
    assert [slope.shape for slope in slopes] == [tensor.shape for tensor in case.all]
    stepped = step_through(case.between(0, 1), chunk=1, window=1, backend=backend)
    assert stepped[0].shape == (0, 1, 2, 20)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("momentum", [0.0, 1.0])
@pytest.mark.parametrize("decay", [0.0, 1 - 1e-7])
def test_gates_at_their_ends(backend: Backend, momentum: float, decay: float, device: torch.device) -> None:
    case = cast(draw("linear", 20, batch=1, heads=1, width=4, values=4), torch.float32, device)
    gates = (torch.full_like(case.tokens[3], value) for value in (momentum, 0.05, decay))
    case = replace(case, tokens=(*case.tokens[:3], *gates))
    want, slopes = gradients(case.map(Tensor.double), chunk=16, backend="reference")
    got, given = gradients(case, chunk=16, backend=backend)
    assert_all_near(OUTPUTS["linear"], got, want, 1e-5)
    assert_all_near(NAMES["linear"], given, slopes, 1e-5)
    assert_near("o by the equation", want[0], by_the_equation(case.map(Tensor.double), 16, 1)[0], 1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_large_values_stay_finite(
    kind: str, backend: Backend, precision: Precision, device: torch.device
) -> None:
    # An error of 1e5 leaves float16, in which it is never held.
    case = draw(kind, 20, batch=1, heads=1)
    q, k, v, momentum, rate, decay = case.tokens
    tokens = (q, k, v.clamp(-2, 2) * 25_000, momentum, rate * (1e-1 if kind == "linear" else 1e-6), decay)
    case = cast(replace(case, tokens=tokens), precision.dtype, device)
    want = run(case.map(Tensor.double), chunk=16, backend="reference")
    assert_all_near(OUTPUTS[kind], run(case, chunk=16, backend=backend), want, precision.tolerance)


def test_a_million_steps_of_decay() -> None:
    length = 1_000_000
    q = torch.ones(1, length, 1, 1)
    zero = torch.zeros(1, length, 1)
    weight = torch.ones(1, 1, 1, 1)
    decay = torch.full_like(zero, 2.0**-20)
    read, (last,), _ = fast_weight(q, q, q, zero, zero, decay, (weight,), backend="reference")
    want = torch.exp(torch.arange(1, length + 1, dtype=torch.float64) * torch.log1p(-decay[0, 0, 0].double()))
    assert_near("o", read.flatten(), want, 1e-4)
    assert_near("W", last.flatten(), want[-1:], 1e-4)


def test_a_few_thousand_steps_through_the_kernel(device: torch.device) -> None:
    case = cast(draw("linear", 2_000, batch=1, heads=1, width=8, values=8), torch.float32, device)
    want = run(case.map(Tensor.double), window=2, backend="reference")
    assert_all_near(OUTPUTS["linear"], run(case, window=2, backend="triton"), want, 2e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_nan_reaches_its_own_head_from_its_own_chunk_on(
    kind: str, backend: Backend, device: torch.device
) -> None:
    case = cast(draw(kind, 7, width=4, values=4, hidden=8), torch.float32, device)
    clean, slopes = gradients(case, chunk=4, backend=backend)
    k = case.tokens[1].clone()
    k[1, 5, 1] = torch.nan
    stained, stained_slopes = gradients(
        replace(case, tokens=(case.tokens[0], k, *case.tokens[2:])), chunk=4, backend=backend
    )
    touched = torch.zeros(2, 7, 2, dtype=torch.bool, device=device)
    touched[1, 4:, 1] = True
    assert torch.isnan(stained[0][1, 5:, 1]).all()
    assert torch.equal(stained[0][~touched], clean[0][~touched])
    others = torch.ones(2, 2, dtype=torch.bool, device=device)
    others[1, 1] = False
    for one, other in zip(stained[1:], clean[1:], strict=True):
        assert torch.isnan(one[1, 1]).any()
        assert torch.equal(one[others], other[others])
    for name, one, other in zip(NAMES[kind], stained_slopes, slopes, strict=True):
        if one.dim() == 4 and one.shape[1] == 2:  # a state's
            assert torch.equal(one[others], other[others]), name
        else:
            assert torch.equal(one.transpose(1, 2)[others], other.transpose(1, 2)[others]), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_operators_keep_torchs_rules(kind: str, device: torch.device) -> None:
    from storyloom.kernels import fast_weight_triton as operators

    case = cast(draw(kind, 5, batch=1, heads=1), torch.float32, device)
    case = case.map(lambda tensor: tensor.requires_grad_())
    memory = [*case.weights, *case.momenta]
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(operators._forward, (*case.tokens, memory, 4, 2), test_utils=checks)
    tokens, memory = [[tensor.detach() for tensor in part] for part in (case.tokens, memory)]
    output, after, starts, errors = operators._forward(*tokens, memory, 4, 2)
    given = (output, after, *tokens, starts, errors, 4, 2)
    torch.library.opcheck(operators._backward, given, test_utils=("test_schema", "test_faketensor"))
    token = [tensor[:, 0] if index in {0, 3, 4, 5} else tensor[:, :1] for index, tensor in enumerate(tokens)]
    given_step = (*token, memory, memory[: len(case.weights)])
    torch.library.opcheck(operators._step, given_step, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize(
    ("kind", "backend"), [("linear", "reference"), ("linear", "triton"), ("mlp", "triton")]
)
def test_torch_compile_sees_one_graph(kind: str, backend: Backend, device: torch.device) -> None:
    case = cast(draw(kind, 3, batch=1, heads=1), torch.float32, device).map(Tensor.requires_grad_)

    def loss(*tensors: Tensor) -> Tensor:
        layers = len(case.weights)
        parts = Case(tensors[:6], tensors[6 : 6 + layers], tensors[6 + layers :])
        outputs = run(parts, chunk=2, window=2, backend=backend)
        return torch.stack([output.square().sum() for output in outputs]).sum()

    # The operators' shapes and gradients are traced too; the reference's is PyTorch's own affair.
    tracer = "aot_eager" if backend == "triton" else "eager"
    compiled = torch.compile(loss, fullgraph=True, backend=tracer)
    got = torch.autograd.grad(compiled(*case.all), case.all)
    assert_all_near(NAMES[kind], got, torch.autograd.grad(loss(*case.all), case.all), 1e-5)


def changed(case: Case, **tensors: Tensor) -> Case:
    return replace(case, tokens=tuple((named(case.tokens) | tensors).values()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", TOKENS)
def test_a_token_of_another_shape_or_type_is_named(size: str, backend: Backend) -> None:
    case = cast(draw("linear", 5), torch.float32, torch.device("cpu"))
    tensor = named(case.tokens)[size]
    with pytest.raises(ValueError, match=rf"fast_weight: {size} "):
        run(changed(case, **{size: tensor[..., None]}), backend=backend)
    shorter = {"q": "k"}.get(size, size)  # the others are held to q
    with pytest.raises(ValueError, match=rf"fast_weight: {shorter} has shape .*length=\d"):
        run(changed(case, **{size: tensor[:, :3]}), backend=backend)
    with pytest.raises(ValueError, match=rf"fast_weight: {size} .*dtype"):
        run(changed(case, **{size: tensor.int()}), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"weights": ()}, r"weights is 0 tensors; it must be a tuple of 1"),
        ({"weights": torch.ones(1)}, r"weights is a Tensor"),
        ({"weights": (torch.ones(2, 2, 24, 20),)}, r"weights\[0\] has shape"),
        ({"weights": (torch.ones(2, 2, 7, 24), torch.ones(2, 2, 20, 8))}, r"weights\[1\] has .*hidden=7"),
        ({"weights": (torch.ones(2, 2, 20, 24).half(),)}, r"weights\[0\] has dtype"),
        ({"momenta": (torch.ones(2, 2, 20, 23),)}, r"momenta\[0\] has shape"),
        ({"momenta": ()}, r"momenta is 0 tensors"),
        ({"chunk": 0}, r"chunk is 0; it must be a whole number from 1 to 64"),
        ({"chunk": 65}, r"chunk is 65"),
        ({"chunk": 4, "window": 5}, r"window is 5; it must be a whole number from 1 to 4"),
        ({"window": 1.0}, r"window is 1.0"),
    ],
)
def test_a_wrong_state_or_size_is_named(change: dict[str, Any], told: str, backend: Backend) -> None:
    case = cast(draw("linear", 5), torch.float32, torch.device("cpu"))
    given: dict[str, Any] = {"weights": case.weights, "backend": backend} | change
    with pytest.raises(ValueError, match=f"fast_weight: {told}"):
        fast_weight(**named(case.tokens), **given)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_size_that_no_kernel_takes_is_named(backend: Backend) -> None:
    for name, sizes in (("q", {"width": 129}), ("v", {"values": 129})):
        case = cast(draw("linear", 2, **sizes), torch.float32, torch.device("cpu"))
        with pytest.raises(ValueError, match=rf"fast_weight: {name} has shape .* must be at most 128"):
            run(case, backend=backend)
    case = cast(draw("linear", 2), torch.float32, torch.device("cpu")).between(0, 0)
    with pytest.raises(ValueError, match=r"fast_weight: q has shape .* axis length must have at least 1"):
        run(case, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_wrong_step_is_named(backend: Backend) -> None:
    case = cast(draw("linear", 4), torch.float32, torch.device("cpu"))
    token = tuple(tensor[:, 3] for tensor in case.tokens)
    q, k, v, *_ = case.tokens
    for change, told in (
        ({"anchor": ()}, r"anchor is 0 tensors"),
        ({"anchor": (torch.ones(2, 2, 20, 3),)}, r"anchor\[0\] has shape"),
        ({"earlier": (k,)}, r"earlier is tuple"),
        ({"earlier": (k[:, :2], v[:, :1])}, r"earlier\[1\] has shape"),
        ({"earlier": (k[..., :2], v)}, r"earlier\[0\] has shape"),
        ({"earlier": (k.repeat(1, 16, 1, 1), v.repeat(1, 16, 1, 1))}, r"earlier's tokens is 64"),
    ):
        with pytest.raises(ValueError, match=f"fast_weight_step: {told}"):
            fast_weight_step(**named(token), weights=case.weights, backend=backend, **change)
    with pytest.raises(ValueError, match="fast_weight_step: q has shape"):
        fast_weight_step(**named((q, *token[1:])), weights=case.weights, backend=backend)


def test_triton_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    case = draw("linear", 3)
    token = tuple(tensor[:, 0] for tensor in case.tokens)
    with pytest.raises(RuntimeError, match=r"fast_weight: .*float64"):
        run(case, backend="triton")
    with pytest.raises(RuntimeError, match=r"fast_weight_step: .*float64"):
        fast_weight_step(**named(token), weights=case.weights, backend="triton")
    case = case.map(Tensor.float)
    token = tuple(tensor[:, 0] for tensor in case.tokens)
    asked = (token[0].requires_grad_(), *token[1:])
    with pytest.raises(RuntimeError, match=r"fast_weight_step: .*no gradient"):
        fast_weight_step(**named(asked), weights=case.weights, backend="triton")
    assert fast_weight_step(**named(asked), weights=case.weights)[0].requires_grad
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(RuntimeError, match=r"fast_weight: .*TRITON_INTERPRET"):
        run(case, backend="triton")
    with pytest.raises(ValueError, match="backend is 'cuda'"):
        run(case, backend="cuda")
    assert_near("o", run(case)[0], run(case, backend="reference")[0], 1e-9)
