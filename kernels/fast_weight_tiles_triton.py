"""What the fast-weight kernels share: tiles in and out, dots of one precision, and their sizes."""

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.backend import interpreted

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
def sigmoid(x):
    """1 / (1 + exp(-x)), whose exponential never overflows."""
    small = tl.exp(-tl.abs(x))
    return tl.where(x < 0.0, small, 1.0) / (1.0 + small)


@dataclass(frozen=True)
class Shape:
    """The sizes of a call."""

    batch: int
    length: int
    heads: int
    width: int
    values: int
    chunk: int

    @staticmethod
    def of(q: Tensor, v: Tensor, chunk: int) -> "Shape":
        """The sizes of a call; a chunk is no longer than the sequence."""
        batch, length, heads, width = q.shape
        return Shape(batch, length, heads, width, v.shape[-1], min(chunk, length))

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
        return tile(self.chunk)


def tile(size: int) -> int:
    """The tile that holds a size: a power of two, and 16 at least, which a dot needs."""
    return max(16, 1 << (size - 1).bit_length())


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
        "D": tile(shape.width),
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
        return tile(shape.values)
    widest = min(tile(shape.values), 64)
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
