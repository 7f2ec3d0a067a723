"""Others' kernels for the same work, where their packages are installed; each maker raises where not."""

from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Call = Callable[..., Tensor]


def simple_gla() -> Call:
    """flash-linear-attention's gated linear attention with a scalar decay, which SSD is."""
    chunk_simple_gla = import_module("fla.ops.simple_gla").chunk_simple_gla

    def run(x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        out: Tensor = chunk_simple_gla(q=c, k=b, v=x, g=a, scale=1.0, output_final_state=True)[0]
        return out

    return run


def hgrn() -> Call:
    """flash-linear-attention's h_t = e^{g_t} h_{t−1} + x_t; the logarithm is taken in its time."""
    fused_recurrent_hgrn = import_module("fla.ops.hgrn").fused_recurrent_hgrn

    def run(a: Tensor, b: Tensor) -> Tensor:
        out: Tensor = fused_recurrent_hgrn(b, a.log(), output_final_state=True)[0]
        return out

    return run


def ttt_linear(heads: int, width: int, device: torch.device, dtype: torch.dtype) -> Call:
    """flash-linear-attention's TTT: a linear memory without momentum or decay, with a norm of its own."""
    chunk_ttt_linear = import_module("fla.ops.ttt").chunk_ttt_linear
    weight = torch.ones(heads, width, device=device, dtype=dtype)
    bias = torch.zeros_like(weight)

    def run(q: Tensor, k: Tensor, v: Tensor, _momentum: Tensor, rate: Tensor, *_: Tensor) -> Tensor:
        eta = rate.unsqueeze(-1)
        out: Tensor = chunk_ttt_linear(q, k, v, weight, bias, eta, chunk_size=16, output_final_state=True)[0]
        return out

    return run


def titans(hidden: int, heads: int, width: int, inner: int, device: torch.device) -> Call:
    """titans-pytorch's neural memory of the same heads and chunks. Its time has its own projections in it."""
    memory = import_module("titans_pytorch").NeuralMemory(
        dim=hidden,
        dim_head=width,
        heads=heads,
        chunk_size=64,
        default_model_kwargs={"depth": 2 if inner else 1},
    )
    memory = memory.to(device)

    def run(q: Tensor, *_: Tensor) -> Tensor:
        out: Tensor = memory(q.flatten(2)[..., :hidden].to(torch.float32))[0]
        return out

    return run


def dense_decode(q: Tensor, k: Tensor, v: Tensor, _: Tensor) -> Tensor:
    """torch's attention of the new token to the whole cache."""
    return _attention(q, k, v, causal=False)


def causal(q: Tensor, k: Tensor, v: Tensor, *_: Tensor) -> Tensor:
    """torch's causal attention, which landmarks with a gate of 0 are."""
    return _attention(q, k, v, causal=True)


def flex_causal() -> Call:
    """torch's compiled flex_attention under a causal mask, as a mask of blocks made beforehand."""
    flex = import_module("torch.nn.attention.flex_attention")
    compiled: Call = torch.compile(flex.flex_attention)
    masks: dict[int, object] = {}

    def before(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query >= key

    def run(q: Tensor, k: Tensor, v: Tensor, *_: Tensor) -> Tensor:
        length = q.shape[1]
        if length not in masks:
            masks[length] = flex.create_block_mask(before, None, None, length, length, device=q.device)
        q, k, v = (one.transpose(1, 2) for one in (q, k, v))
        out: Tensor = compiled(q, k, v, block_mask=masks[length], enable_gqa=True)
        return out.transpose(1, 2)

    return run


def _attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    out = scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=causal, enable_gqa=True
    )
    return out.transpose(1, 2)
