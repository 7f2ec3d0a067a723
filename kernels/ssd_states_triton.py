"""SSD's states: each chunk's own, and those passed from chunk to chunk, forward and backward.

Passing is float32 in registers, one program a part of a state. What is stored for the dots is rounded to x's
dtype, as the dots read it so.
"""

import triton
import triton.language as tl

from storyloom.kernels.ssd_tiles_triton import (
    load_tile,
    logs_to_end,
    place_of,
    slots_of,
)


@triton.jit
def chunk_states_kernel(
    x, a, b, states, totals, spans,
    slots, chunks, length, heads, heads_a_group,
    x_batch, x_token, x_head, x_column,
    a_batch, a_token, a_head,
    b_batch, b_token, b_group, b_column,
    STATE: tl.constexpr, WIDTH: tl.constexpr, CHUNK: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_W: tl.constexpr, PACKED: tl.constexpr, TO_END: tl.constexpr,
):  # fmt: skip
    """Σ_j weight_j b_j x_jᵀ of a chunk; the weight is the decay to the chunk's end, or else from its start.

    The second is the gradient of the state before the chunk, with c for b and y's gradient for x.
    """
    slot = tl.program_id(0) // heads
    head = (tl.program_id(0) % heads).to(tl.int64)
    tile = tl.program_id(1)
    batch, start, size = place_of(slot, spans, slots, chunks, length, CHUNK, PACKED)
    if size <= 0:
        return
    rows = tl.arange(0, CHUNK)
    real = rows < size
    a += batch * a_batch + start * a_token + head * a_head
    step = tl.load(a + rows * a_token, mask=real, other=0.0)
    weight = tl.exp(logs_to_end(a, rows, a_token, size)) if TO_END else tl.exp(tl.cumsum(step, axis=0))
    entry = slot.to(tl.int64) * heads + head
    if TO_END and tile == 0:
        tl.store(totals + entry, tl.sum(step, axis=0))

    columns: tl.constexpr = (WIDTH + BLOCK_W - 1) // BLOCK_W
    n = (tile // columns) * BLOCK_N + tl.arange(0, BLOCK_N)
    w = (tile % columns) * BLOCK_W + tl.arange(0, BLOCK_W)
    x += batch * x_batch + start * x_token + head * x_head
    b += batch * b_batch + start * b_token + (head // heads_a_group) * b_group
    x_tile = load_tile(x, rows, x_token, real, w, x_column, WIDTH)
    b_tile = load_tile(b, rows, b_token, real, n, b_column, STATE)
    weighted = (b_tile * weight[:, None]).to(x_tile.dtype)
    state = tl.dot(tl.trans(weighted), x_tile, input_precision="ieee")
    inside = (n < STATE)[:, None] & (w < WIDTH)[None, :]
    tl.store(states + entry * (STATE * WIDTH) + n[:, None] * WIDTH + w[None, :], state, mask=inside)


@triton.jit
def pass_states_kernel(
    written, totals, initial, starts, final, firsts,
    chunks, heads,
    ENTRIES: tl.constexpr, BLOCK: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Takes h ← exp(total) h + written from chunk to chunk; keeps h before every chunk, and the last."""
    sequence = tl.program_id(0) // heads
    head = (tl.program_id(0) % heads).to(tl.int64)
    first, last = slots_of(sequence, firsts, chunks, PACKED)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < ENTRIES
    own = (sequence.to(tl.int64) * heads + head) * ENTRIES
    h = tl.load(initial + own + at, mask=inside, other=0.0)
    for slot in tl.range(first, last, num_stages=3):
        entry = slot * heads + head
        tl.store(starts + entry * ENTRIES + at, h.to(starts.dtype.element_ty), mask=inside)
        h = tl.exp(tl.load(totals + entry)) * h + tl.load(
            written + entry * ENTRIES + at, mask=inside, other=0.0
        )
    tl.store(final + own + at, h, mask=inside)


@triton.jit
def pass_gradients_kernel(
    read, totals, starts, d_final, d_ends, d_initial, d_totals, firsts,
    chunks, heads, tiles,
    ENTRIES: tl.constexpr, BLOCK: tl.constexpr, PACKED: tl.constexpr, HAS_FINAL: tl.constexpr,
):  # fmt: skip
    """The way back: keeps the gradient of h after every chunk, and each total decay's from this part of h."""
    sequence = tl.program_id(0) // heads
    head = (tl.program_id(0) % heads).to(tl.int64)
    tile = tl.program_id(1)
    first, last = slots_of(sequence, firsts, chunks, PACKED)
    at = tile * BLOCK + tl.arange(0, BLOCK)
    inside = at < ENTRIES
    own = (sequence.to(tl.int64) * heads + head) * ENTRIES
    d_h = tl.zeros((BLOCK,), tl.float32)
    if HAS_FINAL:
        d_h = tl.load(d_final + own + at, mask=inside, other=0.0)
    for back in tl.range(0, last - first, num_stages=3):
        entry = (last - 1 - back) * heads + head
        tl.store(d_ends + entry * ENTRIES + at, d_h.to(d_ends.dtype.element_ty), mask=inside)
        d_h *= tl.exp(tl.load(totals + entry))
        h = tl.load(starts + entry * ENTRIES + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(d_totals + entry * tiles + tile, tl.sum(d_h * h, axis=0))
        d_h += tl.load(read + entry * ENTRIES + at, mask=inside, other=0.0)
    tl.store(d_initial + own + at, d_h, mask=inside)
