"""One token of SSD in Triton, for decoding: the state is read once and written once. It has no backward."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from storyloom.kernels.operators import operator


def ssd_step_triton(x: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The arguments and results of ``ssd_step``, checked already. Inputs may have any strides."""
    y, state = _ssd_step(x, a, b, c, state)
    return y, state


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
    """Some columns of one head's state, and what they give to y."""
    batch = (tl.program_id(0) // heads).to(tl.int64)
    head = (tl.program_id(0) % heads).to(tl.int64)
    group = head // heads_a_group
    w = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    columns = w < WIDTH
    x += batch * x_batch + head * x_head
    b += batch * b_batch + group * b_group
    c += batch * c_batch + group * c_group
    state += batch * h_batch + head * h_head
    written = tl.load(x + w * x_column, mask=columns, other=0.0).to(tl.float32)
    decay = tl.exp(tl.load(a + batch * a_batch + head * a_head))
    out += (batch * heads + head) * (STATE * WIDTH)
    total = tl.zeros((BLOCK_W,), tl.float32)
    for block in range(0, STATE, BLOCK_N):
        n = block + tl.arange(0, BLOCK_N)
        inside = (n < STATE)[:, None] & columns[None, :]
        b_n = tl.load(b + n * b_column, mask=n < STATE, other=0.0).to(tl.float32)
        c_n = tl.load(c + n * c_column, mask=n < STATE, other=0.0).to(tl.float32)
        h = tl.load(state + n[:, None] * h_row + w[None, :] * h_column, mask=inside, other=0.0)
        h = decay * h + b_n[:, None] * written[None, :]
        tl.store(out + n[:, None] * WIDTH + w[None, :], h, mask=inside)
        total += tl.sum(c_n[:, None] * h, axis=0)
    tl.store(y + (batch * heads + head) * WIDTH + w, total.to(y.dtype.element_ty), mask=columns)


@operator("storyloom::ssd_step")
def _ssd_step(x: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    batch, heads, width = x.shape
    groups, size = b.shape[1:]
    y, out = _step_buffers(x, state)
    if batch == 0:
        return y, out
    # A row of 32 floats is one transaction; narrow tiles make enough programs of a small batch.
    block = min(32, triton.next_power_of_2(width))
    _step_kernel[batch * heads, triton.cdiv(width, block)](
        x, a, b, c, state, y, out, heads, heads // groups,
        *x.stride(), *a.stride(), *b.stride(), *c.stride(), *state.stride(),
        STATE=size, WIDTH=width, BLOCK_N=min(64, triton.next_power_of_2(size)), BLOCK_W=block, num_warps=2,
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
