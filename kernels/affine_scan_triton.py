"""Affine scans in Triton: one pass over memory, or two where the sequences are too few to fill the device."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.operators import operator

# Programs that a multiprocessor should have to choose from: one's loads hide behind another's arithmetic.
_PROGRAMS_EACH = 4
# A chunk shorter than this costs more in launches and carries than its neighbours' company gains.
_SHORTEST_CHUNK = 256


@dataclass(frozen=True)
class Config:
    """How a scan is cut: rows and columns of a tile, steps of a chunk, chunks of a sequence."""

    tile: int
    block: int
    chunk: int
    chunks: int
    warps: int = 4


@cache
def _processors(device: torch.device) -> int:
    """Multiprocessors of a device; the interpreter has one."""
    return int(torch.cuda.get_device_properties(device).multi_processor_count) if device.type == "cuda" else 1


def cut(sequences: int, length: int, tile: int, device: torch.device) -> tuple[int, int]:
    """Steps of a chunk, and chunks: one chunk where there are sequences enough to fill the device.

    Args:
        sequences: programs that run side by side without chunks.
        length: steps of each.
        tile: chunks are made of whole tiles.
        device: where they run.
    """
    wanted = _PROGRAMS_EACH * _processors(device)
    # Chunks read the inputs twice: half as many programs as wanted are better left whole.
    chunks = 1 if 2 * sequences >= wanted else triton.cdiv(wanted, sequences)
    chunks = min(chunks, triton.cdiv(length, _SHORTEST_CHUNK))
    chunk = triton.cdiv(triton.cdiv(length, chunks), tile) * tile
    return chunk, triton.cdiv(length, chunk)


def _config(a: Tensor) -> Config:
    batch, length, width = a.shape
    # A row of 64 half-precision numbers is one 128-byte line. Compiled for an H100, a tile of 2,048 numbers
    # takes 85 to 104 registers a thread; one of 4,096 takes 156, which leaves room for fewer programs.
    block = min(64, max(4, triton.next_power_of_2(width)))
    tile = min(32, max(16, triton.next_power_of_2(length)))
    chunk, chunks = cut(batch * triton.cdiv(width, block), length, tile, a.device)
    return Config(tile, block, chunk, chunks)


@triton.jit
def compose(a_early, b_early, a_late, b_late):
    """Two steps h → a h + b in a row, as one."""
    return a_early * a_late, a_late * b_early + b_late


@triton.jit
def _scan(
    a_ptr, b_ptr, carry_ptr, out_ptr, product_ptr, state_ptr, initial_ptr, da_ptr, dinitial_ptr, a_batch,
    a_step, a_column, b_batch, b_step, b_column, carry_batch, out_batch, length, width, chunk, chunks,
    REVERSE: tl.constexpr, GRADIENT: tl.constexpr, SUMMARY: tl.constexpr, DTYPE: tl.constexpr,
    TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Scan one chunk of one sequence over a block of columns.

    Steps are counted in the scan's own order. As a gradient the scan runs against the forward one, its addend
    is the output's gradient, and the multiplier into a step is the one of the step before it; it takes the
    states of the forward scan and gives the multipliers' gradient beside the addends'. As a summary it gives
    only the chunk's last state from a zero start, and the product of its multipliers.
    """
    batch = (tl.program_id(0) // chunks).to(tl.int64)
    piece = tl.program_id(0) % chunks
    columns = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    inside = columns < width
    rows = tl.arange(0, TILE)
    is_last = (rows == TILE - 1)[:, None]
    first = piece * chunk
    a_base = a_ptr + batch * a_batch + columns[None, :] * a_column
    b_base = b_ptr + batch * b_batch + columns[None, :] * b_column
    if SUMMARY:
        carry = tl.zeros((BLOCK,), dtype=DTYPE)
        product = tl.full((BLOCK,), 1.0, dtype=DTYPE)
    else:
        at = carry_ptr + batch * carry_batch + piece * width + columns
        carry = tl.load(at, mask=inside, other=0.0).to(DTYPE)
    for start in range(first, min(first + chunk, length), TILE):
        steps = start + rows
        # Steps past the end keep the state: multiplier 1, addend 0.
        mask = (steps < length)[:, None] & inside[None, :]
        time = (length - 1 - steps if REVERSE else steps).to(tl.int64)[:, None]
        if GRADIENT:
            a_time = time + 1 if REVERSE else time - 1
            a = tl.load(a_base + a_time * a_step, mask=mask & (steps > 0)[:, None], other=1.0).to(DTYPE)
        else:
            a = tl.load(a_base + time * a_step, mask=mask, other=1.0).to(DTYPE)
        b = tl.load(b_base + time * b_step, mask=mask, other=0.0).to(DTYPE)
        products, sums = tl.associative_scan((a, b), 0, compose)
        h = products * carry[None, :] + sums
        carry = tl.sum(tl.where(is_last, h, 0.0), 0)
        if SUMMARY:
            product *= tl.sum(tl.where(is_last, products, 0.0), 0)
        else:
            place = batch * out_batch + time * width + columns[None, :]
            tl.store(out_ptr + place, h.to(out_ptr.dtype.element_ty), mask=mask)
            if GRADIENT:
                # The state before this step in forward order: of the next step here, or the initial one.
                ended = (steps == length - 1)[:, None]
                place_before = place - width if REVERSE else place + width
                before = tl.load(state_ptr + place_before, mask=mask & ~ended, other=0.0).to(DTYPE)
                outer = tl.load(
                    initial_ptr + batch * width + columns[None, :], mask=mask & ended, other=0.0
                ).to(DTYPE)
                da = h * tl.where(ended, outer, before)
                tl.store(da_ptr + place, da.to(da_ptr.dtype.element_ty), mask=mask)
    if SUMMARY:
        place = (batch * chunks + piece) * width + columns
        tl.store(out_ptr + place, carry, mask=inside)
        tl.store(product_ptr + place, product, mask=inside)
    elif GRADIENT and piece == chunks - 1:
        end = tl.cast(0 if REVERSE else length - 1, tl.int64)
        a_at = a_ptr + batch * a_batch + end * a_step + columns * a_column
        a_end = tl.load(a_at, mask=inside, other=0.0).to(DTYPE)
        tl.store(dinitial_ptr + batch * width + columns, a_end * carry, mask=inside)


def _carries(a: Tensor, b: Tensor, initial: Tensor, reverse: bool, gradient: bool, config: Config) -> Tensor:
    """The state before each chunk, [batch, chunks, width]: their summaries, scanned by the same kernel."""
    batch, _, width = a.shape
    last = initial.new_empty((batch, config.chunks, width))
    product = torch.empty_like(last)
    _launch(a, b, initial, last, reverse, config, gradient=gradient, summary=product)
    # One row more than chunks: the scan writes from the second on.
    states = initial.new_empty((batch, config.chunks + 1, width))
    states[:, 0] = initial
    tile = max(16, min(64, triton.next_power_of_2(config.chunks)))
    whole = Config(tile, config.block, triton.cdiv(config.chunks, tile) * tile, 1)
    _launch(product, last, initial, states[:, 1:], False, whole)
    return states


def _launch(
    a: Tensor,
    b: Tensor,
    carries: Tensor,
    out: Tensor,
    reverse: bool,
    config: Config,
    *,
    gradient: bool = False,
    summary: Tensor | None = None,
    gradients: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
) -> None:
    batch, length, width = a.shape
    state, initial, da, dinitial = gradients or (out, carries, out, out)
    _scan[(batch * config.chunks, triton.cdiv(width, config.block))](
        a, b, carries, out, out if summary is None else summary, state, initial, da, dinitial,
        *a.stride(), *b.stride(), carries.stride(0), out.stride(0), length, width, config.chunk,
        config.chunks,
        REVERSE=reverse, GRADIENT=gradient, SUMMARY=summary is not None,
        DTYPE=tl.float64 if a.dtype == torch.float64 else tl.float32, TILE=config.tile,
        BLOCK=config.block, num_warps=config.warps,
    )  # fmt: skip


@operator("storyloom::affine_scan")
def _forward(a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
    h = a.new_empty(a.shape)
    if h.numel():
        config = _config(a)
        initial = initial.contiguous()
        carries = initial if config.chunks == 1 else _carries(a, b, initial, reverse, False, config)
        _launch(a, b, carries, h, reverse, config)
    return h


@_forward.register_fake
def _(a: Tensor, *_: Any) -> Tensor:
    return a.new_empty(a.shape)


@operator("storyloom::affine_scan_backward")
def _backward(
    grad: Tensor, a: Tensor, h: Tensor, initial: Tensor, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    da, db = a.new_empty(a.shape), a.new_empty(a.shape)
    dinitial = initial.new_empty(initial.shape)
    if db.numel():
        config = _config(a)
        initial = initial.contiguous()
        carries = torch.zeros_like(initial)
        if config.chunks > 1:
            carries = _carries(a, grad, carries, not reverse, True, config)
        _launch(
            a, grad, carries, db, not reverse, config, gradient=True, gradients=(h, initial, da, dinitial)
        )
    return da, db, dinitial


@_backward.register_fake
def _(_: Tensor, a: Tensor, h: Tensor, initial: Tensor, *__: Any) -> tuple[Tensor, Tensor, Tensor]:
    return a.new_empty(h.shape), a.new_empty(h.shape), initial.new_empty(initial.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
    a, _, initial, ctx.reverse = inputs
    ctx.save_for_backward(a, initial, output)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    a, initial, h = ctx.saved_tensors
    return *_backward(grad, a, h, initial, ctx.reverse), None


_forward.register_autograd(_differentiate, setup_context=_keep)


def affine_scan_triton(a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
    """The scan of ``affine_scan``; its gradient is the same kernel, run the other way."""
    h: Tensor = _forward(a, b, initial, reverse)
    return h
