"""What the recurrent cells share: a program's head and sequences, and the gradient of the matrices."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.tiles_triton import LEAST, tile_of

# Sequences of a program: the fewest that a matrix unit takes.
ROWS = LEAST
# Compiled for an H100 with bfloat16 heads of 64, eight warps spill next to nothing where four do. Float32
# products go without matrix units and spill either way.
WARPS = 8
# Tokens of a tile when the matrices' gradients are summed, and tiles that one program takes at least.
_TOKENS = 64
_TILES_EACH = 8


@triton.jit
def own_cell(batch, heads, width, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """A program's head, sequences and columns, and where they lie in a state [batch, heads, width].

    Then which columns are real, which of the tile is, and which of a matrix.
    """
    head = tl.program_id(0).to(tl.int64)
    rows = (tl.program_id(1) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    columns = tl.arange(0, BLOCK)
    wide = (columns < width)[None, :]
    square = (columns < width)[:, None] & wide
    place = (rows * heads + head) * width + columns[None, :]
    return head, rows, columns, place, wide, (rows < batch) & wide, square


@triton.jit
def product(rows, matrix):
    """Rows by a matrix, in the matrix's dtype, summed in float32."""
    return tl.dot(rows.to(matrix.dtype), matrix, input_precision="ieee")


@triton.jit
def _matrix_kernel(
    dgates, out, h_in, sums, d_token, d_head, d_gate, tokens, length, heads, width, counts, each,
    TOKENS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One share of Σ_t dg_t h_{t−1}ᵀ, for one gate of one head."""
    gate = (tl.program_id(0) % counts).to(tl.int64)
    head = (tl.program_id(0) // counts).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = (columns < width)[None, :]
    first = tl.program_id(1).to(tl.int64) * each
    total = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, each, TOKENS):
        token = (first + start + tl.arange(0, TOKENS)).to(tl.int64)[:, None]
        there = (token < tokens) & (start + tl.arange(0, TOKENS) < each)[:, None]
        d_at = dgates + token * d_token + head * d_head + gate * d_gate + columns[None, :]
        d = tl.load(d_at, mask=there & inside, other=0.0)
        fresh = token % length == 0
        h_at = out + ((token - 1) * heads + head) * width + columns[None, :]
        h = tl.load(h_at, mask=there & inside & ~fresh, other=0.0)
        start_at = h_in + (token // length * heads + head) * width + columns[None, :]
        h_start = tl.load(start_at, mask=there & inside & fresh, other=0.0)
        h = tl.where(fresh, h_start.to(h.dtype), h)
        total += tl.dot(tl.trans(d), h.to(d.dtype), input_precision="ieee")
    share = (tl.program_id(1) * heads + head) * counts + gate
    at = sums + share * width * width + columns[:, None] * width + columns[None, :]
    tl.store(at, total, mask=(columns < width)[:, None] & inside)


def matrix_gradient(dgates: Tensor, out: Tensor, h_in: Tensor) -> Tensor:
    """Σ over tokens of a gate's gradient times the h before it.

    Args:
        dgates: [batch, length, heads, gates, width].
        out: h of each token, [batch, length, heads, width].
        h_in: h before the first, [batch, heads, width].

    Returns:
        [heads, gates, width, width] in float32: of the gate, of h.
    """
    batch, length, heads, counts, width = dgates.shape
    tokens = batch * length
    shares = max(1, min(64, triton.cdiv(tokens, _TOKENS * _TILES_EACH)))
    each = triton.cdiv(tokens, shares)
    sums = out.new_empty((shares, heads, counts, width, width), dtype=torch.float32)
    _matrix_kernel[(heads * counts, shares)](
        dgates, out, h_in, sums, *dgates.stride()[1:4], tokens, length, heads, width, counts, each,
        TOKENS=_TOKENS, BLOCK=tile_of(width), num_warps=WARPS,
    )  # fmt: skip
    return sums.sum(0)
