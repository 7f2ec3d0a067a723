"""Mamba-2's chunked recurrence in Triton, forward and backward, and its one-token step.

Forward: every chunk's own state, all at once; the states passed along, one program a part of a state, chunk
after chunk; the outputs, all at once. Backward: the same two passes for the states' gradients, from the end;
then the gradients of x and a by head, and of b and c by group.

Decays are float32 and only summed, never subtracted. The passing is float32 in registers; the states that it
stores for the dots are rounded to x's dtype, as the dots read them so. Every dot accumulates in float32.

Axes: slot (a chunk of a sequence), head, n (state), w (width), i and j (tokens in a chunk). Heads and groups
are int64, so that no offset of theirs can overflow; offsets within a chunk are int32.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.ssd_reference import Places

# Several programs for each of an H100's 132 multiprocessors.
_PROGRAMS = 264


def ssd_triton(
    x: Tensor, a: Tensor, b: Tensor, c: Tensor, initial: Tensor, places: Places | None, *, chunk: int
) -> tuple[Tensor, Tensor]:
    """The arguments and results of ``ssd``, checked already. Inputs may have any strides."""
    spans, firsts = places if places is not None else (None, None)
    y, final, _, _ = _ssd(x, a, b, c, initial, spans, firsts, chunk)
    return y, final


def ssd_step_triton(x: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The arguments and results of ``ssd_step``, checked already. Inputs may have any strides."""
    y, state = _ssd_step(x, a, b, c, state)
    return y, state


def _config(chunk: int, state: int, width: int, itemsize: int, *, backward: bool = False) -> dict[str, int]:
    """Tiles and warps for the kernels with dots.

    A program of float32, or of the backward at the largest chunk, takes narrower tiles: with wider ones it
    would spill its registers.
    """
    wide = itemsize == 2 and not (backward and chunk == 128)
    side = 64 if wide else 32
    return {
        "BLOCK_N": min(side, max(16, triton.next_power_of_2(state))),
        "BLOCK_W": min(side, max(16, triton.next_power_of_2(width))),
        "num_warps": 8 if itemsize == 4 or chunk == 128 else 4,
        "num_stages": 2 if itemsize == 2 else 1,
    }


def _pass_block(entries: int, device: torch.device) -> int:
    """Entries of a state that one program passes along.

    Few on a GPU, for many programs; all that fit in the interpreter, which runs them one by one.
    """
    most = 512 if device.type == "cuda" else 8192
    return most if entries >= most else int(triton.next_power_of_2(entries))


def _parts(programs: int, heads_a_group: int) -> int:
    """In how many parts a group's heads are taken for the gradients of b and c, to keep a GPU busy."""
    divisors = [part for part in range(1, heads_a_group + 1) if heads_a_group % part == 0]
    return next((part for part in divisors if part * programs >= _PROGRAMS), heads_a_group)


# ---------------------------------------------------------------------------------------------------------
# What the kernels share
# ---------------------------------------------------------------------------------------------------------


@triton.jit
def _place(slot, spans, slots, chunks, length, CHUNK: tl.constexpr, PACKED: tl.constexpr):
    """The slot's batch entry, its first token, and how many tokens it has."""
    if PACKED:
        start = tl.load(spans + slot).to(tl.int64)
        size = (tl.load(spans + slots + slot) - start).to(tl.int32)
        batch = start * 0
    else:
        batch = (slot // chunks).to(tl.int64)
        start = (slot % chunks).to(tl.int64) * CHUNK
        size = tl.minimum(length - start, CHUNK).to(tl.int32)
    return batch, start, size


@triton.jit
def _slots_of(sequence, firsts, chunks, PACKED: tl.constexpr):
    """The sequence's first slot, and the one after its last."""
    if PACKED:
        first = tl.load(firsts + sequence).to(tl.int64)
        last = tl.load(firsts + sequence + 1).to(tl.int64)
    else:
        first = sequence.to(tl.int64) * chunks
        last = first + chunks
    return first, last


@triton.jit
def _tile(base, rows, row_stride, real, columns, column_stride, limit):
    """[rows, columns], zeros past the chunk's tokens and past the last column."""
    at = base + rows[:, None] * row_stride + columns[None, :] * column_stride
    return tl.load(at, mask=real[:, None] & (columns < limit)[None, :], other=0.0)


@triton.jit
def _state_tile(base, n, w, STATE: tl.constexpr, WIDTH: tl.constexpr):
    inside = (n < STATE)[:, None] & (w < WIDTH)[None, :]
    return tl.load(base + n[:, None] * WIDTH + w[None, :], mask=inside, other=0.0)


@triton.jit
def _after(base, rows, row_stride, size):
    """Sums of a over the tokens after each one: the logarithms of the decays to the chunk's end."""
    later = tl.load(base + (rows + 1) * row_stride, mask=rows + 1 < size, other=0.0)
    return tl.cumsum(later, axis=0, reverse=True)


@triton.jit
def _decays(a, rows):
    """exp(a_{j+1} + … + a_i) at [i, j], 0 above the diagonal."""
    later = rows[:, None] > rows[None, :]
    sums = tl.cumsum(tl.where(later, a[:, None], 0.0), axis=0)
    return tl.where(rows[:, None] >= rows[None, :], tl.exp(sums), 0.0)


# ---------------------------------------------------------------------------------------------------------
# States
# ---------------------------------------------------------------------------------------------------------


@triton.jit
def _chunk_states_kernel(
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
    batch, start, size = _place(slot, spans, slots, chunks, length, CHUNK, PACKED)
    if size <= 0:
        return
    rows = tl.arange(0, CHUNK)
    real = rows < size
    a += batch * a_batch + start * a_token + head * a_head
    step = tl.load(a + rows * a_token, mask=real, other=0.0)
    weight = tl.exp(_after(a, rows, a_token, size)) if TO_END else tl.exp(tl.cumsum(step, axis=0))
    entry = slot.to(tl.int64) * heads + head
    if TO_END and tile == 0:
        tl.store(totals + entry, tl.sum(step, axis=0))

    columns: tl.constexpr = (WIDTH + BLOCK_W - 1) // BLOCK_W
    n = (tile // columns) * BLOCK_N + tl.arange(0, BLOCK_N)
    w = (tile % columns) * BLOCK_W + tl.arange(0, BLOCK_W)
    x += batch * x_batch + start * x_token + head * x_head
    b += batch * b_batch + start * b_token + (head // heads_a_group) * b_group
    x_tile = _tile(x, rows, x_token, real, w, x_column, WIDTH)
    b_tile = _tile(b, rows, b_token, real, n, b_column, STATE)
    weighted = (b_tile * weight[:, None]).to(x_tile.dtype)
    state = tl.dot(tl.trans(weighted), x_tile, input_precision="ieee")
    inside = (n < STATE)[:, None] & (w < WIDTH)[None, :]
    tl.store(states + entry * (STATE * WIDTH) + n[:, None] * WIDTH + w[None, :], state, mask=inside)


@triton.jit
def _pass_states_kernel(
    written, totals, initial, starts, final, firsts,
    chunks, heads,
    ENTRIES: tl.constexpr, BLOCK: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Takes h ← exp(total) h + written from chunk to chunk; keeps h before every chunk, and the last."""
    sequence = tl.program_id(0) // heads
    head = (tl.program_id(0) % heads).to(tl.int64)
    first, last = _slots_of(sequence, firsts, chunks, PACKED)
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
def _pass_gradients_kernel(
    read, totals, starts, d_final, d_ends, d_initial, d_totals, firsts,
    chunks, heads, tiles,
    ENTRIES: tl.constexpr, BLOCK: tl.constexpr, PACKED: tl.constexpr, HAS_FINAL: tl.constexpr,
):  # fmt: skip
    """The way back: keeps the gradient of h after every chunk, and each total decay's from this part of h."""
    sequence = tl.program_id(0) // heads
    head = (tl.program_id(0) % heads).to(tl.int64)
    tile = tl.program_id(1)
    first, last = _slots_of(sequence, firsts, chunks, PACKED)
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


# ---------------------------------------------------------------------------------------------------------
# Tokens
# ---------------------------------------------------------------------------------------------------------


@triton.jit
def _outputs_kernel(
    x, a, b, c, starts, y, spans,
    slots, chunks, length, heads, heads_a_group,
    x_batch, x_token, x_head, x_column,
    a_batch, a_token, a_head,
    b_batch, b_token, b_group, b_column,
    c_batch, c_token, c_group, c_column,
    y_batch, y_token, y_head,
    STATE: tl.constexpr, WIDTH: tl.constexpr, CHUNK: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_W: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """y_i = exp(a_1 + … + a_i) c_iᵀ h_start + Σ_{j≤i} decay_ij (c_i·b_j) x_j."""
    slot = tl.program_id(0) // heads
    head = (tl.program_id(0) % heads).to(tl.int64)
    group = head // heads_a_group
    batch, start, size = _place(slot, spans, slots, chunks, length, CHUNK, PACKED)
    if size <= 0:
        return
    rows = tl.arange(0, CHUNK)
    real = rows < size
    w = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    x += batch * x_batch + start * x_token + head * x_head
    a += batch * a_batch + start * a_token + head * a_head
    b += batch * b_batch + start * b_token + group * b_group
    c += batch * c_batch + start * c_token + group * c_group
    y += batch * y_batch + start * y_token + head * y_head
    starts += (slot.to(tl.int64) * heads + head) * (STATE * WIDTH)

    scores = tl.zeros((CHUNK, CHUNK), tl.float32)
    out = tl.zeros((CHUNK, BLOCK_W), tl.float32)
    for block in range(0, STATE, BLOCK_N):
        n = block + tl.arange(0, BLOCK_N)
        c_tile = _tile(c, rows, c_token, real, n, c_column, STATE)
        b_tile = _tile(b, rows, b_token, real, n, b_column, STATE)
        h_tile = _state_tile(starts, n, w, STATE, WIDTH)
        scores = tl.dot(c_tile, tl.trans(b_tile), scores, input_precision="ieee")
        out = tl.dot(c_tile, h_tile, out, input_precision="ieee")
    step = tl.load(a + rows * a_token, mask=real, other=0.0)
    out *= tl.exp(tl.cumsum(step, axis=0))[:, None]
    x_tile = _tile(x, rows, x_token, real, w, x_column, WIDTH)
    scores *= _decays(step, rows)
    out = tl.dot(scores.to(x_tile.dtype), x_tile, out, input_precision="ieee")
    inside = real[:, None] & (w < WIDTH)[None, :]
    tl.store(y + rows[:, None] * y_token + w[None, :], out.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _scores(
    b, c, rows, real, b_token, b_column, c_token, c_column,
    STATE: tl.constexpr, CHUNK: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """The products c_i·b_j at [i, j]."""
    scores = tl.zeros((CHUNK, CHUNK), tl.float32)
    for block in range(0, STATE, BLOCK_N):
        n = block + tl.arange(0, BLOCK_N)
        c_tile = _tile(c, rows, c_token, real, n, c_column, STATE)
        b_tile = _tile(b, rows, b_token, real, n, b_column, STATE)
        scores = tl.dot(c_tile, tl.trans(b_tile), scores, input_precision="ieee")
    return scores


@triton.jit
def _gradients_xa_kernel(
    x, a, b, c, dy, starts, d_ends, d_totals, dx, da, spans,
    slots, chunks, length, heads, heads_a_group, tiles,
    x_batch, x_token, x_head, x_column,
    a_batch, a_token, a_head,
    b_batch, b_token, b_group, b_column,
    c_batch, c_token, c_group, c_column,
    dy_batch, dy_token, dy_head, dy_column,
    dx_batch, dx_token, dx_head,
    da_batch, da_token,
    STATE: tl.constexpr, WIDTH: tl.constexpr, CHUNK: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_W: tl.constexpr, TILES: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Gradients of a chunk's x and a.

    The decay a_k lies on every path that crosses k: from a token before k to one at or after it, from the
    start to such a token, from a token before k to the end, and from the start to the end.
    """
    slot = tl.program_id(0) // heads
    head = (tl.program_id(0) % heads).to(tl.int64)
    group = head // heads_a_group
    batch, start, size = _place(slot, spans, slots, chunks, length, CHUNK, PACKED)
    if size <= 0:
        return
    rows = tl.arange(0, CHUNK)
    real = rows < size
    entry = slot.to(tl.int64) * heads + head
    x += batch * x_batch + start * x_token + head * x_head
    a += batch * a_batch + start * a_token + head * a_head
    b += batch * b_batch + start * b_token + group * b_group
    c += batch * c_batch + start * c_token + group * c_group
    dy += batch * dy_batch + start * dy_token + head * dy_head
    dx += batch * dx_batch + start * dx_token + head * dx_head
    starts += entry * (STATE * WIDTH)
    d_ends += entry * (STATE * WIDTH)

    step = tl.load(a + rows * a_token, mask=real, other=0.0)
    to_end = tl.exp(_after(a, rows, a_token, size))
    scores = _scores(b, c, rows, real, b_token, b_column, c_token, c_column, STATE, CHUNK, BLOCK_N)
    scores *= _decays(step, rows)

    overlaps = tl.zeros((CHUNK, CHUNK), tl.float32)
    reading = tl.zeros((CHUNK,), tl.float32)
    writing = tl.zeros((CHUNK,), tl.float32)
    for column in range(0, WIDTH, BLOCK_W):
        w = column + tl.arange(0, BLOCK_W)
        x_tile = _tile(x, rows, x_token, real, w, x_column, WIDTH)
        dy_tile = _tile(dy, rows, dy_token, real, w, dy_column, WIDTH)
        from_start = tl.zeros((CHUNK, BLOCK_W), tl.float32)
        dx_tile = tl.zeros((CHUNK, BLOCK_W), tl.float32)
        for block in range(0, STATE, BLOCK_N):
            n = block + tl.arange(0, BLOCK_N)
            c_tile = _tile(c, rows, c_token, real, n, c_column, STATE)
            b_tile = _tile(b, rows, b_token, real, n, b_column, STATE)
            h_tile = _state_tile(starts, n, w, STATE, WIDTH)
            d_end_tile = _state_tile(d_ends, n, w, STATE, WIDTH)
            from_start = tl.dot(c_tile, h_tile, from_start, input_precision="ieee")
            dx_tile = tl.dot(b_tile, d_end_tile, dx_tile, input_precision="ieee")
        dx_tile *= to_end[:, None]
        reading += tl.sum(from_start * dy_tile, axis=1)
        writing += tl.sum(dx_tile * x_tile, axis=1)
        overlaps = tl.dot(dy_tile, tl.trans(x_tile), overlaps, input_precision="ieee")
        dx_tile = tl.dot(tl.trans(scores.to(dy_tile.dtype)), dy_tile, dx_tile, input_precision="ieee")
        inside = real[:, None] & (w < WIDTH)[None, :]
        tl.store(dx + rows[:, None] * dx_token + w[None, :], dx_tile.to(dx.dtype.element_ty), mask=inside)

    earlier = rows[:, None] > rows[None, :]
    crossing = tl.cumsum(tl.where(earlier, scores * overlaps, 0.0), axis=0, reverse=True)
    d_step = tl.sum(tl.where(earlier, crossing + writing[None, :], 0.0), axis=1)
    d_step += tl.cumsum(reading * tl.exp(tl.cumsum(step, axis=0)), axis=0, reverse=True)
    part = tl.arange(0, TILES)
    d_step += tl.sum(tl.load(d_totals + entry * tiles + part, mask=part < tiles, other=0.0), axis=0)
    tl.store(da + batch * da_batch + (start + rows) * da_token + head, d_step, mask=real)


@triton.jit
def _gradients_bc_kernel(
    x, a, b, c, dy, starts, d_ends, db, dc, spans,
    slots, chunks, length, heads, groups, heads_a_group, heads_a_part,
    x_batch, x_token, x_head, x_column,
    a_batch, a_token, a_head,
    b_batch, b_token, b_group, b_column,
    c_batch, c_token, c_group, c_column,
    dy_batch, dy_token, dy_head, dy_column,
    db_part, db_batch, db_token, db_group,
    STATE: tl.constexpr, WIDTH: tl.constexpr, CHUNK: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_W: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Gradients of a chunk's b and c in a group, over a part of its heads."""
    slot = tl.program_id(0) // groups
    group = (tl.program_id(0) % groups).to(tl.int64)
    part = tl.program_id(2)
    batch, start, size = _place(slot, spans, slots, chunks, length, CHUNK, PACKED)
    if size <= 0:
        return
    rows = tl.arange(0, CHUNK)
    real = rows < size
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    x += batch * x_batch + start * x_token
    a += batch * a_batch + start * a_token
    b += batch * b_batch + start * b_token + group * b_group
    c += batch * c_batch + start * c_token + group * c_group
    dy += batch * dy_batch + start * dy_token
    b_tile = _tile(b, rows, b_token, real, n, b_column, STATE)
    c_tile = _tile(c, rows, c_token, real, n, c_column, STATE)
    db_tile = tl.zeros((CHUNK, BLOCK_N), tl.float32)
    dc_tile = tl.zeros((CHUNK, BLOCK_N), tl.float32)
    first = group * heads_a_group + part * heads_a_part
    for head in range(first, first + heads_a_part):
        entry = (slot.to(tl.int64) * heads + head) * (STATE * WIDTH)
        overlaps = tl.zeros((CHUNK, CHUNK), tl.float32)
        from_end = tl.zeros((CHUNK, BLOCK_N), tl.float32)
        from_start = tl.zeros((CHUNK, BLOCK_N), tl.float32)
        for column in range(0, WIDTH, BLOCK_W):
            w = column + tl.arange(0, BLOCK_W)
            x_tile = _tile(x + head * x_head, rows, x_token, real, w, x_column, WIDTH)
            dy_tile = _tile(dy + head * dy_head, rows, dy_token, real, w, dy_column, WIDTH)
            h_tile = _state_tile(starts + entry, n, w, STATE, WIDTH)
            d_end_tile = _state_tile(d_ends + entry, n, w, STATE, WIDTH)
            overlaps = tl.dot(dy_tile, tl.trans(x_tile), overlaps, input_precision="ieee")
            from_end = tl.dot(x_tile, tl.trans(d_end_tile), from_end, input_precision="ieee")
            from_start = tl.dot(dy_tile, tl.trans(h_tile), from_start, input_precision="ieee")
        step = tl.load(a + head * a_head + rows * a_token, mask=real, other=0.0)
        db_tile += from_end * tl.exp(_after(a + head * a_head, rows, a_token, size))[:, None]
        dc_tile += from_start * tl.exp(tl.cumsum(step, axis=0))[:, None]
        overlaps = (overlaps * _decays(step, rows)).to(b_tile.dtype)
        db_tile = tl.dot(tl.trans(overlaps), c_tile, db_tile, input_precision="ieee")
        dc_tile = tl.dot(overlaps, b_tile, dc_tile, input_precision="ieee")
    at = part * db_part + batch * db_batch + start * db_token + group * db_group
    at += rows[:, None] * db_token + n[None, :]
    inside = real[:, None] & (n < STATE)[None, :]
    tl.store(db + at, db_tile.to(db.dtype.element_ty), mask=inside)
    tl.store(dc + at, dc_tile.to(dc.dtype.element_ty), mask=inside)


@triton.jit
def _step_kernel(
    x, a, b, c, state, y, out,
    heads, heads_a_group,
    x_batch, x_head, x_column,
    a_batch, a_head,
    b_batch, b_group, b_column,
    c_batch, c_group, c_column,
    h_batch, h_head, h_row, h_column,
    STATE: tl.constexpr, WIDTH: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    batch = (tl.program_id(0) // heads).to(tl.int64)
    head = (tl.program_id(0) % heads).to(tl.int64)
    group = head // heads_a_group
    w = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    columns = w < WIDTH
    written = tl.load(x + batch * x_batch + head * x_head + w * x_column, mask=columns, other=0.0).to(
        tl.float32
    )
    decay = tl.exp(tl.load(a + batch * a_batch + head * a_head))
    state += batch * h_batch + head * h_head
    out += (batch * heads + head) * (STATE * WIDTH)
    total = tl.zeros((BLOCK_W,), tl.float32)
    for block in range(0, STATE, BLOCK_N):
        n = block + tl.arange(0, BLOCK_N)
        inside = (n < STATE)[:, None] & columns[None, :]
        b_n = tl.load(b + batch * b_batch + group * b_group + n * b_column, mask=n < STATE, other=0.0).to(
            tl.float32
        )
        c_n = tl.load(c + batch * c_batch + group * c_group + n * c_column, mask=n < STATE, other=0.0).to(
            tl.float32
        )
        h = tl.load(state + n[:, None] * h_row + w[None, :] * h_column, mask=inside, other=0.0)
        h = decay * h + b_n[:, None] * written[None, :]
        tl.store(out + n[:, None] * WIDTH + w[None, :], h, mask=inside)
        total += tl.sum(c_n[:, None] * h, axis=0)
    tl.store(y + (batch * heads + head) * WIDTH + w, total.to(y.dtype.element_ty), mask=columns)


# ---------------------------------------------------------------------------------------------------------
# Operators
# ---------------------------------------------------------------------------------------------------------


@torch.library.custom_op("storyloom::ssd", mutates_args=())
def _ssd(
    x: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    initial: Tensor,
    spans: Tensor | None,
    firsts: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gives y, the final state, and for the backward the states before the chunks and the chunks' decays."""
    _, length, heads, width = x.shape
    groups, state = b.shape[2:]
    y, final, starts, totals = _buffers(x, b, initial, spans, chunk)
    slots = starts.shape[0]
    if x.shape[0] == 0:
        return y, final, starts, totals
    initial = initial.contiguous()
    written = torch.empty(starts.shape, dtype=torch.float32, device=x.device)
    place = (slots, _chunks(length, chunk), length, heads, heads // groups)
    config = _config(chunk, state, width, x.element_size())
    sizes = {"STATE": state, "WIDTH": width, "CHUNK": chunk, "PACKED": spans is not None, **config}
    columns = triton.cdiv(width, config["BLOCK_W"])
    with torch.cuda.device_of(x):
        _chunk_states_kernel[slots * heads, columns * triton.cdiv(state, config["BLOCK_N"])](
            x,
            a,
            b,
            written,
            totals,
            spans,
            *place,
            *x.stride(),
            *a.stride(),
            *b.stride(),
            TO_END=True,
            **sizes,
        )
        block = _pass_block(state * width, x.device)
        _pass_states_kernel[initial.shape[0] * heads, triton.cdiv(state * width, block)](
            written, totals, initial, starts, final, firsts, place[1], heads,
            ENTRIES=state * width, BLOCK=block, PACKED=spans is not None, num_warps=4,
        )  # fmt: skip
        _outputs_kernel[slots * heads, columns](
            x, a, b, c, starts, y, spans, *place,
            *x.stride(), *a.stride(), *b.stride(), *c.stride(), *y.stride()[:3], **sizes,
        )  # fmt: skip
    return y, final, starts, totals


@_ssd.register_fake
def _(x, _a, b, _c, initial, spans, _firsts, chunk):
    return _buffers(x, b, initial, spans, chunk)


@torch.library.custom_op("storyloom::ssd_backward", mutates_args=())
def _ssd_backward(
    dy: Tensor,
    d_final: Tensor | None,
    x: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    starts: Tensor,
    totals: Tensor,
    spans: Tensor | None,
    firsts: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gives the gradients of x, a, b, c and the initial state."""
    batch, length, heads, width = x.shape
    groups, state = b.shape[2:]
    dx, da, db, dc, d_initial = _gradient_buffers(x, a, b, firsts)
    slots = starts.shape[0]
    if batch == 0:
        return dx, da, db, dc, d_initial
    d_final = None if d_final is None else d_final.contiguous()
    read = torch.empty(starts.shape, dtype=torch.float32, device=x.device)
    d_ends = torch.empty_like(starts)
    place = (slots, _chunks(length, chunk), length, heads)
    config = _config(chunk, state, width, x.element_size(), backward=True)
    sizes = {"STATE": state, "WIDTH": width, "CHUNK": chunk, "PACKED": spans is not None, **config}
    rows = triton.cdiv(state, config["BLOCK_N"])
    strides = (*x.stride(), *a.stride(), *b.stride(), *c.stride(), *dy.stride())
    block = _pass_block(state * width, x.device)
    tiles = triton.cdiv(state * width, block)
    d_totals = torch.empty(slots, heads, tiles, dtype=torch.float32, device=x.device)
    parts = _parts(slots * groups * rows, heads // groups)
    if parts > 1:
        make = torch.empty if spans is None else torch.zeros
        parts_of_db, parts_of_dc = (make(parts, *b.shape, dtype=torch.float32, device=x.device) for _ in "bc")
    else:
        parts_of_db, parts_of_dc = db[None], dc[None]
    with torch.cuda.device_of(x):
        _chunk_states_kernel[slots * heads, rows * triton.cdiv(width, config["BLOCK_W"])](
            dy, a, c, read, totals, spans, *place, heads // groups,
            *dy.stride(), *a.stride(), *c.stride(), TO_END=False, **sizes,
        )  # fmt: skip
        _pass_gradients_kernel[d_initial.shape[0] * heads, tiles](
            read, totals, starts, d_final, d_ends, d_initial, d_totals, firsts, place[1], heads, tiles,
            ENTRIES=state * width, BLOCK=block, PACKED=spans is not None, HAS_FINAL=d_final is not None,
            num_warps=4,
        )  # fmt: skip
        _gradients_xa_kernel[(slots * heads,)](
            x, a, b, c, dy, starts, d_ends, d_totals, dx, da, spans, *place, heads // groups, tiles,
            *strides, *dx.stride()[:3], *da.stride()[:2], TILES=triton.next_power_of_2(tiles), **sizes,
        )  # fmt: skip
        _gradients_bc_kernel[slots * groups, rows, parts](
            x, a, b, c, dy, starts, d_ends, parts_of_db, parts_of_dc, spans,
            *place, groups, heads // groups, heads // groups // parts,
            *strides, *parts_of_db.stride()[:4], **sizes,
        )  # fmt: skip
    if parts > 1:
        db, dc = parts_of_db.sum(0).to(b.dtype), parts_of_dc.sum(0).to(b.dtype)
    return dx, da, db, dc, d_initial


@_ssd_backward.register_fake
def _(_dy, _d_final, x, a, b, _c, _starts, _totals, _spans, firsts, _chunk):
    return _gradient_buffers(x, a, b, firsts)


def _chunks(length: int, chunk: int) -> int:
    return (length + chunk - 1) // chunk


def _buffers(
    x: Tensor, b: Tensor, initial: Tensor, spans: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, length, heads, width = x.shape
    slots = batch * _chunks(length, chunk) if spans is None else spans.shape[1]
    # Packed tokens that belong to no sequence are never written.
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device) if spans is None else x.new_zeros(x.shape)
    return (
        y,
        torch.empty(initial.shape, dtype=torch.float32, device=x.device),
        torch.empty(slots, heads, b.shape[3], width, dtype=x.dtype, device=x.device),
        torch.empty(slots, heads, dtype=torch.float32, device=x.device),
    )


def _gradient_buffers(
    x: Tensor, a: Tensor, b: Tensor, firsts: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    make = torch.empty if firsts is None else torch.zeros
    dx, da, db, dc = (make(like.shape, dtype=like.dtype, device=x.device) for like in (x, a, b, b))
    sequences = x.shape[0] if firsts is None else firsts.shape[0] - 1
    state = (sequences, x.shape[2], b.shape[3], x.shape[3])
    return dx, da, db, dc, torch.empty(state, dtype=torch.float32, device=x.device)


def _remember(ctx, inputs, output):
    x, a, b, c, _, spans, firsts, chunk = inputs
    _, _, starts, totals = output
    ctx.mark_non_differentiable(starts, totals)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, a, b, c, starts, totals, spans, firsts)
    ctx.chunk = chunk


def _back(ctx, dy, d_final, _starts, _totals):
    x, a, b, c, starts, totals, spans, firsts = ctx.saved_tensors
    if dy is None:
        dy = torch.zeros_like(x)
    gradients = _ssd_backward(dy, d_final, x, a, b, c, starts, totals, spans, firsts, ctx.chunk)
    return (*gradients, None, None, None)


_ssd.register_autograd(_back, setup_context=_remember)


@torch.library.custom_op("storyloom::ssd_step", mutates_args=())
def _ssd_step(x: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    batch, heads, width = x.shape
    groups, size = b.shape[1:]
    y, out = _step_buffers(x, state)
    if batch == 0:
        return y, out
    # A row of 32 floats is one transaction; narrow tiles make enough programs of a small batch.
    block = min(32, triton.next_power_of_2(width))
    with torch.cuda.device_of(x):
        _step_kernel[batch * heads, triton.cdiv(width, block)](
            x, a, b, c, state, y, out, heads, heads // groups,
            *x.stride(), *a.stride(), *b.stride(), *c.stride(), *state.stride(),
            STATE=size, WIDTH=width, BLOCK_N=min(64, triton.next_power_of_2(size)), BLOCK_W=block,
            num_warps=2,
        )  # fmt: skip
    return y, out


@_ssd_step.register_fake
def _(x, _a, _b, _c, state):
    return _step_buffers(x, state)


def _step_buffers(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    return y, torch.empty(state.shape, dtype=torch.float32, device=x.device)


def _no_backward(_ctx, *_):
    raise RuntimeError(
        'ssd_step: Triton\'s step has no backward. Train with ssd, or take backend="reference".'
    )


_ssd_step.register_autograd(_no_backward)
