"""Mamba-2's chunked recurrence in plain torch, on any device and in any float dtype. Knows no Triton.

Written for reading: chunks are independent but for one small loop that passes the state along. Decays are
only ever summed, never subtracted: a difference of two far cumulative sums loses its digits after a strong
reset, and −inf minus −inf is NaN.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


class Places(NamedTuple):
    """Where the chunks of packed sequences lie.

    There are length // chunk + sequences slots, as many as any packing can need: the number follows from
    shapes, so that nothing waits for the device. Slots past the last chunk are empty.

    Attributes:
        spans: first token, and the one after the last, of every slot's chunk; [2, slots] int64.
        firsts: each sequence's first slot, and at the end the number of slots used; [sequences + 1] int64.
    """

    spans: Tensor
    firsts: Tensor


def place_chunks(cu_seqlens: Tensor, length: int, chunk: int) -> Places:
    """Cut packed sequences into chunks, on their device.

    Bounds are forced to lie within the tokens and never to fall, so that no wrong value leads out of memory.
    """
    bounds = cu_seqlens.long().clamp(0, length).cummax(0).values
    counts = (bounds.diff() + chunk - 1) // chunk
    firsts = pad(counts.cumsum(0), (1, 0))
    slots = torch.arange(length // chunk + counts.shape[0], device=bounds.device)
    owners = _owners(firsts, slots)
    starts = bounds[owners] + (slots - firsts[owners]) * chunk
    ends = torch.minimum(starts + chunk, bounds[owners + 1])
    return Places(torch.stack((starts, ends)) * (slots < firsts[-1]), firsts)


def ssd_reference(
    x: Tensor, a: Tensor, b: Tensor, c: Tensor, initial: Tensor, places: Places | None, *, chunk: int
) -> tuple[Tensor, Tensor]:
    """The arguments and results of ``ssd``, checked already.

    Half and bfloat16 compute in float32. Memory: chunk numbers a token and head for the decays, and
    state · width / chunk for the chunks' states.
    """
    heads_a_group = x.shape[2] // b.shape[2]
    x_, a_, b_, c_ = (_cut(tensor.to(a.dtype), places, chunk) for tensor in (x, a, b, c))
    # [rows, slots, heads, chunk, ...] from here on: a row is a batch entry, or all packed sequences.
    x_, a_ = x_.movedim(3, 2), a_.movedim(3, 2)
    b_, c_ = (tensor.repeat_interleave(heads_a_group, dim=3).movedim(3, 2) for tensor in (b_, c_))

    decays = _decays(a_)
    from_start = a_.cumsum(-1).exp()
    to_end = decays[..., -1, :]
    written = (b_ * to_end[..., None]).mT @ x_
    starts, final = _pass_states(written, from_start[..., -1], initial, places)
    y = (c_ @ b_.mT * decays) @ x_ + (c_ @ starts) * from_start[..., None]
    return _join(y.movedim(2, 3), places, x.shape[1]).to(x.dtype), final


def ssd_step_reference(x: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The arguments and results of ``ssd_step``, checked already."""
    heads_a_group = x.shape[1] // b.shape[1]
    b_, c_ = (tensor.to(a.dtype).repeat_interleave(heads_a_group, dim=1) for tensor in (b, c))
    state = a.exp()[..., None, None] * state + b_[..., :, None] * x.to(a.dtype)[..., None, :]
    return (c_[..., None, :] @ state).squeeze(-2).to(x.dtype), state


def _decays(a: Tensor) -> Tensor:
    """exp(a_{j+1} + … + a_i) at [..., i, j], 0 above the diagonal, by masked cumulative sums."""
    size = a.shape[-1]
    ones = torch.ones(size, size, dtype=torch.bool, device=a.device)
    steps = a[..., :, None].expand(*a.shape, size).masked_fill(~ones.tril(-1), 0)
    return steps.cumsum(-2).exp().masked_fill(~ones.tril(), 0)


def _pass_states(
    written: Tensor, decay: Tensor, initial: Tensor, places: Places | None
) -> tuple[Tensor, Tensor]:
    """The state before every chunk, [rows, slots, heads, state, width], and after each sequence."""
    state, starts, ends = initial, [], []
    # Unbound once: each index into a tensor would cost the backward a whole tensor of zeros.
    slots = list(zip(decay[..., None, None].unbind(1), written.unbind(1), strict=True))
    if places is not None:
        numbers = torch.arange(len(slots), device=written.device)
        owners = _owners(places.firsts, numbers)
        opens = (places.firsts[owners] == numbers)[:, None, None, None].unbind(0)
        fresh, state = initial[owners].unbind(0), torch.zeros_like(initial[:1])
    for number, (kept, added) in enumerate(slots):
        if places is not None:
            state = torch.where(opens[number], fresh[number], state)
        starts.append(state)
        state = kept * state + added
        ends.append(state)
    if places is None:
        return torch.stack(starts, 1), state
    lasts = torch.cat(ends)[(places.firsts[1:] - 1).clamp_min(0)]
    return torch.stack(starts, 1), torch.where(
        (places.firsts.diff() > 0)[:, None, None, None], lasts, initial
    )


def _owners(firsts: Tensor, slots: Tensor) -> Tensor:
    """The sequence of every slot; an empty slot gets the last one."""
    return torch.searchsorted(firsts[1:], slots, right=True).clamp_max(firsts.shape[0] - 2)


def _rows(places: Places, chunk: int) -> tuple[Tensor, Tensor]:
    """Every slot's tokens, [slots, chunk], and which of them are real."""
    rows = places.spans[0][:, None] + torch.arange(chunk, device=places.spans.device)
    return rows, rows < places.spans[1][:, None]


def _cut(tensor: Tensor, places: Places | None, chunk: int) -> Tensor:
    """[batch, length, ...] to [rows, slots, chunk, ...], zeros where there is no token."""
    if places is None:
        batch, length, *others = tensor.shape
        slots = -(-length // chunk)
        padded = pad(tensor, (0, 0) * len(others) + (0, slots * chunk - length))
        return padded.reshape(batch, slots, chunk, *others)
    rows, real = _rows(places, chunk)
    cut = tensor[0][rows.clamp_max(tensor.shape[1] - 1)]
    return cut.masked_fill(~real.view(*real.shape, *[1] * (cut.dim() - 2)), 0)[None]


def _join(y: Tensor, places: Places | None, length: int) -> Tensor:
    """The way back from ``_cut``; tokens of no chunk get zeros."""
    if places is None:
        return y.flatten(1, 2)[:, :length]
    rows, real = _rows(places, y.shape[2])
    # Rows that aren't real go to one more token, which is left out.
    rows = rows.masked_fill(~real, length).flatten()
    return y.new_zeros(length + 1, *y.shape[3:]).index_copy(0, rows, y[0].flatten(0, 1))[None, :length]
