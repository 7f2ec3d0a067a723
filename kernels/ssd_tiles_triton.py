"""What SSD's kernels share: where a chunk lies, its tiles and its decays, and how kernels are launched.

Decays are float32 and only summed, never subtracted.

Axes: slot (a chunk of a sequence), head, n (state), w (width), i and j (tokens in a chunk). Heads and groups
are int64, so that no offset of theirs can overflow; offsets within a chunk are int32.
"""

import torch
import triton
import triton.language as tl

from storyloom.kernels.tiles_triton import tile_of

# Several programs for each of an H100's 132 multiprocessors.
_PROGRAMS = 264


@triton.jit
def place_of(slot, spans, slots, chunks, length, CHUNK: tl.constexpr, PACKED: tl.constexpr):
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
def slots_of(sequence, firsts, chunks, PACKED: tl.constexpr):
    """The sequence's first slot, and the one after its last."""
    if PACKED:
        first = tl.load(firsts + sequence).to(tl.int64)
        last = tl.load(firsts + sequence + 1).to(tl.int64)
    else:
        first = sequence.to(tl.int64) * chunks
        last = first + chunks
    return first, last


@triton.jit
def load_tile(base, rows, row_stride, real, columns, column_stride, limit):
    """[rows, columns], zeros past the chunk's tokens and past the last column."""
    at = base + rows[:, None] * row_stride + columns[None, :] * column_stride
    return tl.load(at, mask=real[:, None] & (columns < limit)[None, :], other=0.0)


@triton.jit
def load_state(base, n, w, STATE: tl.constexpr, WIDTH: tl.constexpr):
    """A tile of a state, zeros outside."""
    inside = (n < STATE)[:, None] & (w < WIDTH)[None, :]
    return tl.load(base + n[:, None] * WIDTH + w[None, :], mask=inside, other=0.0)


@triton.jit
def logs_to_end(base, rows, row_stride, size):
    """Sums of a over the tokens after each one: the logarithms of the decays to the chunk's end."""
    later = tl.load(base + (rows + 1) * row_stride, mask=rows + 1 < size, other=0.0)
    return tl.cumsum(later, axis=0, reverse=True)


@triton.jit
def decays_between(a, rows):
    """exp(a_{j+1} + … + a_i) at [i, j], 0 above the diagonal."""
    later = rows[:, None] > rows[None, :]
    sums = tl.cumsum(tl.where(later, a[:, None], 0.0), axis=0)
    return tl.where(rows[:, None] >= rows[None, :], tl.exp(sums), 0.0)


def config_of(chunk: int, state: int, width: int, itemsize: int, *, backward: bool = False) -> dict[str, int]:
    """Tiles and warps for the kernels with dots.

    A program of float32, or of the backward at the largest chunk, takes narrower tiles: with wider ones it
    would spill its registers.
    """
    wide = itemsize == 2 and not (backward and chunk == 128)
    side = 64 if wide else 32
    return {
        "BLOCK_N": min(side, tile_of(state)),
        "BLOCK_W": min(side, tile_of(width)),
        "num_warps": 8 if itemsize == 4 or chunk == 128 else 4,
        "num_stages": 2 if itemsize == 2 else 1,
    }


def pass_block(entries: int, device: torch.device) -> int:
    """Entries of a state that one program passes along.

    Few on a GPU, for many programs; all that fit in the interpreter, which runs them one by one.
    """
    most = 512 if device.type == "cuda" else 8192
    return most if entries >= most else int(triton.next_power_of_2(entries))


def head_parts(programs: int, heads_a_group: int) -> int:
    """In how many parts a group's heads are taken for the gradients of b and c, to keep a GPU busy."""
    divisors = [part for part in range(1, heads_a_group + 1) if heads_a_group % part == 0]
    return next((part for part in divisors if part * programs >= _PROGRAMS), heads_a_group)
