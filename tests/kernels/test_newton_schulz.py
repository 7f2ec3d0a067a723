"""Newton–Schulz: the equation, the two backends against each other, and the ends of the range."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from storyloom.kernels.backend import Backend
from storyloom.kernels.newton_schulz import newton_schulz, newton_schulz_add
from storyloom.kernels.newton_schulz_reference import COEFFICIENTS
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import Precision

# Rows and columns: one number, a row, a column, odd and wide, odd and tall, square.
SMALL = [(1, 1), (1, 63), (5, 1), (5, 63), (63, 5), (123, 16), (64, 64)]
# Too large for one program, wide and tall.
WIDE, TALL = (36, 70), (70, 36)
# Several tiles both ways: half precisions have larger ones.
TILES, HALF_TILES = (67, 70), (195, 210)


@pytest.fixture
def generator(device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(7)


@pytest.fixture
def normal(device: torch.device, generator: torch.Generator) -> Callable[..., Tensor]:
    def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    return drawn


def by_singular_values(g: Tensor, steps: int) -> Tensor:
    """The definition in float64: the odd polynomial on each singular value over the matrix's norm."""
    u, sigma, vh = torch.linalg.svd(g.double(), full_matrices=False)
    sigma = sigma / sigma.square().sum(-1, keepdim=True).sqrt()
    for a, b, c in COEFFICIENTS[:steps]:
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    result: Tensor = u @ (sigma.unsqueeze(-1) * vh)
    return result


def by_elements(g: Tensor) -> Tensor:
    """Five steps of one matrix in float64, as sums over elements; never transposed."""
    x = g.double() / g.double().square().sum().sqrt()
    for a, b, c in COEFFICIENTS:
        gram = torch.einsum("ik,jk->ij", x, x)
        x = a * x + b * torch.einsum("ij,jk->ik", gram, x) + c * torch.einsum("ij,jl,lk->ik", gram, gram, x)
    return x


def rows_normed(w: Tensor, g: Tensor, row_norms: Tensor) -> Tensor:
    """The stepped weights in float64, row by row."""
    step = torch.stack([by_elements(matrix) for matrix in g])
    rows = []
    for start, change, norm in zip(
        w.flatten(0, 1), step.flatten(0, 1), row_norms.flatten().double(), strict=True
    ):
        moved = start.double() + change
        rows.append(norm * moved / moved.dot(moved).sqrt())
    return torch.stack(rows).view(w.shape)


def gradients(run: Callable[..., Tensor], inputs: list[Tensor], upstream: Tensor) -> list[Tensor]:
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    out = run(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, upstream.to(out.dtype))]


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (9, 5), (7, 7)])
def test_reference_is_the_equation(normal: Callable[..., Tensor], shape: tuple[int, int]) -> None:
    g = normal(3, *shape, dtype=torch.float64)
    got = newton_schulz(g, backend="reference")
    assert_near("against the sums", got, torch.stack([by_elements(matrix) for matrix in g]), 1e-10)
    for steps in range(1, 6):
        got = newton_schulz(g, steps=steps, backend="reference")
        assert_near(f"{steps} steps", got, by_singular_values(g, steps), 1e-6)


def test_singular_values_come_near_one(normal: Callable[..., Tensor]) -> None:
    sigma = torch.linalg.svdvals(newton_schulz(normal(4, 48, 96)))
    assert 0.85 < sigma.min() < sigma.max() < 1.15


def test_reference_adds_and_norms_the_rows(normal: Callable[..., Tensor]) -> None:
    w, g = normal(2, 6, 4, dtype=torch.float64), normal(2, 6, 4, dtype=torch.float64)
    norms = normal(2, 6, dtype=torch.float64).abs()
    got = newton_schulz_add(w, g, norms, backend="reference")
    assert_near("the weights", got, rows_normed(w, g, norms), 1e-10)
    assert_near("their norms", got.norm(dim=-1), norms, 1e-10)


def test_reference_gradients(normal: Callable[..., Tensor]) -> None:
    for rows, columns in ((3, 4), (4, 3)):
        g = normal(2, rows, columns, dtype=torch.float64).requires_grad_()
        w = normal(2, rows, columns, dtype=torch.float64).requires_grad_()
        norms = normal(2, rows, dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(lambda g: newton_schulz(g, backend="reference"), [g])
        assert torch.autograd.gradcheck(
            lambda w, g, norms: newton_schulz_add(w, g, norms, backend="reference"), [w, g, norms]
        )


@pytest.mark.parametrize("shape", [*SMALL, TILES], ids=str)
@pytest.mark.usefixtures("poison")
def test_triton_is_the_reference(
    normal: Callable[..., Tensor], precision: Precision, shape: tuple[int, int]
) -> None:
    batch = 1 if shape == TILES else 2
    if shape == TILES and precision.dtype != torch.float32:
        shape = HALF_TILES
    g = normal(batch, *shape, dtype=precision.dtype)
    upstream = normal(batch, *shape, dtype=precision.dtype)
    want = gradients(lambda g: newton_schulz(g, backend="reference"), [g.double()], upstream)
    got = gradients(lambda g: newton_schulz(g, backend="triton"), [g], upstream)
    assert got[0].dtype == got[1].dtype == precision.dtype
    assert_near("output", got[0], want[0], precision.tolerance)
    if min(shape) > 1:
        assert_near("gradient", got[1], want[1], precision.tolerance)
    else:
        # A single singular value is 1 whatever its size is: of its gradient only the direction is left.
        assert_near("gradient", got[1] + upstream, want[1] + upstream, precision.tolerance)


@pytest.mark.parametrize("shape", [(5, 63), (123, 16), TALL], ids=str)
@pytest.mark.usefixtures("poison")
def test_triton_adds_like_the_reference(
    normal: Callable[..., Tensor], precision: Precision, shape: tuple[int, int]
) -> None:
    if shape == TALL and precision.dtype != torch.float32:
        shape = (210, 70)
    batch = 1 if shape == (210, 70) else 2
    inputs = [normal(batch, *shape), normal(batch, *shape), normal(batch, shape[0]).abs()]
    inputs = [tensor.to(precision.dtype) for tensor in inputs]
    upstream = normal(batch, *shape, dtype=precision.dtype)
    doubled = [tensor.double() for tensor in inputs]
    want = gradients(lambda *all_: newton_schulz_add(*all_, backend="reference"), doubled, upstream)
    got = gradients(lambda *all_: newton_schulz_add(*all_, backend="triton"), inputs, upstream)
    for name, ours, theirs in zip(("output", "w", "g", "row_norms"), got, want, strict=True):
        assert ours.dtype == precision.dtype
        assert_near(name, ours, theirs, precision.tolerance)


@pytest.mark.parametrize("shape", [(24, 40), TILES], ids=str)
def test_half_directions_beside_float32_weights(
    normal: Callable[..., Tensor], shape: tuple[int, int]
) -> None:
    inputs = [normal(1, *shape), normal(1, *shape, dtype=torch.float16), normal(1, shape[0]).abs()]
    upstream = normal(1, *shape)
    doubled = [tensor.double() for tensor in inputs]
    want = gradients(lambda *all_: newton_schulz_add(*all_, backend="reference"), doubled, upstream)
    for backend in ("reference", "triton"):
        got = gradients(lambda *all_: newton_schulz_add(*all_, backend=backend), inputs, upstream)  # noqa: B023
        assert [tensor.dtype for tensor in got] == [
            torch.float32,
            torch.float32,
            torch.float16,
            torch.float32,
        ]
        for name, ours, theirs in zip(("output", "w", "g", "row_norms"), got, want, strict=True):
            assert_near(f"{name}, {backend}", ours, theirs, 5e-3)


@pytest.mark.parametrize(("shape", "steps"), [((6, 20), 1), ((6, 20), 4), (WIDE, 1), (TALL, 2)])
def test_fewer_steps(normal: Callable[..., Tensor], shape: tuple[int, int], steps: int) -> None:
    g, upstream = normal(1, *shape), normal(1, *shape)
    want = gradients(lambda g: newton_schulz(g, steps=steps, backend="reference"), [g.double()], upstream)
    got = gradients(lambda g: newton_schulz(g, steps=steps, backend="triton"), [g], upstream)
    for ours, theirs in zip(got, want, strict=True):
        assert_near(f"{steps} steps", ours, theirs, 2e-4)


@pytest.mark.parametrize("shape", [(24, 40), TALL], ids=str)
def test_strided_inputs(normal: Callable[..., Tensor], shape: tuple[int, int]) -> None:
    """Views that step over elements, transposed, and with leading axes: no copy is needed to be right."""
    rows, columns = shape
    g = normal(1, 2, columns, 2 * rows)[..., ::2].mT
    w = normal(rows, 2, 1, columns).permute(2, 1, 0, 3)
    norms = normal(1, 2, rows * 3)[..., ::3]
    upstream = normal(1, columns, rows, 2).permute(0, 3, 2, 1)
    assert not any(tensor.is_contiguous() for tensor in (g, w, norms, upstream))
    want = gradients(lambda *all_: newton_schulz_add(*all_, backend="reference"), [w, g, norms], upstream)
    got = gradients(lambda *all_: newton_schulz_add(*all_, backend="triton"), [w, g, norms], upstream)
    want += gradients(lambda g: newton_schulz(g, steps=1, backend="reference"), [g], upstream)
    got += gradients(lambda g: newton_schulz(g, steps=1, backend="triton"), [g], upstream)
    for ours, theirs in zip(got, want, strict=True):
        assert_near("strided", ours, theirs, 2e-4)


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("shape", [(0, 4, 6), (2, 0, 150, 131), (3, 5), (2, 1, 3, 5)], ids=str)
def test_leading_axes(normal: Callable[..., Tensor], shape: tuple[int, ...], backend: Backend) -> None:
    inputs = [normal(*shape), normal(*shape), normal(*shape[:-1])]
    alone = gradients(lambda g: newton_schulz(g, backend=backend), inputs[:1], normal(*shape))
    added = gradients(lambda *all_: newton_schulz_add(*all_, backend=backend), inputs, normal(*shape))
    assert [tensor.shape for tensor in alone + added] == [*[shape] * 4, shape, shape[:-1]]


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize(("shape", "steps"), [((24, 40), 5), ((40, 24), 5), (WIDE, 1)])
def test_any_norm_gives_the_same(
    normal: Callable[..., Tensor], shape: tuple[int, int], steps: int, backend: Backend
) -> None:
    g, upstream = normal(1, *shape), normal(1, *shape)

    def run(g: Tensor) -> Tensor:
        return newton_schulz(g, steps=steps, backend=backend)

    want = gradients(lambda g: newton_schulz(g, steps=steps, backend="reference"), [g.double()], upstream)
    for norm in (1e-30, 1e30) if shape == WIDE else (1e-30, 1e-20, 1e20, 1e30):
        size = float(norm / g.norm())
        got = gradients(run, [g * size], upstream)
        assert_near(f"output at norm {norm}", got[0], want[0], 2e-4)
        assert_near(f"gradient at norm {norm}", got[1] * size, want[1], 2e-4)


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize(("shape", "steps"), [((24, 40), 5), (WIDE, 2)])
def test_zeros_and_rank_one(
    normal: Callable[..., Tensor], shape: tuple[int, int], steps: int, backend: Backend
) -> None:
    rows, columns = shape
    g = torch.stack([torch.zeros_like(normal(*shape)), normal(rows, 1) * normal(1, columns)])
    out, gradient = gradients(
        lambda g: newton_schulz(g, steps=steps, backend=backend), [g], normal(2, *shape)
    )
    assert not out[0].any()
    assert not gradient[0].any()
    assert_near("rank one", out[1], by_singular_values(g[1], steps), 2e-4)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("shape", [(6, 20), TALL], ids=str)
def test_rows_of_zeros(normal: Callable[..., Tensor], shape: tuple[int, int], backend: Backend) -> None:
    inputs = [normal(1, *shape), normal(1, *shape) * 0, normal(1, shape[0])]
    inputs[0][:, 3] = 0
    got = gradients(lambda *all_: newton_schulz_add(*all_, backend=backend), inputs, normal(1, *shape))
    assert not got[0][:, 3].any()
    assert not got[1][:, 3].any()
    assert_near("the rows' norms", got[0].norm(dim=-1)[:, :3], inputs[2].abs()[:, :3], 1e-5)
    assert all(torch.isfinite(tensor).all() for tensor in got)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_rows_of_any_norm(normal: Callable[..., Tensor], backend: Backend) -> None:
    sizes = torch.tensor([1e-30, 1e-20, 1.0, 1e8, 1e20, 1e30], device=normal(1).device)
    inputs = [normal(1, 6, 24) * sizes[:, None], normal(1, 6, 24), sizes[None]]
    got = gradients(lambda *all_: newton_schulz_add(*all_, backend=backend), inputs, normal(1, 6, 24))
    want = rows_normed(*inputs)
    for row, size in enumerate(sizes.tolist()):
        assert_near(f"row of norm {size}", got[0][0, row] / size, want[0, row] / size, 2e-4)
    assert all(torch.isfinite(tensor).all() for tensor in got)


@pytest.mark.parametrize("backend", ["reference", "triton"])
# The interpreter takes largest values by NumPy, which warns where all are NaN.
@pytest.mark.filterwarnings("ignore:All-NaN slice")
@pytest.mark.parametrize("shape", [(24, 40), TALL], ids=str)
def test_nan_stays_where_it_is(
    normal: Callable[..., Tensor], shape: tuple[int, int], backend: Backend
) -> None:
    w, g, norms = normal(3, *shape), normal(3, *shape), normal(3, shape[0])
    g[1, 2, 3] = float("nan")
    alone = newton_schulz(g, steps=1, backend=backend)
    assert alone[1].isnan().all()
    assert torch.isfinite(alone[[0, 2]]).all()
    w[0, 5, 1] = float("nan")
    stepped = newton_schulz_add(w, g, norms, backend=backend)
    assert stepped[1].isnan().all()
    assert stepped[0, 5].isnan().all()
    stepped[0, 5] = 0
    assert torch.isfinite(stepped[[0, 2]]).all()


def test_the_operators_hold_to_torchs_rules(normal: Callable[..., Tensor]) -> None:
    newton_schulz(normal(1, 2, 2), backend="triton")
    operators = torch.ops.storyloom
    inputs = normal(2, 9, 6), normal(2, 9, 6), normal(2, 9)
    w, g, norms = (tensor.requires_grad_() for tensor in inputs)
    torch.library.opcheck(operators.newton_schulz.default, (g, 5))
    torch.library.opcheck(operators.newton_schulz_add.default, (w, g, norms))
    w, g, norms = w.detach(), g.detach(), norms.detach()
    torch.library.opcheck(operators.newton_schulz_backward.default, (g, w, 5))
    torch.library.opcheck(operators.newton_schulz_add_backward.default, (w, g, norms, w))


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_compiled_is_eager(normal: Callable[..., Tensor], backend: Backend) -> None:
    def stepped(w: Tensor, g: Tensor, norms: Tensor) -> Tensor:
        return newton_schulz_add(w, newton_schulz(g, backend=backend), norms, backend=backend)

    inputs, upstream = [normal(2, 6, 20), normal(2, 6, 20), normal(2, 6)], normal(2, 6, 20)
    want = gradients(stepped, inputs, upstream)
    got = gradients(torch.compile(stepped, fullgraph=True, backend="aot_eager"), inputs, upstream)
    for ours, theirs in zip(got, want, strict=True):
        assert_near("compiled", ours, theirs, 1e-6)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_bad_input_is_named(backend: Backend) -> None:
    g = torch.zeros(2, 4, 6)
    bad: list[tuple[str, dict[str, object]]] = [
        ("g has shape", {"g": torch.zeros(4)}),
        ("g has shape .* rows", {"g": torch.zeros(2, 0, 6)}),
        ("g has shape .* columns", {"g": torch.zeros(2, 4, 0)}),
        ("g has dtype", {"g": g.int()}),
        ("steps is 0", {"g": g, "steps": 0}),
        ("steps is 6", {"g": g, "steps": 6}),
    ]
    for told, arguments in bad:
        with pytest.raises(ValueError, match=f"newton_schulz: {told}"):
            newton_schulz(**arguments, backend=backend)  # type: ignore[arg-type]
    norms = torch.zeros(2, 4)
    bad = [
        ("w has shape", {"w": torch.zeros(6)}),
        ("g has shape", {"g": torch.zeros(2, 6, 4)}),
        ("g has dtype", {"g": g.double()}),
        ("g has dtype", {"w": g.half(), "row_norms": norms.half()}),
        ("g is on meta", {"g": g.to("meta")}),
        ("row_norms has shape", {"row_norms": torch.zeros(2, 4, 1)}),
        ("row_norms has dtype", {"row_norms": norms.half()}),
        ("row_norms is on meta", {"row_norms": norms.to("meta")}),
    ]
    for told, arguments in bad:
        with pytest.raises(ValueError, match=f"newton_schulz_add: {told}"):
            newton_schulz_add(**{"w": g, "g": g, "row_norms": norms, **arguments}, backend=backend)  # type: ignore[arg-type]


def test_backends_that_cant_run(monkeypatch: pytest.MonkeyPatch) -> None:
    g, norms = torch.zeros(2, 4, 6), torch.zeros(2, 4)
    with pytest.raises(ValueError, match="newton_schulz: backend is 'cuda'"):
        newton_schulz(g, backend="cuda")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"newton_schulz: .* float64"):
        newton_schulz(g.double(), backend="triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError, match=r"newton_schulz: .* can't run here"):
        newton_schulz(g, backend="triton")
    with pytest.raises(RuntimeError, match=r"newton_schulz_add: .* can't run here"):
        newton_schulz_add(g, g, norms, backend="triton")
    assert newton_schulz(g).shape == g.shape
