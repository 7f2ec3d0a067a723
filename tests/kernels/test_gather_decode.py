"""Gather-decode: the reference against the equation token by token, and the kernel against the reference."""

import math
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from storyloom.kernels.backend import Backend
from storyloom.kernels.gather_decode import gather_decode, merge_attention, merge_stacked
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import Precision

CPU = torch.device("cpu")
F64 = torch.float64


def cache_like(
    device: torch.device,
    dtype: torch.dtype,
    batch: int,
    length: int,
    kv_heads: int,
    width: int,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(seed)
    shape = (batch, length, kv_heads, width)
    k, v = (torch.randn(shape, generator=made, dtype=F64).to(device, dtype) for _ in range(2))
    return k, v


def queries_like(k: Tensor, queries: int, group: int, seed: int = 1) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    shape = (k.shape[0], queries, k.shape[2] * group, k.shape[3])
    return torch.randn(shape, generator=made, dtype=F64).to(k.device, k.dtype)


def choice(k: Tensor, block: int, selected: int, empty: int = 0, seed: int = 2) -> Tensor:
    """Blocks of the cache, in no order, none twice; the last ``empty`` slots hold none."""
    made = torch.Generator().manual_seed(seed)
    blocks = math.ceil(k.shape[1] / block)
    rows = [torch.randperm(blocks, generator=made)[:selected] for _ in range(k.shape[0] * k.shape[2])]
    indices = torch.stack(rows).view(k.shape[0], k.shape[2], selected)
    indices[..., selected - empty :] = -1
    return indices.to(k.device)


def naive(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    indices: Tensor,
    *,
    block: int = 1,
    lengths: Tensor | None = None,
    block_logits: Tensor | None = None,
    gate: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The docstring's equation, one token after the other."""
    o, lse = torch.zeros_like(q), torch.full(q.shape[:3], -torch.inf, dtype=q.dtype)
    group = q.shape[2] // k.shape[2]
    for b, i, h in torch.cartesian_prod(*(torch.arange(size) for size in q.shape[:3])).tolist():
        end = k.shape[1] if lengths is None else min(int(lengths[b]), k.shape[1])
        total, value = 0.0, torch.zeros(q.shape[3], dtype=q.dtype)
        for slot, index in enumerate(indices[b, h // group].tolist()):
            tokens = [t for t in range(index * block, (index + 1) * block) if 0 <= t < end]
            weights = [math.exp(float(q[b, i, h] @ k[b, t, h // group]) * q.shape[3] ** -0.5) for t in tokens]
            if not tokens:
                continue
            logit = math.log(sum(weights))
            if block_logits is not None:
                share = 1.0 if gate is None else float(gate[h])
                logit = (1 - share) * logit + share * float(block_logits[b, i, h, slot])
            for t, weight in zip(tokens, weights, strict=True):
                value = value + math.exp(logit) * weight / sum(weights) * v[b, t, h // group]
            total += math.exp(logit)
        if total:
            o[b, i, h], lse[b, i, h] = value / total, math.log(total)
    return o, lse


@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("landmarks", [None, "replace", "gate"])
def test_the_reference_is_the_equation(block: int, landmarks: str | None) -> None:
    k, v = cache_like(CPU, F64, 2, 23, 2, 5)
    q = queries_like(k, 2, 3)
    indices = choice(k, block, 5, empty=1)
    logits = torch.randn(2, 2, 6, 5, dtype=F64) if landmarks else None
    gate = torch.rand(6, dtype=F64) if landmarks == "gate" else None
    lengths = torch.tensor([22, 9])
    options: dict[str, Any] = {"block": block, "lengths": lengths, "block_logits": logits, "gate": gate}
    o, lse = gather_decode(q, k, v, indices, **options, backend="reference")
    want_o, want_lse = naive(q, k, v, indices, **options)
    torch.testing.assert_close(o, want_o, rtol=0, atol=1e-6)
    torch.testing.assert_close(lse, want_lse, rtol=0, atol=1e-6)


def test_the_whole_cache_chosen_is_ordinary_attention() -> None:
    k, v = cache_like(CPU, F64, 2, 24, 2, 8)
    q = queries_like(k, 1, 2)
    everything = choice(k, 4, 6)
    o, _ = gather_decode(q, k, v, everything, block=4, backend="reference")
    every = (q, k.repeat_interleave(2, 2), v.repeat_interleave(2, 2))
    heads_q, heads_k, heads_v = (x.transpose(1, 2) for x in every)
    want = torch.nn.functional.scaled_dot_product_attention(heads_q, heads_k, heads_v).transpose(1, 2)
    torch.testing.assert_close(o, want, rtol=0, atol=1e-9)
    unmoved = torch.randn(2, 1, 4, 6, dtype=F64)
    o, _ = gather_decode(
        q,
        k,
        v,
        everything,
        block=4,
        block_logits=unmoved,
        gate=torch.zeros(4, dtype=F64),
        backend="reference",
    )
    torch.testing.assert_close(o, want, rtol=0, atol=1e-9)


def test_the_reference_has_right_gradients() -> None:
    k, v = cache_like(CPU, F64, 1, 7, 1, 3)
    q = queries_like(k, 1, 2)
    made = torch.Generator().manual_seed(3)
    logits = torch.randn(1, 1, 2, 3, generator=made, dtype=F64)
    gate = torch.rand(2, generator=made, dtype=F64)
    indices = torch.tensor([[[3, -1, 0]]])
    inputs = [x.requires_grad_() for x in (q, k, v, logits, gate)]

    def run(q: Tensor, k: Tensor, v: Tensor, logits: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        return gather_decode(q, k, v, indices, block=2, block_logits=logits, gate=gate, backend="auto")

    assert torch.autograd.gradcheck(run, inputs)
    o, lse = gather_decode(q, k, v, torch.full((1, 1, 2), -1), backend="auto")
    (grad,) = torch.autograd.grad(o.sum() + lse.exp().sum(), q)
    assert not grad.any(), "an empty choice has a gradient of 0"


def test_parts_merge_to_the_whole() -> None:
    k, v = cache_like(CPU, F64, 1, 20, 2, 4)
    q = queries_like(k, 1, 2)
    indices = choice(k, 2, 9)
    whole = gather_decode(q, k, v, indices, block=2, backend="reference")
    one, two, none = (
        gather_decode(q, k, v, part.contiguous(), block=2, backend="reference")
        for part in (indices[..., :4], indices[..., 4:], torch.full_like(indices, -1))
    )
    for name, got, want in zip(("o", "lse"), merge_attention(*one, *two), whole, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-9, msg=name)
    for got, want in zip(merge_attention(*none, *one), one, strict=True):
        torch.testing.assert_close(got, want)
    empty = merge_attention(*none, *none)
    assert torch.equal(empty[0], none[0])
    assert torch.equal(empty[1], none[1])
    parts = [x.clone().requires_grad_() for x in (*one, *two)]
    assert torch.autograd.gradcheck(merge_attention, parts)


def test_many_parts_merge_as_two_and_two() -> None:
    k, v = cache_like(CPU, torch.float64, 2, 24, 1, 8)
    q = queries_like(k, 3, 2)
    parts = [gather_decode(q, k, v, torch.full((2, 1, 1), place), block=4) for place in (0, 3, 5, -1)]
    o, lse = merge_stacked(*(torch.stack(part) for part in zip(*parts, strict=True)))
    whole = gather_decode(q, k, v, torch.tensor([[[0, 3, 5]]] * 2), block=4)
    torch.testing.assert_close((o, lse), whole)
    by_two = merge_attention(*merge_attention(*parts[0], *parts[1]), *merge_attention(*parts[2], *parts[3]))
    torch.testing.assert_close(by_two, whole)
    with pytest.raises(ValueError, match="lse"):
        merge_stacked(o[None], lse)


SHAPES = {
    # batch, cache, kv heads, group, width, queries, block, chosen, empty
    "one token": (1, 1, 1, 1, 16, 1, 1, 1, 0),
    "tokens": (2, 700, 1, 3, 64, 1, 1, 333, 5),
    "odd blocks": (1, 123, 2, 2, 40, 2, 5, 9, 1),
    "many rows": (1, 63, 1, 7, 24, 11, 16, 4, 0),
}


def compare(precision: Precision, device: torch.device, shape: tuple[int, ...], landmarks: bool) -> None:
    batch, length, kv_heads, group, width, queries, block, selected, empty = shape
    k, v = cache_like(device, precision.dtype, batch, length, kv_heads, width)
    q = queries_like(k, queries, group)
    indices = choice(k, block, selected, empty)
    made = torch.Generator().manual_seed(4)
    logits = 2 * torch.randn(batch, queries, kv_heads * group, selected, generator=made, dtype=F64)
    logits = logits.to(device, torch.float32)
    gate = torch.linspace(0, 1, kv_heads * group, device=device, dtype=torch.float32)
    extra: dict[str, Any] = {"block_logits": logits, "gate": gate} if landmarks else {}
    lengths = torch.arange(length, length - batch, -1, device=device, dtype=torch.int32)
    got = gather_decode(q, k, v, indices, block=block, lengths=lengths, **extra, backend="triton")
    want = gather_decode(
        q.double(), k.double(), v.double(), indices, block=block, lengths=lengths,
        **{name: x.double() for name, x in extra.items()}, backend="reference",
    )  # fmt: skip
    assert got[0].dtype == precision.dtype
    assert got[1].dtype == torch.float32
    for name, one, other in zip(("o", "lse"), got, want, strict=True):
        assert_near(name, one, other, precision.tolerance)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.usefixtures("poison")
def test_the_kernel_is_the_reference(
    precision: Precision, device: torch.device, shape: tuple[int, ...]
) -> None:
    compare(precision, device, shape, landmarks=False)


@pytest.mark.parametrize(
    "shape", [SHAPES["odd blocks"], (1, 900, 1, 2, 16, 1, 150, 6, 1)], ids=["small", "large"]
)
@pytest.mark.usefixtures("poison")
def test_the_kernel_weighs_blocks(precision: Precision, device: torch.device, shape: tuple[int, ...]) -> None:
    compare(precision, device, shape, landmarks=True)


@pytest.mark.usefixtures("poison")
def test_strides_and_int32_indices(precision: Precision, device: torch.device) -> None:
    k, v = cache_like(device, precision.dtype, 2, 40, 2, 16)
    q = queries_like(k, 1, 2)
    indices = choice(k, 4, 6)
    logits = torch.randn(2, 1, 4, 6, device=device)
    want = gather_decode(
        q.double(),
        k.double(),
        v.double(),
        indices,
        block=4,
        block_logits=logits.double(),
        backend="reference",
    )
    q, k, v, logits = (x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0) for x in (q, k, v, logits))
    assert not any(x.is_contiguous() for x in (q, k, v, logits))
    chosen = indices.int().transpose(1, 2).contiguous().transpose(1, 2)
    got = gather_decode(q, k, v, chosen, block=4, block_logits=logits, backend="triton")
    for name, one, other in zip(("o", "lse"), got, want, strict=True):
        assert_near(name, one, other, precision.tolerance)


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.usefixtures("poison")
def test_nothing_chosen_and_nothing_valid(device: torch.device, backend: Backend) -> None:
    k, v = cache_like(device, torch.float32, 3, 12, 1, 16)
    q = queries_like(k, 1, 2)
    indices = torch.tensor([[[-1, -1]], [[2, 1]], [[0, 9]]], device=device)
    lengths = torch.tensor([99, 3, 2], device=device)
    for logits in (None, torch.zeros(3, 1, 2, 2, device=device)):
        o, lse = gather_decode(
            q, k, v, indices, block=4, lengths=lengths, block_logits=logits, backend=backend
        )
        assert not o[:2].any()
        assert (lse[:2] == -torch.inf).all()
        assert torch.isfinite(o[2]).all()
        assert torch.isfinite(lse[2]).all()
    o, lse = gather_decode(q[:0], k[:0], v[:0], indices[:0], backend=backend)
    assert o.shape == (0, 1, 2, 16)
    assert lse.shape == (0, 1, 2)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_nan_stays_where_it_is(device: torch.device, backend: Backend) -> None:
    k, v = cache_like(device, torch.float32, 2, 12, 2, 16)
    q = queries_like(k, 1, 2)
    indices = torch.tensor([[[0, 1]] * 2] * 2, device=device)
    lengths = torch.tensor([6, 12], device=device)
    clean = gather_decode(q, k, v, indices, block=4, lengths=lengths, backend=backend)
    k[0, 6:], v[0, 6:] = torch.nan, torch.nan  # past the length
    k[1, 8:], v[1, 8:] = torch.inf, torch.nan  # not chosen
    got = gather_decode(q, k, v, indices, block=4, lengths=lengths, backend=backend)
    assert torch.equal(got[0], clean[0])
    k[1, 5, 1] = torch.nan
    q[0, 0, 3] = torch.nan
    o, lse = gather_decode(q, k, v, indices, block=4, lengths=lengths, backend=backend)
    touched = torch.tensor([[[False, False, False, True]], [[False, False, True, True]]], device=device)
    assert torch.equal(o.isnan(), touched.unsqueeze(-1).expand_as(o))
    assert torch.equal(lse.isnan(), touched)
    assert torch.equal(o[~touched], clean[0][~touched])


@pytest.mark.parametrize("size", [1e-3, 1e3, 1e12])
def test_large_and_small_logits_stay_finite(device: torch.device, size: float) -> None:
    k, v = cache_like(device, torch.float32, 1, 500, 1, 16)
    q = queries_like(k, 1, 1) * size
    indices = choice(k, 1, 300)
    logits = size * torch.randn(1, 1, 1, 300, device=device)
    gate = torch.full((1,), 0.5, device=device)
    extras: list[dict[str, Any]] = [{}, {"block_logits": logits, "gate": gate}]
    for extra in extras:
        got = gather_decode(q, k, v, indices, **extra, backend="triton")
        want = gather_decode(
            q.double(), k.double(), v.double(), indices, **{name: x.double() for name, x in extra.items()},
            backend="reference",
        )  # fmt: skip
        for name, one, other in zip(("o", "lse"), got, want, strict=True):
            assert_near(name, one, other, 2e-4)


def test_a_million_tokens_on_the_reference() -> None:
    length = 1 << 20
    k = torch.zeros(1, length, 1, 2)
    v = torch.arange(length, dtype=torch.float32).view(1, -1, 1, 1).expand(1, length, 1, 2) / length
    k[0, length // 2 :: 64] = 30.0
    q = torch.ones(1, 1, 1, 2)
    blocks = torch.arange(length // 64).view(1, 1, -1)
    o, lse = gather_decode(q, k, v, blocks, block=64, backend="reference")
    large, mass = 2**0.5 * 30, length // 128
    assert lse.item() == pytest.approx(large + math.log(mass), rel=1e-6)
    assert o[0, 0, 0, 0].item() == pytest.approx(v[0, length // 2 :: 64].mean().item(), rel=1e-5)


def test_the_op_is_registered(device: torch.device) -> None:
    from storyloom.kernels.gather_decode_triton import gather_decode_triton

    k, v = cache_like(device, torch.float32, 1, 12, 1, 16)
    q = queries_like(k, 1, 2)
    indices = choice(k, 4, 2)
    logits, gate = torch.zeros(1, 1, 2, 2, device=device), torch.ones(2, device=device)
    torch.library.opcheck(gather_decode_triton, (q, k, v, indices, None, None, None, 0.25, 4))
    lengths = torch.tensor([9], device=device)
    torch.library.opcheck(gather_decode_triton, (q, k, v, indices, logits, gate, lengths, 0.25, 4))


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_compiled_is_eager(device: torch.device, backend: Backend) -> None:
    k, v = cache_like(device, torch.float32, 1, 12, 1, 16)
    q = queries_like(k, 1, 2)
    indices = choice(k, 4, 2)

    def run(q: Tensor, k: Tensor, v: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        o, lse = gather_decode(q, k, v, indices, block=4, backend=backend)
        return merge_attention(o, lse, *gather_decode(q, k, v, indices + 1, block=4, backend=backend))

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    for one, other in zip(compiled(q, k, v, indices), run(q, k, v, indices), strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_take_the_reference(device: torch.device) -> None:
    k, v = cache_like(device, torch.float32, 1, 12, 1, 16)
    q = queries_like(k, 1, 2).requires_grad_()
    indices = choice(k, 4, 2)
    o, _ = gather_decode(q, k, v, indices, block=4)
    (grad,) = torch.autograd.grad(o.sum(), q)
    assert grad.any()
    with pytest.raises(RuntimeError, match="gradient"):
        gather_decode(q, k, v, indices, block=4, backend="triton")
    with torch.no_grad():
        gather_decode(q, k, v, indices, block=4, backend="triton")


BAD: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "three axes": ("q has shape", lambda a: a.update(q=a["q"][0])),
    "no queries": ("q .* axis queries", lambda a: a.update(q=a["q"][:, :0])),
    "no cache": ("k .* axis kv_length", lambda a: a.update(k=a["k"][:, :0], v=a["v"][:, :0])),
    "no slots": ("indices .* axis selected", lambda a: a.update(indices=a["indices"][..., :0])),
    "another batch": ("k has shape", lambda a: a.update(k=a["k"][:1])),
    "a shorter v": ("v has shape", lambda a: a.update(v=a["v"][:, :3])),
    "another dtype": ("v has dtype", lambda a: a.update(v=a["v"].half())),
    "integers": ("q has dtype", lambda a: a.update(q=a["q"].long())),
    "heads": ("q has 3 heads", lambda a: a.update(q=a["q"][:, :, :3])),
    "float indices": ("indices has dtype", lambda a: a.update(indices=a["indices"].float())),
    "indices of heads": ("indices has shape", lambda a: a.update(indices=a["indices"].repeat(1, 2, 1))),
    "no block": ("block is 0", lambda a: a.update(block=0)),
    "lengths": ("lengths has shape", lambda a: a.update(lengths=a["lengths"][:1])),
    "float lengths": ("lengths has dtype", lambda a: a.update(lengths=a["lengths"].float())),
    "logits": ("block_logits has shape", lambda a: a.update(block_logits=a["block_logits"][..., :1])),
    "gate": ("gate has shape", lambda a: a.update(gate=a["gate"][:1])),
    "a gate alone": ("gate is given", lambda a: a.update(block_logits=None)),
    "another device": ("k is on meta", lambda a: a.update(k=a["k"].to("meta"))),
    "a backend": ("backend is 'cuda'", lambda a: a.update(backend="cuda")),
}


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(device: torch.device, backend: Backend, case: str) -> None:
    message, spoil = BAD[case]
    k, v = cache_like(device, torch.float32, 2, 12, 2, 16)
    arguments: dict[str, Any] = {
        "q": queries_like(k, 1, 2),
        "k": k,
        "v": v,
        "indices": choice(k, 4, 2),
        "block": 4,
        "lengths": torch.tensor([12, 3], device=device),
        "block_logits": torch.zeros(2, 1, 4, 2, device=device),
        "gate": torch.ones(4, device=device),
        "backend": backend,
    }
    spoil(arguments)
    with pytest.raises(ValueError, match=message):
        gather_decode(**arguments)


def test_too_wide_a_head_is_refused() -> None:
    k, v = cache_like(CPU, torch.float32, 1, 2, 1, 257)
    with pytest.raises(ValueError, match="q has width 257"):
        gather_decode(queries_like(k, 1, 1), k, v, torch.zeros(1, 1, 1, dtype=torch.int64))


def test_merge_names_what_does_not_fit() -> None:
    o, lse = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2)
    for name, arguments in {
        "o_b": (o, lse, o[..., :3], lse),
        "lse_a": (o, lse[..., :1], o, lse),
        "lse_b": (o, lse, o, lse.double()),
    }.items():
        with pytest.raises(ValueError, match=name):
            merge_attention(*arguments)


def test_triton_by_name_must_be_able_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    k, v = cache_like(CPU, torch.float32, 1, 4, 1, 16)
    q, indices = queries_like(k, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="float64"):
        gather_decode(q.double(), k.double(), v.double(), indices, backend="triton")
    monkeypatch.setitem(os.environ, "TRITON_INTERPRET", "0")
    with pytest.raises(RuntimeError, match="needs a CUDA device"):
        gather_decode(q, k, v, indices, backend="triton")
    o, _ = gather_decode(q, k, v, indices)
    torch.testing.assert_close(o, v[:, :1])
