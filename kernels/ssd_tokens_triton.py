"""SSD's tokens: a chunk's outputs, and the gradients of its x and a by head, of its b and c by group.

Every dot accumulates in float32.
"""

import triton
import triton.language as tl

from storyloom.kernels.ssd_tiles_triton import decays_between, load_state, load_tile, logs_to_end, place_of


@triton.jit
def outputs_kernel(
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
    batch, start, size = place_of(slot, spans, slots, chunks, length, CHUNK, PACKED)
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
        c_tile = load_tile(c, rows, c_token, real, n, c_column, STATE)
        b_tile = load_tile(b, rows, b_token, real, n, b_column, STATE)
        h_tile = load_state(starts, n, w, STATE, WIDTH)
        scores = tl.dot(c_tile, tl.trans(b_tile), scores, input_precision="ieee")
        out = tl.dot(c_tile, h_tile, out, input_precision="ieee")
    step = tl.load(a + rows * a_token, mask=real, other=0.0)
    out *= tl.exp(tl.cumsum(step, axis=0))[:, None]
    x_tile = load_tile(x, rows, x_token, real, w, x_column, WIDTH)
    scores *= decays_between(step, rows)
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
        c_tile = load_tile(c, rows, c_token, real, n, c_column, STATE)
        b_tile = load_tile(b, rows, b_token, real, n, b_column, STATE)
        scores = tl.dot(c_tile, tl.trans(b_tile), scores, input_precision="ieee")
    return scores


@triton.jit
def gradients_xa_kernel(
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
    batch, start, size = place_of(slot, spans, slots, chunks, length, CHUNK, PACKED)
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
    to_end = tl.exp(logs_to_end(a, rows, a_token, size))
    scores = _scores(b, c, rows, real, b_token, b_column, c_token, c_column, STATE, CHUNK, BLOCK_N)
    scores *= decays_between(step, rows)

    overlaps = tl.zeros((CHUNK, CHUNK), tl.float32)
    reading = tl.zeros((CHUNK,), tl.float32)
    writing = tl.zeros((CHUNK,), tl.float32)
    for column in range(0, WIDTH, BLOCK_W):
        w = column + tl.arange(0, BLOCK_W)
        x_tile = load_tile(x, rows, x_token, real, w, x_column, WIDTH)
        dy_tile = load_tile(dy, rows, dy_token, real, w, dy_column, WIDTH)
        from_start = tl.zeros((CHUNK, BLOCK_W), tl.float32)
        dx_tile = tl.zeros((CHUNK, BLOCK_W), tl.float32)
        for block in range(0, STATE, BLOCK_N):
            n = block + tl.arange(0, BLOCK_N)
            c_tile = load_tile(c, rows, c_token, real, n, c_column, STATE)
            b_tile = load_tile(b, rows, b_token, real, n, b_column, STATE)
            h_tile = load_state(starts, n, w, STATE, WIDTH)
            d_end_tile = load_state(d_ends, n, w, STATE, WIDTH)
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
def gradients_bc_kernel(
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
    batch, start, size = place_of(slot, spans, slots, chunks, length, CHUNK, PACKED)
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
    b_tile = load_tile(b, rows, b_token, real, n, b_column, STATE)
    c_tile = load_tile(c, rows, c_token, real, n, c_column, STATE)
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
            x_tile = load_tile(x + head * x_head, rows, x_token, real, w, x_column, WIDTH)
            dy_tile = load_tile(dy + head * dy_head, rows, dy_token, real, w, dy_column, WIDTH)
            h_tile = load_state(starts + entry, n, w, STATE, WIDTH)
            d_end_tile = load_state(d_ends + entry, n, w, STATE, WIDTH)
            overlaps = tl.dot(dy_tile, tl.trans(x_tile), overlaps, input_precision="ieee")
            from_end = tl.dot(x_tile, tl.trans(d_end_tile), from_end, input_precision="ieee")
            from_start = tl.dot(dy_tile, tl.trans(h_tile), from_start, input_precision="ieee")
        step = tl.load(a + head * a_head + rows * a_token, mask=real, other=0.0)
        db_tile += from_end * tl.exp(logs_to_end(a + head * a_head, rows, a_token, size))[:, None]
        dc_tile += from_start * tl.exp(tl.cumsum(step, axis=0))[:, None]
        overlaps = (overlaps * decays_between(step, rows)).to(b_tile.dtype)
        db_tile = tl.dot(tl.trans(overlaps), c_tile, db_tile, input_precision="ieee")
        dc_tile = tl.dot(overlaps, b_tile, dc_tile, input_precision="ieee")
    at = part * db_part + batch * db_batch + start * db_token + group * db_group
    at += rows[:, None] * db_token + n[None, :]
    inside = real[:, None] & (n < STATE)[None, :]
    tl.store(db + at, db_tile.to(db.dtype.element_ty), mask=inside)
    tl.store(dc + at, dc_tile.to(dc.dtype.element_ty), mask=inside)
