"""Aaren's passes in Triton: a scan of (m, u, w), the same backward, and what joins the chunks of either."""

import triton
import triton.language as tl

from storyloom.kernels.affine_scan_triton import compose

LOWEST_SCORE = tl.constexpr(-1e30)


@triton.jit
def _greater(a, b):
    return tl.maximum(a, b)


@triton.jit
def _scaled(values, scale):
    """Rows times a number each; 0 where that number is 0, whatever the row holds."""
    return tl.where(scale[:, None] == 0, 0.0, scale[:, None] * values)


@triton.jit
def _follow(decay, added, added_rows, u, w, TILE: tl.constexpr, BLOCK: tl.constexpr):
    """Scan a number and a row of numbers a step with the same decays, from u and w on."""
    products, sums = tl.associative_scan((decay, added), 0, compose)
    us = products * u + sums
    wide = tl.broadcast_to(decay[:, None], (TILE, BLOCK))
    wide_products, wide_sums = tl.associative_scan((wide, added_rows), 0, compose)
    return us, wide_products * w[None, :] + wide_sums


@triton.jit
def _own_chunk(heads, chunks):
    """A program's chunk, and whose it is: its row of [batch, heads], its batch entry and its head."""
    row = (tl.program_id(0) // chunks).to(tl.int64)
    return tl.program_id(0) % chunks, row, row // heads, row % heads


@triton.jit
def forward_kernel(
    score_ptr, value_ptr, m_in, u_in, w_in, out_ptr, m_trace, u_trace, m_out, u_out, w_out, score_batch,
    score_step, score_head, value_batch, value_step, value_head, value_column, heads, length, width,
    chunk, chunks,
    SUMMARY: tl.constexpr, DTYPE: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One chunk of one head: o and the traces of m and u, or only the chunk's own (m, u, w) as a summary."""
    piece, row, batch, head = _own_chunk(heads, chunks)
    columns = tl.arange(0, BLOCK).to(tl.int64)
    inside = columns < width
    rows = tl.arange(0, TILE)
    is_last = rows == TILE - 1
    first = piece * chunk
    scores = score_ptr + batch * score_batch + head * score_head
    values = value_ptr + batch * value_batch + head * value_head + columns[None, :] * value_column
    if SUMMARY:
        m = tl.full((), LOWEST_SCORE, dtype=DTYPE)
        u = tl.full((), 0.0, dtype=DTYPE)
        w = tl.zeros((BLOCK,), dtype=DTYPE)
    else:
        own = row * chunks + piece
        u = tl.load(u_in + own)
        m = tl.where(u > 0, tl.load(m_in + own), LOWEST_SCORE)
        w = tl.load(w_in + own * width + columns, mask=inside, other=0.0)
    for start in range(first, min(first + chunk, length), TILE):
        steps = start + rows
        here = steps < length
        time = steps.to(tl.int64)
        s = tl.load(scores + time * score_step, mask=here, other=float("-inf")).to(DTYPE)
        s_before = tl.load(scores + (time - 1) * score_step, mask=here & (rows > 0), other=float("-inf")).to(
            DTYPE
        )
        mask = here[:, None] & inside[None, :]
        v = tl.load(values + time[:, None] * value_step, mask=mask, other=0.0).to(DTYPE)
        ms = tl.maximum(m, tl.associative_scan(s, 0, _greater))
        ms_before = tl.maximum(m, tl.associative_scan(s_before, 0, _greater))
        weight = tl.exp(s - ms)
        # Rows past the end have a decay of 1 and no weight.
        decay = tl.exp(tl.where(here, ms_before - ms, 0.0))
        us, ws = _follow(decay, weight, _scaled(v, weight), u, w, TILE, BLOCK)
        m = tl.sum(tl.where(is_last, ms, 0.0), 0)
        u = tl.sum(tl.where(is_last, us, 0.0), 0)
        w = tl.sum(tl.where(is_last[:, None], ws, 0.0), 0)
        if not SUMMARY:
            out = tl.where(us[:, None] == 0, 0.0, ws / tl.where(us == 0, 1.0, us)[:, None])
            place = (batch * length + time) * heads + head
            tl.store(m_trace + place, ms, mask=here)
            tl.store(u_trace + place, us, mask=here)
            at = out_ptr + place[:, None] * width + columns[None, :]
            tl.store(at, out.to(out_ptr.dtype.element_ty), mask=mask)
    if SUMMARY or piece == chunks - 1:
        end = row * chunks + piece if SUMMARY else row
        tl.store(m_out + end, m)
        tl.store(u_out + end, u)
        tl.store(w_out + end * width + columns, w, mask=inside)


@triton.jit
def backward_kernel(  # noqa: PLR0915
    grad_ptr, score_ptr, value_ptr, out_ptr, m_trace, u_trace, m_first, u_first, e_in, r_in, dscore_ptr,
    dvalue_ptr, m_out, e_out, r_out, grad_batch, grad_step, grad_head, grad_column, score_batch,
    score_step, score_head, value_batch, value_step, value_head, value_column, heads, length, width,
    chunk, chunks,
    SUMMARY: tl.constexpr, DTYPE: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One chunk of one head, from the last token to the first.

    r_t = Σ_{i≥t} e^{m_t−m_i} do_i / u_i and e_t = −Σ_{i≥t} e^{m_t−m_i} (do_i·o_i) / u_i are the forward's w
    and u with scores −m_i; then dv_t = p_t r_t and ds_t = p_t (v_t·r_t + e_t) with p_t = e^{s_t−m_t}.
    """
    piece, row, batch, head = _own_chunk(heads, chunks)
    columns = tl.arange(0, BLOCK).to(tl.int64)
    inside = columns < width
    rows = tl.arange(0, TILE)
    is_last = rows == TILE - 1
    first = piece * chunk
    grads = grad_ptr + batch * grad_batch + head * grad_head + columns[None, :] * grad_column
    scores = score_ptr + batch * score_batch + head * score_head
    values = value_ptr + batch * value_batch + head * value_head + columns[None, :] * value_column
    if SUMMARY:
        e = tl.full((), 0.0, dtype=DTYPE)
        r = tl.zeros((BLOCK,), dtype=DTYPE)
    else:
        own = row * chunks + piece
        e = tl.load(e_in + own)
        r = tl.load(r_in + own * width + columns, mask=inside, other=0.0)
    for start in range(first, min(first + chunk, length), TILE):
        steps = start + rows
        here = steps < length
        time = (length - 1 - steps).to(tl.int64)
        mask = here[:, None] & inside[None, :]
        place = (batch * length + time) * heads + head
        at = place[:, None] * width + columns[None, :]
        m = tl.load(m_trace + place, mask=here, other=0.0)
        m_later = tl.load(m_trace + place + heads, mask=here & (steps > 0), other=0.0)
        u = tl.load(u_trace + place, mask=here, other=0.0)
        do = tl.load(grads + time[:, None] * grad_step, mask=mask, other=0.0).to(DTYPE)
        o = tl.load(out_ptr + at, mask=mask, other=0.0).to(DTYPE)
        # The last token's own maximum is the scale of what comes after it.
        decay = tl.exp(tl.where(here & (steps > 0), m - m_later, 0.0))
        share = tl.where(u == 0, 0.0, 1.0 / tl.where(u == 0, 1.0, u))
        es, rs = _follow(decay, -share * tl.sum(do * o, 1), _scaled(do, share), e, r, TILE, BLOCK)
        e = tl.sum(tl.where(is_last, es, 0.0), 0)
        r = tl.sum(tl.where(is_last[:, None], rs, 0.0), 0)
        if not SUMMARY:
            s = tl.load(scores + time * score_step, mask=here, other=float("-inf")).to(DTYPE)
            v = tl.load(values + time[:, None] * value_step, mask=mask, other=0.0).to(DTYPE)
            weight = tl.where(here, tl.exp(s - m), 0.0)
            # A token without weight has no gradient, even where its value is NaN.
            dscore = tl.where(weight == 0, 0.0, weight * (tl.sum(v * rs, 1) + es))
            tl.store(dscore_ptr + place, dscore.to(dscore_ptr.dtype.element_ty), mask=here)
            tl.store(dvalue_ptr + at, _scaled(rs, weight).to(dvalue_ptr.dtype.element_ty), mask=mask)
    if SUMMARY:
        after = row * chunks + piece
        end = tl.maximum(length - first - chunk, 0).to(tl.int64)
        tl.store(m_out + after, -tl.load(m_trace + (batch * length + end) * heads + head))
        tl.store(e_out + after, e)
        tl.store(r_out + after * width + columns, r, mask=inside)
    elif piece == chunks - 1:
        u_start = tl.load(u_first + row)
        m_start = tl.where(u_start > 0, tl.load(m_first + row), LOWEST_SCORE)
        decay = tl.exp(m_start - tl.load(m_trace + batch * length * heads + head))
        tl.store(e_out + row, decay * e)
        tl.store(r_out + row * width + columns, decay * r, mask=inside)


@triton.jit
def join_kernel(
    m_ptr, u_ptr, w_ptr, m_in, u_in, w_in, m_out, u_out, w_out, width, chunks,
    BACKWARD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The state before each chunk of a head, in the scan's order, from the chunks' own."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK).to(tl.int64)
    inside = columns < width
    m, u = tl.load(m_in + row), tl.load(u_in + row)
    m = -m if BACKWARD else tl.where(u > 0, m, LOWEST_SCORE)
    w = tl.load(w_in + row * width + columns, mask=inside, other=0.0)
    for piece in range(chunks):
        place = row * chunks + piece
        tl.store(m_out + place, m)
        tl.store(u_out + place, u)
        tl.store(w_out + place * width + columns, w, mask=inside)
        m_own = tl.load(m_ptr + place)
        both = tl.maximum(m, m_own)
        old, new = tl.exp(m - both), tl.exp(m_own - both)
        u = old * u + new * tl.load(u_ptr + place)
        w = old * w + new * tl.load(w_ptr + place * width + columns, mask=inside, other=0.0)
        m = both
