"""Landmark attention: the reference against the equation token by token, kernels against the reference."""

import math
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from storyloom.kernels.backend import Backend
from storyloom.kernels.gather_decode import gather_decode, merge_attention
from storyloom.kernels.landmark import landmark_attention
from tests.kernels.closeness import assert_near
from tests.kernels.conftest import Precision

CPU = torch.device("cpu")
F64 = torch.float64
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
NAMES = ("q", "k", "v", "landmarks", "gate")


def inputs_like(
    device: torch.device,
    dtype: torch.dtype,
    *,
    batch: int = 1,
    length: int = 16,
    queries: int | None = None,
    kv_heads: int = 1,
    group: int = 2,
    width: int = 16,
    block: int = 16,
) -> Inputs:
    """Arguments of every kind; the gates go from 0 to 1."""
    made = torch.Generator().manual_seed(length + width)
    heads = kv_heads * group
    shapes = (
        (batch, length if queries is None else queries, heads, width),
        (batch, length, kv_heads, width),
        (batch, length, kv_heads, width),
        (batch, math.ceil(length / block), kv_heads, width),
    )
    q, k, v, landmarks = (torch.randn(shape, generator=made, dtype=F64).to(device, dtype) for shape in shapes)
    return q, k, v, landmarks, torch.linspace(0, 1, heads, dtype=F64).to(device, dtype)


def naive(inputs: Inputs, block: int, local: int) -> tuple[Tensor, Tensor]:
    """The docstring's equation, one query and one block after the other."""
    q, k, v, landmarks, gate = inputs
    o, lse = torch.zeros_like(q), torch.zeros(q.shape[:3], dtype=q.dtype)
    scale, group, skipped = q.shape[3] ** -0.5, q.shape[2] // k.shape[2], k.shape[1] - q.shape[1]
    for b, i, h in torch.cartesian_prod(*(torch.arange(size) for size in q.shape[:3])).tolist():
        query, kv, place = q[b, i, h], h // group, i + skipped
        near = max(0, place // block + 1 - local)
        weighted = [
            (math.exp(scale * float(query @ k[b, t, kv])), v[b, t, kv])
            for t in range(near * block, place + 1)
        ]
        for number in range(near):
            tokens = range(number * block, (number + 1) * block)
            weights = [math.exp(scale * float(query @ k[b, t, kv])) for t in tokens]
            own, mark = math.log(sum(weights)), scale * float(query @ landmarks[b, number, kv])
            whole = math.exp((1 - float(gate[h])) * own + float(gate[h]) * mark)
            weighted += [
                (whole * w / sum(weights), v[b, t, kv]) for w, t in zip(weights, tokens, strict=True)
            ]
        total = sum(weight for weight, _ in weighted)
        o[b, i, h] = sum(weight * value for weight, value in weighted) / total
        lse[b, i, h] = math.log(total)
    return o, lse


@pytest.mark.parametrize("local", [1, 2, 5])
@pytest.mark.parametrize(("length", "queries", "block"), [(11, 11, 4), (8, 8, 4), (9, 3, 1), (5, 5, 8)])
def test_the_reference_is_the_equation(length: int, queries: int, block: int, local: int) -> None:
    inputs = inputs_like(CPU, F64, batch=2, length=length, queries=queries, kv_heads=2, width=3, block=block)
    got = landmark_attention(*inputs, block=block, local=local, backend="reference")
    for one, other in zip(got, naive(inputs, block, local), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_gate_of_0_is_causal_softmax(device: torch.device, backend: Backend) -> None:
    dtype, atol = (F64, 1e-12) if backend == "reference" else (torch.float32, 2e-6)
    q, k, v, landmarks, gate = inputs_like(device, dtype, length=75, block=20, kv_heads=2)
    gate = torch.zeros_like(gate)
    o, lse = landmark_attention(q, k, v, landmarks, gate, block=20, backend=backend)
    k, v = k.repeat_interleave(2, 2), v.repeat_interleave(2, 2)
    heads_q, heads_k, heads_v = (x.transpose(1, 2) for x in (q, k, v))
    want = torch.nn.functional.scaled_dot_product_attention(heads_q, heads_k, heads_v, is_causal=True)
    torch.testing.assert_close(o, want.transpose(1, 2), rtol=0, atol=atol)
    scores = torch.einsum("bqhd,bkhd->bqhk", q, k) / 4
    seen = torch.ones(75, 75, dtype=torch.bool, device=device).tril()[None, :, None]
    torch.testing.assert_close(
        lse, scores.masked_fill(~seen, -torch.inf).logsumexp(-1), rtol=0, atol=10 * atol
    )
    # Exactly: what the landmarks hold changes no bit.
    again = landmark_attention(q, k[:, :, ::2], v[:, :, ::2], 9 * landmarks, gate, block=20, backend=backend)
    assert torch.equal(again[0], o)
    assert torch.equal(again[1], lse)


def test_a_gate_of_1_takes_the_weight_of_a_block_from_its_landmark() -> None:
    q, k, v, landmarks, _ = inputs_like(CPU, F64, length=12, block=4)
    o, _ = landmark_attention(q, k, v, landmarks, torch.ones(2, dtype=F64), block=4, backend="reference")
    landmarks = landmarks.clone()
    landmarks[:, 0] = -1e4 * q[:, -1, :1]
    got, _ = landmark_attention(q, k, v, landmarks, torch.ones(2, dtype=F64), block=4, backend="reference")
    without, _ = landmark_attention(
        q[:, -1:],
        k[:, 4:],
        v[:, 4:],
        landmarks[:, 1:],
        torch.ones(2, dtype=F64),
        block=4,
        backend="reference",
    )
    torch.testing.assert_close(got[:, -1, 0], without[:, 0, 0], rtol=0, atol=1e-9)
    assert not torch.allclose(got[:, -1, 0], o[:, -1, 0])


@pytest.mark.parametrize("local", [1, 2])
def test_the_reference_has_right_gradients(local: int) -> None:
    inputs = inputs_like(CPU, F64, length=7, width=2, block=2)
    gate = torch.tensor([0.3, 1.0], dtype=F64)
    leaves = [x.requires_grad_() for x in (*inputs[:4], gate)]

    def run(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        return landmark_attention(*inputs, block=2, local=local, backend="auto")

    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_prefill_in_pieces_is_one_prefill(device: torch.device, backend: Backend) -> None:
    dtype = F64 if backend == "reference" else torch.float32
    q, k, v, landmarks, gate = inputs_like(device, dtype, length=70, block=16)
    whole = landmark_attention(q, k, v, landmarks, gate, block=16, backend=backend)
    for start, stop in ((0, 7), (7, 48), (48, 70)):
        blocks = math.ceil(stop / 16)
        pieces = landmark_attention(
            q[:, start:stop], k[:, :stop], v[:, :stop], landmarks[:, :blocks], gate, block=16, backend=backend
        )
        for one, other in zip(pieces, whole, strict=True):
            torch.testing.assert_close(one, other[:, start:stop], rtol=0, atol=1e-6)


def step(inputs: Inputs, block: int, backend: Backend) -> Tensor:
    """The last query by gather_decode: earlier blocks by their landmarks, joined with the current block."""
    q, k, v, landmarks, gate = inputs
    length, kv_heads = k.shape[1], k.shape[2]
    current = (length - 1) // block
    every = torch.arange(current + 1, device=k.device).expand(k.shape[0], kv_heads, -1)
    grouped = q[:, -1:].reshape(q.shape[0], 1, kv_heads, -1, q.shape[3])
    logits = (
        torch.einsum("bqkgd,bnkd->bqkgn", grouped, landmarks[:, :current]).flatten(2, 3) * q.shape[3] ** -0.5
    )
    here = gather_decode(q[:, -1:], k, v, every[..., -1:], block=block, backend=backend)
    if current == 0:
        return here[0]
    earlier = gather_decode(
        q[:, -1:], k, v, every[..., :-1], block=block, block_logits=logits, gate=gate, backend=backend
    )
    return merge_attention(*earlier, *here)[0]


def test_step_by_step_is_parallel() -> None:
    inputs = inputs_like(CPU, F64, batch=2, length=14, kv_heads=2, width=4, block=4)
    q, k, v, landmarks, gate = inputs
    whole, _ = landmark_attention(*inputs, block=4, backend="reference")
    for length in range(1, 15):
        got = step((q[:, :length], k[:, :length], v[:, :length], landmarks, gate), 4, "reference")
        torch.testing.assert_close(got, whole[:, length - 1 : length], rtol=0, atol=1e-6)


def test_a_step_of_the_kernels_is_parallel(precision: Precision, device: torch.device) -> None:
    inputs = inputs_like(device, precision.dtype, length=90, block=16)
    whole, _ = landmark_attention(*(x.double() for x in inputs), block=16, backend="reference")
    assert_near("o", step(inputs, 16, "triton"), whole[:, -1:], precision.tolerance)


def run_both(inputs: Inputs, block: int, local: int = 1) -> list[tuple[Tensor, ...]]:
    """Outputs and gradients of the kernels, and of the reference in float64; o and lse both have one."""
    made = torch.Generator().manual_seed(5)
    heads = inputs[0].shape[:3]
    d_o = torch.randn(inputs[0].shape, generator=made, dtype=F64).to(inputs[0])
    d_lse = torch.randn(heads, generator=made, dtype=F64).to(inputs[0].device)
    found = []
    backends: tuple[Backend, Backend] = ("triton", "reference")
    for backend, dtype in zip(backends, (inputs[0].dtype, F64), strict=True):
        leaves = [(x if dtype == x.dtype else x.to(dtype)).detach().requires_grad_() for x in inputs]
        o, lse = landmark_attention(*leaves, block=block, local=local, backend=backend)
        grads = torch.autograd.grad((o, lse), leaves, (d_o.to(o.dtype), d_lse.to(lse.dtype)))
        found.append((o, lse, *grads))
    return found


SHAPES = {
    "one token": {"length": 1, "block": 64},
    "5 tokens": {"length": 5, "block": 64, "batch": 2},
    "63 in blocks of 16": {"length": 63, "block": 16, "width": 24},
    "123 in blocks of 50": {"length": 123, "block": 50, "width": 64, "group": 3},
    "fewer queries": {"length": 123, "queries": 70, "block": 64, "kv_heads": 2, "group": 1},
    "many small blocks": {"length": 41, "block": 2, "group": 1, "queries": 36},
    "three local blocks": {"length": 123, "block": 16, "group": 2, "local": 3},
    "fewer queries, two local blocks": {"length": 123, "queries": 70, "block": 32, "local": 2},
    "more local blocks than there are": {"length": 41, "block": 16, "local": 9},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.usefixtures("poison")
def test_the_kernels_are_the_reference(
    precision: Precision, device: torch.device, shape: dict[str, int]
) -> None:
    sizes = {name: size for name, size in shape.items() if name != "local"}
    got, want = run_both(inputs_like(device, precision.dtype, **sizes), shape["block"], shape.get("local", 1))
    for name, one, other in zip(("o", "lse", *NAMES), got, want, strict=True):
        assert one.dtype == (torch.float32 if name == "lse" else precision.dtype)
        assert_near(name, one, other, precision.tolerance)


@pytest.mark.usefixtures("poison")
def test_strided_inputs(precision: Precision, device: torch.device) -> None:
    inputs = inputs_like(device, precision.dtype, batch=2, length=70, block=32, kv_heads=2, group=1)
    q, k, v, landmarks = (x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0) for x in inputs[:4])
    gate = torch.stack([inputs[4]] * 2, 1)[:, 0]
    assert not any(x.is_contiguous() for x in (q, k, v, landmarks, gate))
    got, want = run_both((q, k, v, landmarks, gate), 32)
    for name, one, other in zip(("o", "lse", *NAMES), got, want, strict=True):
        assert_near(name, one, other, precision.tolerance)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_an_empty_batch(device: torch.device, backend: Backend) -> None:
    inputs = [x.requires_grad_() for x in inputs_like(device, torch.float32, batch=0, length=9, block=4)]
    o, lse = landmark_attention(*inputs, block=4, backend=backend)
    assert o.shape == (0, 9, 2, 16)
    assert lse.shape == (0, 9, 2)
    grads = torch.autograd.grad(o.sum() + lse.sum(), inputs)
    assert [x.shape for x in grads] == [x.shape for x in inputs]
    assert not grads[4].any()


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_only_one_output_is_differentiated(device: torch.device, backend: Backend) -> None:
    inputs = [x.requires_grad_() for x in inputs_like(device, torch.float32, length=20)]
    _, lse = landmark_attention(*inputs, block=16, backend=backend)
    grads = torch.autograd.grad(lse.sum(), inputs, allow_unused=True, materialize_grads=True)
    assert not grads[2].any(), "lse doesn't depend on v"
    assert grads[1].abs().sum() > 0


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_nan_stays_where_it_is(device: torch.device, backend: Backend) -> None:
    inputs = inputs_like(device, torch.float32, batch=2, length=150, kv_heads=2, block=32)
    q, k, v, landmarks, gate = inputs
    clean, clean_lse = landmark_attention(*inputs, block=32, backend=backend)
    q[0, 4, 1], k[1, 140, 0], landmarks[1, 3, 1] = torch.nan, torch.nan, torch.nan
    o, lse = landmark_attention(q, k, v, landmarks, gate, block=32, backend=backend)
    touched = torch.zeros_like(lse, dtype=torch.bool)
    touched[0, 4, 1] = True
    touched[1, 140:, :2] = True
    touched[1, 128:, 2:] = True
    assert torch.equal(lse.isnan(), touched)
    assert torch.equal(o.isnan(), touched.unsqueeze(-1).expand_as(o))
    assert torch.equal(o[~touched], clean[~touched])
    assert torch.equal(lse[~touched], clean_lse[~touched])
    v[1, 140, 0] = torch.nan
    o, _ = landmark_attention(q, k, v, landmarks, gate, block=32, backend=backend)
    assert torch.equal(o[0].isnan(), touched[0].unsqueeze(-1).expand_as(o[0]))
    assert torch.equal(o[1, :, 2:].isnan(), touched[1, :, 2:].unsqueeze(-1).expand(-1, -1, 16))
    if backend == "triton":
        assert torch.equal(o[1, :128], clean[1, :128]), "no tile before its own"


@pytest.mark.parametrize("size", [1e-3, 40.0, 1e12])
def test_large_and_small_logits_stay_finite(device: torch.device, size: float) -> None:
    inputs = inputs_like(device, torch.float32, length=100, block=32)
    q, k, v, landmarks, gate = inputs
    got, want = run_both((q * size, k, v, landmarks, gate), 32)
    for name, one, other in zip(("o", "lse", *NAMES), got, want, strict=True):
        assert torch.isfinite(one).all(), name
        # Past some size a gradient is the difference of equal numbers.
        if size < 1e6 or name in {"o", "lse"}:
            assert_near(name, one, other, 2e-4)


def test_a_long_sequence(device: torch.device) -> None:
    """Thousands of tokens against the reference, the last queries of a million on the reference alone."""
    inputs = inputs_like(device, torch.float32, length=4000, queries=40, group=1, block=128)
    got = landmark_attention(*inputs, block=128, backend="triton")
    want = landmark_attention(*(x.double() for x in inputs), block=128, backend="reference")
    for name, one, other in zip(("o", "lse"), got, want, strict=True):
        assert_near(name, one, other, 2e-4)
    length = 1 << 20
    q, k = torch.ones(1, 1, 1, 2, dtype=F64), torch.zeros(1, length, 1, 2, dtype=F64)
    v = torch.arange(length, dtype=F64).view(1, -1, 1, 1).expand(1, length, 1, 2) / length
    landmarks = torch.zeros(1, length // 128, 1, 2, dtype=F64)
    o, lse = landmark_attention(q, k, v, landmarks, torch.ones(1), block=128, backend="reference")
    # Each earlier block weighs 1, the current one's 128 tokens 1 each.
    total = length // 128 - 1 + 128
    assert lse.item() == pytest.approx(math.log(total), rel=1e-9)
    summed = v[0, :-128, 0, 0].mean() * (length // 128 - 1) + v[0, -128:, 0, 0].sum()
    assert o[0, 0, 0, 0].item() == pytest.approx(summed.item() / total, rel=1e-9)


def test_the_ops_are_registered(device: torch.device) -> None:
    from storyloom.kernels.landmark_triton import _backward, landmark_attention_triton

    inputs = [x.requires_grad_() for x in inputs_like(device, torch.float32, length=20, group=1)]
    torch.library.opcheck(landmark_attention_triton, (*inputs, 0.25, 16, 2))
    plain = [x.detach() for x in inputs]
    o, lse = landmark_attention_triton(*plain, 0.25, 16, 2)
    arguments = (*plain, o, lse, torch.ones_like(o), torch.ones_like(lse), 0.25, 16, 2)
    torch.library.opcheck(_backward, arguments, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_compiled_is_eager(device: torch.device, backend: Backend) -> None:
    inputs = [x.requires_grad_() for x in inputs_like(device, torch.float32, length=20)]

    def run(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        return landmark_attention(*inputs, block=16, backend=backend)

    results = []
    for called in (run, torch.compile(run, fullgraph=True, backend="aot_eager")):
        o, lse = called(*inputs)
        results.append((o, lse, *torch.autograd.grad(o.square().sum() + lse.sum(), inputs)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


BAD: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "three axes": ("q has shape", lambda a: a.update(q=a["q"][0])),
    "no queries": ("q .* axis queries", lambda a: a.update(q=a["q"][:, :0])),
    "no keys": ("k .* axis length", lambda a: a.update(k=a["k"][:, :0])),
    "more queries than keys": ("q has 20 queries", lambda a: a.update(k=a["k"][:, :19], v=a["v"][:, :19])),
    "another batch": ("k has shape", lambda a: a.update(k=a["k"][:1])),
    "a shorter v": ("v has shape", lambda a: a.update(v=a["v"][:, :3])),
    "another dtype": ("landmarks has dtype", lambda a: a.update(landmarks=a["landmarks"].half())),
    "heads": ("q has 3 heads", lambda a: a.update(q=a["q"][:, :, :3])),
    "too few landmarks": ("landmarks has shape", lambda a: a.update(landmarks=a["landmarks"][:, :1])),
    "another block": ("landmarks has shape", lambda a: a.update(block=8)),
    "no block": ("block is 0", lambda a: a.update(block=0)),
    "no local block": ("local is 0", lambda a: a.update(local=0)),
    "a large block": ("block is 129", lambda a: a.update(block=129)),
    "a gate a token": ("gate has shape", lambda a: a.update(gate=a["gate"][:1])),
    "an integer gate": ("gate has dtype", lambda a: a.update(gate=a["gate"].long())),
    "another device": ("v is on meta", lambda a: a.update(v=a["v"].to("meta"))),
    "a backend": ("backend is 'cuda'", lambda a: a.update(backend="cuda")),
}


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(device: torch.device, backend: Backend, case: str) -> None:
    message, spoil = BAD[case]
    inputs = inputs_like(device, torch.float32, batch=2, length=20, kv_heads=2)
    arguments: dict[str, Any] = dict(zip(NAMES, inputs, strict=True)) | {"block": 16, "backend": backend}
    spoil(arguments)
    with pytest.raises(ValueError, match=message):
        landmark_attention(**arguments)


def test_too_wide_a_head_is_refused() -> None:
    with pytest.raises(ValueError, match="q has width 129"):
        landmark_attention(*inputs_like(CPU, torch.float32, width=129), block=16)


def test_triton_by_name_must_be_able_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = inputs_like(CPU, torch.float32, length=4)
    with pytest.raises(RuntimeError, match="float64"):
        landmark_attention(*(x.double() for x in inputs), block=16, backend="triton")
    monkeypatch.setitem(os.environ, "TRITON_INTERPRET", "0")
    with pytest.raises(RuntimeError, match="needs a CUDA device"):
        landmark_attention(*inputs, block=16, backend="triton")
    o, _ = landmark_attention(*inputs, block=16)
    torch.testing.assert_close(o[:, :1], inputs[2][:, :1].expand(-1, -1, 2, -1))
