"""What the fast-weight kernels share: tiles in and out, dots of one precision, and their sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.backend import interpreted
from storyloom.kernels.tiles_triton import tile_of

# Vectors of a chunk, each as long as its tile: β_t, c_t, p_t, the last rows of G̃ and P̃, and then the last
# token's β, c and p in the first three places of the sixth.
VECTORS = 6
# Programs that fill the multiprocessors of a large GPU about twice.
_ENOUGH_PROGRAMS = 256


@triton.jit
def load_tile(base, rows, columns, row_stride, rows_in, columns_in):
    """A tile whose columns lie side by side; 0 outside."""
    at = base + rows[:, None] * row_stride + columns[None, :]
    return tl.load(at, mask=rows_in[:, None] & columns_in[None, :], other=0.0)


@triton.jit
def store_tile(base, tile, rows, columns, row_stride, rows_in, columns_in):
    """Write what lies inside, in the pointer's dtype."""
    at = base + rows[:, None] * row_stride + columns[None, :]
    tl.store(at, tile.to(base.dtype.element_ty), mask=rows_in[:, None] & columns_in[None, :])


@triton.jit
def dot(left, right, DOT: tl.constexpr, PRECISION: tl.constexpr):
    """A product of two tiles, summed in float32."""
    return tl.dot(left.to(DOT), right.to(DOT), input_precision=PRECISION)


@triton.jit
def span(first, TILE: tl.constexpr, size):
    """A tile of an axis from an index on, and which of it is inside."""
    index = first + tl.arange(0, TILE)
    return index, index < size


@triton.jit
def load_pair(slot, rows, columns, rows_in, columns_in, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A layer's tiles of weights and of momenta, which lie behind one another as [ROWS, COLUMNS]."""
    weights = load_tile(slot, rows, columns, COLUMNS, rows_in, columns_in)
    return weights, load_tile(slot + ROWS * COLUMNS, rows, columns, COLUMNS, rows_in, columns_in)


@triton.jit
def store_pair(
    slot, weights, momenta, rows, columns, rows_in, columns_in, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):  # fmt: skip
    """The way back from :func:`load_pair`."""
    store_tile(slot, weights, rows, columns, COLUMNS, rows_in, columns_in)
    store_tile(slot + ROWS * COLUMNS, momenta, rows, columns, COLUMNS, rows_in, columns_in)


@triton.jit
def own_chunk(LENGTH, HEADS, CHUNKS, CHUNK: tl.constexpr, C: tl.constexpr):
    """A program's chunk: its number among all, its memory, that one's batch entry and head, and its start.

    Then the tokens of its tile, and which of them are real.
    """
    place = tl.program_id(0).to(tl.int64)
    memory = place // CHUNKS
    start = place % CHUNKS * CHUNK
    token = tl.arange(0, C)
    token_in = (token < CHUNK) & (start + token < LENGTH)
    return place, memory, memory // HEADS, memory % HEADS, start, token, token_in


@triton.jit
def load_reading(vectors, token, C: tl.constexpr):
    """How much of the chunk's first weights, and of its first momenta, each token reads."""
    return tl.load(vectors + token), tl.load(vectors + C + token)


@triton.jit
def load_writing(vectors, token, C: tl.constexpr):
    """How much of each gradient the last weights and momenta hold; and of the first ones."""
    update = tl.load(vectors + 3 * C + token)
    surprise = tl.load(vectors + 4 * C + token)
    kept = tl.load(vectors + 5 * C)
    carried = tl.load(vectors + 5 * C + 1)
    restart = tl.load(vectors + 5 * C + 2)
    return update, surprise, kept, carried, restart


@triton.jit
def store_writing(vectors, token, update, surprise, kept, carried, restart, C: tl.constexpr):
    """The way back from :func:`load_writing`; the last three come in parts, to be summed."""
    tl.store(vectors + 3 * C + token, update)
    tl.store(vectors + 4 * C + token, surprise)
    tl.store(vectors + 5 * C, tl.sum(kept, 0))
    tl.store(vectors + 5 * C + 1, tl.sum(carried, 0))
    tl.store(vectors + 5 * C + 2, tl.sum(restart, 0))


@dataclass(frozen=True)
class Shape:
    """The sizes of a call."""

    batch: int
    length: int
    heads: int
    width: int
    values: int
    hidden: int  # 0 for a linear memory
    chunk: int

    @staticmethod
    def of(q: Tensor, v: Tensor, memory: Sequence[Tensor], chunk: int) -> "Shape":
        """The sizes of a call; a chunk is no longer than the sequence.

        Args:
            q: [batch, length, heads, width].
            v: [batch, length, heads, value_width].
            memory: weights and then momenta, two tensors of a linear memory or four of a perceptron.
            chunk: tokens of a chunk.
        """
        batch, length, heads, width = q.shape
        hidden = memory[0].shape[-2] if len(memory) == 4 else 0
        return Shape(batch, length, heads, width, v.shape[-1], hidden, min(chunk, length))

    @property
    def chunks(self) -> int:
        """Chunks of a sequence."""
        return -(-self.length // self.chunk)

    @property
    def rows(self) -> int:
        """Memories: one a sequence and head."""
        return self.batch * self.heads

    @property
    def tile(self) -> int:
        """Tokens of a chunk's tile."""
        return tile_of(self.chunk)


class Chunks(NamedTuple):
    """What the kernels of a call hand on, chunk by chunk; or the gradients of that."""

    matrix: Tensor  # the mixing G̃ [memories, chunks, tile, tile]
    vectors: Tensor  # its vectors [memories, chunks, VECTORS, tile]
    states: Tensor  # weights and momenta at each chunk's start, and after the last [memories, chunks + 1, …]
    errors: Tensor  # the errors at the output [memories, length, value_width]


def options(q: Tensor, shape: Shape) -> dict[str, Any]:
    """What every kernel with dots over chunks is launched with, but its other tiles and its warps."""
    return {
        "LENGTH": shape.length,
        "HEADS": shape.heads,
        "CHUNKS": shape.chunks,
        "CHUNK": shape.chunk,
        "WIDTH": shape.width,
        "VALUES": shape.values,
        "N": VECTORS,
        "C": shape.tile,
        "D": tile_of(shape.width),
        **precision(q),
    }


def precision(q: Tensor) -> dict[str, Any]:
    """What feeds the dots.

    bfloat16 feeds them as it is. float16 feeds them as TF32, which has its precision and float32's range: the
    memory's errors, and gradients of unscaled losses, leave float16's. float32 takes three TF32 products,
    which is near its own precision: with its own instructions, the operands of these many dots don't fit
    into the registers.
    """
    if q.dtype is torch.bfloat16:
        return {"DOT": tl.bfloat16, "PRECISION": "tf32"}
    return {"DOT": tl.float32, "PRECISION": "tf32" if q.dtype is torch.float16 else "tf32x3"}


def value_tile(shape: Shape, *, split: bool) -> int:
    """Values a program takes: few where chunks run one after another and programs are scarce."""
    if interpreted():
        return tile_of(shape.values)
    widest = min(tile_of(shape.values), 64)
    if not split:
        return widest
    while widest > 16 and shape.rows * triton.cdiv(shape.values, widest) < _ENOUGH_PROGRAMS:
        widest //= 2
    return widest


def rows_contiguous(tensor: Tensor) -> Tensor:
    """The tensor, copied only if its last axis has gaps."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def strides(*tensors: Tensor) -> list[int]:
    """The first three strides of each: batch, length and heads."""
    return [step for tensor in tensors for step in tensor.stride()[:3]]
