"""What the kernels' benchmark runs: each kernel's inputs at a model's sizes, its work by formula, its rivals.

Bytes are those that must move at least: forward, every input and output once; backward, the inputs and the
output's gradient in, the inputs' gradients out. FLOPs are those of the chunked form, without what is computed
again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from tests.bench import kernel_loops as loops
from tests.bench import kernel_peers as peers

Call = Callable[..., Tensor]
CHUNK = 64
# Fewer tokens than this leave a GPU idle; short sequences come in batches of them.
_TOKENS = 16_384


@dataclass(frozen=True)
class Size:
    """A LLaMA's sizes: hidden width, heads, key heads, width of a head."""

    name: str
    hidden: int
    heads: int
    kv_heads: int
    head: int


SIZES = (Size("135M", 576, 9, 3, 64), Size("1B", 2048, 32, 8, 64), Size("8B", 4096, 32, 8, 128))
TINY = Size("tiny", 32, 2, 1, 16)
LENGTHS = (2048, 8192, 32_768, 131_072)


@dataclass(frozen=True)
class Bench:
    """Where and how large."""

    size: Size
    length: int
    device: torch.device
    dtype: torch.dtype

    @property
    def batch(self) -> int:
        """Sequences that are run together."""
        return max(1, _TOKENS // self.length) if self.device.type == "cuda" else 2

    def draw(self, *shape: int, scale: float = 1.0, dtype: torch.dtype | None = None) -> Tensor:
        """Normal numbers."""
        return (torch.randn(*shape, device=self.device) * scale).to(dtype or self.dtype)

    def decays(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Numbers in 0.9 to 1."""
        return (1 - 0.1 * torch.rand(*shape, device=self.device)).to(dtype or self.dtype)


@dataclass(frozen=True)
class Case:
    """One kernel at one size.

    Attributes:
        inputs: the tensors of every contestant's call.
        trained: how many of them, from the first, get gradients; with 0 only the forward pass is timed.
        ours: the public function; takes ``backend`` too, gives its main output.
        loop: the same in eager torch, a token at a time.
        flops: of the forward pass.
        backward: what the backward pass costs, in forward passes' FLOPs.
        moved: bytes of the forward pass where the inputs aren't all read; else None.
        compiles: whether torch.compile of the reference is a contestant: not where it loops over many steps.
        peers: others' kernels by name; one that can't be had raises, and is left out with its reason.
    """

    inputs: tuple[Tensor, ...]
    trained: int
    ours: Call
    loop: Call
    flops: float
    backward: float = 2.0
    moved: float | None = None
    compiles: bool = True
    peers: dict[str, Callable[[], Call]] = field(default_factory=dict)


def _room(name: str) -> ModuleType:
    return import_module(f"storyloom.kernels.{name}")


def _ssd(at: Bench) -> Case:
    room, tokens = _room("ssd"), at.batch * at.length
    heads, width = at.size.heads, at.size.head
    x, b, c = (at.draw(at.batch, at.length, heads, width, scale=width**-0.5) for _ in range(3))
    a = at.decays(at.batch, at.length, heads, dtype=torch.float32).log()
    return Case(
        inputs=(x, a, b, c), trained=4, loop=loops.ssd,
        ours=lambda x, a, b, c, backend: room.ssd(x, a, b, c, chunk=CHUNK, backend=backend)[0],
        flops=tokens * heads * (4 * CHUNK * width + 4 * width * width), compiles=at.length <= 8192,
        peers={"fla simple_gla": peers.simple_gla},
    )  # fmt: skip


def _fast_weight(at: Bench, hidden: int) -> Case:
    room, tokens = _room("fast_weight"), at.batch * at.length
    heads, width = at.size.heads, at.size.head
    chunk = min(CHUNK, at.length // 2)
    q, k, v = (
        torch.nn.functional.normalize(at.draw(at.batch, at.length, heads, width), dim=-1) for _ in range(3)
    )
    gates = [at.decays(at.batch, at.length, heads) * scale for scale in (0.9, 0.01, 0.01)]
    shapes = ((hidden, width), (width, hidden)) if hidden else ((width, width),)
    weights = [at.draw(at.batch, heads, *shape, scale=0.1, dtype=torch.float32) for shape in shapes]

    def run(*inputs: Tensor, backend: str) -> Tensor:
        q, k, v, eta, theta, alpha, *memory = inputs
        out: Tensor = room.fast_weight(
            q, k, v, eta, theta, alpha, tuple(memory), chunk=chunk, backend=backend
        )[0]
        return out

    rivals = {"titans-pytorch": lambda: peers.titans(at.size.hidden, heads, width, hidden, at.device)}
    if not hidden:
        rivals["fla ttt"] = lambda: peers.ttt_linear(heads, width, at.device, q.dtype)
    layers = 2 * hidden if hidden else width
    return Case(
        inputs=(q, k, v, *gates, *weights), trained=6 + len(weights), ours=run, compiles=at.length <= 2048,
        loop=lambda *inputs: loops.fast_weight(*inputs, chunk=chunk),
        flops=tokens * heads * (10 * width * layers + 4 * CHUNK * (width + hidden)),
        peers=rivals,
    )  # fmt: skip


def _gather_decode(at: Bench) -> Case:
    room, size = _room("gather_decode"), at.size
    block = 64 if at.length >= 2048 else 8
    blocks = at.length // block
    chosen = min(64, max(1, blocks // 2))
    batch = 8 if at.device.type == "cuda" else 2
    q = at.draw(batch, 1, size.heads, size.head)
    k, v = (at.draw(batch, at.length, size.kv_heads, size.head) for _ in range(2))
    pick = torch.rand(batch, size.kv_heads, blocks, device=at.device).topk(chosen).indices
    tokens = batch * chosen * block

    def run(*inputs: Tensor, backend: str) -> Tensor:
        out: Tensor = room.gather_decode(*inputs, block=block, backend=backend)[0]
        return out

    return Case(
        inputs=(q, k, v, pick), trained=0, ours=run,
        loop=lambda *inputs: loops.gather_decode(*inputs, block=block),
        flops=4 * tokens * size.heads * size.head,
        moved=(2 * tokens * size.kv_heads * size.head + 2 * q.numel()) * q.element_size(),
        peers={"SDPA, whole cache": lambda: peers.dense_decode},
    )  # fmt: skip


def _landmark(at: Bench) -> Case:
    room, size = _room("landmark"), at.size
    block = 64 if at.length >= 2048 else 8
    q = at.draw(at.batch, at.length, size.heads, size.head)
    k, v = (at.draw(at.batch, at.length, size.kv_heads, size.head) for _ in range(2))
    marks = at.draw(at.batch, -(-at.length // block), size.kv_heads, size.head)
    gate = at.draw(size.heads).sigmoid()

    def run(*inputs: Tensor, backend: str) -> Tensor:
        out: Tensor = room.landmark_attention(*inputs, block=block, backend=backend)[0]
        return out

    return Case(
        inputs=(q, k, v, marks, gate), trained=5, ours=run,
        loop=lambda *inputs: loops.landmark(*inputs, block=block),
        flops=2 * at.batch * size.heads * size.head * at.length**2, backward=2.5, compiles=at.length <= 2048,
        peers={"SDPA, causal": lambda: peers.causal, "flex_attention, causal": peers.flex_causal},
    )  # fmt: skip


def _newton_schulz(at: Bench) -> Case:
    room = _room("newton_schulz")
    # LaCT's three fast weights of four heads.
    width = at.size.hidden // 4
    return Case(
        inputs=(at.draw(12, width, width),), trained=1, loop=loops.newton_schulz, flops=12 * 30 * width**3,
        ours=lambda g, backend: room.newton_schulz(g, backend=backend),
    )  # fmt: skip


def _lact(at: Bench) -> Case:
    room = _room("lact")
    width = at.size.hidden // 4
    batch, tokens = (32, 2048) if at.device.type == "cuda" else (2, at.length)
    w0, w1, w2 = (at.draw(batch, width, width, scale=width**-0.5) for _ in range(3))
    q, k, v = (at.draw(batch, tokens, width, scale=0.1) for _ in range(3))

    def run(*inputs: Tensor, backend: str) -> Tensor:
        *weights, q, k, v, rates = inputs
        read: Tensor = room.lact_apply(*weights, q, backend=backend)
        d0, d1, d2 = room.lact_gradients(*weights, k, v, rates, backend=backend)
        return torch.cat([part.flatten() for part in (read, d0, d1, d2)])

    return Case(
        inputs=(w0, w1, w2, q, k, v, at.draw(batch, tokens, 3, scale=0.01)), trained=7, ours=run,
        loop=loops.lact, flops=18 * batch * tokens * width * width,
    )  # fmt: skip


def _affine_scan(at: Bench) -> Case:
    room = _room("affine_scan")
    shape = (at.batch, at.length, at.size.hidden)
    a, b = at.decays(*shape), at.draw(*shape)
    return Case(
        inputs=(a, b), trained=2, loop=loops.affine_scan, flops=2 * a.numel(), backward=1.5,
        ours=lambda a, b, backend: room.affine_scan(a, b, backend=backend),
        peers={"fla hgrn": peers.hgrn},
    )  # fmt: skip


def _aaren(at: Bench) -> Case:
    room, size = _room("affine_scan"), at.size
    scores = at.draw(at.batch, at.length, size.heads)
    values = at.draw(at.batch, at.length, size.heads, size.head)
    return Case(
        inputs=(scores, values), trained=2, loop=loops.aaren, flops=4 * values.numel(),
        ours=lambda scores, values, backend: room.aaren(scores, values, backend=backend)[0],
    )  # fmt: skip


def _cell(at: Bench, name: str, gates: int) -> Case:
    room = _room("slstm")
    heads, width = (at.size.hidden // 64, 64) if at.size.hidden >= 64 else (at.size.heads, at.size.head)
    x = at.draw(at.batch, at.length, heads, gates, width)
    recurrent = at.draw(heads, gates, width, width, scale=width**-0.5)
    return Case(
        inputs=(x, recurrent), trained=2, loop=getattr(loops, name), compiles=False, backward=3.0,
        ours=lambda x, recurrent, backend: getattr(room, name)(x, recurrent, backend=backend)[0],
        flops=2 * at.batch * at.length * heads * gates * width * width,
    )  # fmt: skip


# By name: how a case is built, and whether the length changes it.
KERNELS: dict[str, tuple[Callable[[Bench], Case], bool]] = {
    "ssd": (_ssd, True),
    "fast_weight": (lambda at: _fast_weight(at, 0), True),
    "fast_weight_mlp": (lambda at: _fast_weight(at, 2 * at.size.head), True),
    "gather_decode": (_gather_decode, True),
    "landmark": (_landmark, True),
    "newton_schulz": (_newton_schulz, False),
    "lact": (_lact, False),
    "affine_scan": (_affine_scan, True),
    "aaren": (_aaren, True),
    "slstm": (lambda at: _cell(at, "slstm", 4), True),
    "gru": (lambda at: _cell(at, "gru", 3), True),
}
