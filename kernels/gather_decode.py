"""One-token attention over a part of the cache: the blocks or tokens that a caller has chosen.

Serves landmark attention's top-k blocks (arXiv 2305.16300), Recycled Attention's top-K tokens (2411.05787)
and n-gram heads (2401.12973). Knows nothing of how the choice was made.
"""

import torch
from torch import Tensor

from storyloom.kernels.backend import Backend, Chosen, choose_backend
from storyloom.kernels.checks import check_alike, check_axes, check_device, check_dtype, check_shape
from storyloom.kernels.gather_decode_reference import gather_decode_reference

_NAME = "gather_decode"
_MAX_WIDTH = 256


def gather_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    indices: Tensor,
    *,
    scale: float | None = None,
    block: int = 1,
    lengths: Tensor | None = None,
    block_logits: Tensor | None = None,
    gate: Tensor | None = None,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Attention of a few new queries to chosen blocks of a key-value cache, with its log-sum-exp.

    Over the tokens t of all chosen blocks B, with s_t = scale · q·k_t:

        o = Σ_B Σ_{t∈B} exp(s_t − LSE_B + L_B − lse) v_t,
        lse = log Σ_B exp L_B,   LSE_B = log Σ_{t∈B} exp s_t.

    Without ``block_logits`` L_B = LSE_B, which is plain softmax attention over the chosen tokens. With them
    L_B = (1 − gate) · LSE_B + gate · block_logits: a block weighs by its landmark, and its tokens share that
    weight (arXiv 2305.16300, section 3.1). There is no causal mask: each query sees everything chosen.
    ``merge_attention`` joins the result with attention to other tokens, such as a local window.

    On Triton this is inference only. While gradients are recorded and an argument asks for one, ``auto``
    takes the reference, which autograd differentiates with respect to q, k, v, block_logits and gate.

    Args:
        q: queries, [batch, queries, heads, width]; float16, bfloat16, float32 or (reference only) float64.
            Any strides.
        k: cached keys, [batch, kv_length, kv_heads, width], q's dtype, any strides. heads is a multiple of
            kv_heads; heads kv·(heads / kv_heads) and following share key head kv. A width of at most 256.
        v: cached values, like k.
        indices: the chosen blocks, [batch, kv_heads, selected], int32 or int64: block i is the tokens i·block
            up to (i + 1)·block. A negative number is an empty slot. A block named twice counts twice. Nothing
            outside the cache is read: tokens from kv_length on are left out.
        scale: factor of q·k; width^-0.5 by default.
        block: tokens a block.
        lengths: valid tokens of each cache, [batch], int32 or int64; kv_length by default. Tokens from there
            on are not read, so the cache may hold anything there; the last block may be a partial one.
        block_logits: logits in nats of the chosen blocks, [batch, queries, heads, selected], q's dtype or
            float32. Those of empty slots don't matter.
        gate: how much block_logits replace each block's own log-sum-exp, [heads], q's dtype or float32, from
            0 (not at all) to 1 (the default where block_logits are given).
        backend: ``auto``, ``reference`` or ``triton``.

    Returns:
        o, like q; and lse in nats, [batch, queries, heads], float32 (float64 for float64). Where no token is
        chosen o is 0 and lse is -inf. Finite as long as every |scale · q·k| and block logit is below 1e30 and
        the values are finite. What isn't finite in a chosen token reaches the queries of its batch row and
        key head alone.

    Raises:
        ValueError: an argument doesn't fit; the message names it, what it was and what it must be.
        RuntimeError: ``triton`` was asked for by name and can't run: no device, float64, or gradients.
    """
    _check(q, k, v, indices, block=block, lengths=lengths, block_logits=block_logits, gate=gate)
    chosen = _choose(backend, q, k, v, block_logits, gate)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if chosen == "triton":
        from storyloom.kernels.gather_decode_triton import gather_decode_triton

        o, lse = gather_decode_triton(q, k, v, indices, block_logits, gate, lengths, scale, block)
        return o, lse
    return gather_decode_reference(q, k, v, indices, block_logits, gate, lengths, scale, block)


def merge_attention(o_a: Tensor, lse_a: Tensor, o_b: Tensor, lse_b: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over two disjoint sets of tokens at once, from that over each. Plain torch, differentiable.

    o = (e^lse_a · o_a + e^lse_b · o_b) / (e^lse_a + e^lse_b), lse = log(e^lse_a + e^lse_b).

    Args:
        o_a: attention over the first set, [batch, queries, heads, width], any float dtype.
        lse_a: its log-sum-exp in nats, [batch, queries, heads]; -inf for an empty set, whose o_a
            must be finite.
        o_b: attention over the second set, o_a's shape and dtype.
        lse_b: its log-sum-exp, lse_a's shape and dtype.

    Returns:
        o, in o_a's dtype, and lse, in lse_a's; 0 and -inf where both sets are empty.

    Raises:
        ValueError: an argument doesn't fit the first one.
    """
    name = "merge_attention"
    sizes = check_axes(name, "o_a", o_a, "batch queries heads width")
    check_shape(name, "o_b", o_b, sizes)
    check_shape(name, "lse_a", lse_a, sizes[:3])
    check_shape(name, "lse_b", lse_b, sizes[:3])
    check_alike(name, "o_a", o_a, o_b=o_b)
    check_alike(name, "lse_a", lse_a, lse_b=lse_b)
    check_device(name, "lse_a", lse_a, o_a.device, "o_a")
    return merge_stacked(torch.stack([o_a, o_b]), torch.stack([lse_a, lse_b]))


def merge_stacked(o: Tensor, lse: Tensor) -> tuple[Tensor, Tensor]:
    """``merge_attention`` of any number of disjoint sets of tokens, which are the first axis.

    Args:
        o: attention over each set, [sets, batch, queries, heads, width], any float dtype.
        lse: its log-sum-exp in nats, [sets, batch, queries, heads]; -inf for an empty set, whose o must be
            finite.

    Returns:
        o, [batch, queries, heads, width], and lse, [batch, queries, heads]; 0 and -inf where all are empty.

    Raises:
        ValueError: the shapes don't fit.
    """
    check_shape("merge_stacked", "lse", lse, o.shape[:-1])
    top = lse.amax(0).detach()
    top = top.masked_fill(top == -torch.inf, 0)
    weights = (lse - top).exp()
    total = weights.sum(0)
    empty = total == 0
    total = total.masked_fill(empty, 1)
    merged = torch.einsum("s...,s...d->...d", weights / total, o.to(weights.dtype))
    return merged.to(o.dtype), (top + total.log()).masked_fill(empty, -torch.inf)


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    indices: Tensor,
    *,
    block: int,
    lengths: Tensor | None,
    block_logits: Tensor | None,
    gate: Tensor | None,
) -> None:
    batch, queries, heads, width = check_axes(_NAME, "q", q, "batch queries heads width")
    _, kv_length, kv_heads, _ = check_axes(_NAME, "k", k, "batch kv_length kv_heads width")
    cache = {"batch": batch, "kv_length": kv_length, "kv_heads": kv_heads, "width": width}
    check_shape(_NAME, "k", k, cache, **cache)
    check_shape(_NAME, "v", v, cache, **cache)
    selected = check_axes(_NAME, "indices", indices, "batch kv_heads selected")[2]
    check_shape(_NAME, "indices", indices, ("batch", "kv_heads", selected), batch=batch, kv_heads=kv_heads)
    check_alike(_NAME, "q", q, k=k, v=v)
    if heads % kv_heads:
        raise ValueError(f"{_NAME}: q has {heads} heads; it must have a multiple of k's {kv_heads}.")
    if width > _MAX_WIDTH:
        raise ValueError(f"{_NAME}: q has width {width}; it must be at most {_MAX_WIDTH}.")
    if block < 1:
        raise ValueError(f"{_NAME}: block is {block}; it must be at least 1.")
    check_device(_NAME, "indices", indices, q.device, "q")
    check_dtype(_NAME, "indices", indices, torch.int32, torch.int64)
    if lengths is not None:
        check_shape(_NAME, "lengths", lengths, ["batch"], batch=batch)
        check_device(_NAME, "lengths", lengths, q.device, "q")
        check_dtype(_NAME, "lengths", lengths, torch.int32, torch.int64)
    if block_logits is not None:
        axes = {"batch": batch, "queries": queries, "heads": heads, "selected": selected}
        check_shape(_NAME, "block_logits", block_logits, axes, **axes)
        check_device(_NAME, "block_logits", block_logits, q.device, "q")
        check_dtype(_NAME, "block_logits", block_logits, q.dtype, torch.float32)
    if gate is not None:
        if block_logits is None:
            raise ValueError(f"{_NAME}: gate is given without block_logits; it must come with them.")
        check_shape(_NAME, "gate", gate, ["heads"], heads=heads)
        check_device(_NAME, "gate", gate, q.device, "q")
        check_dtype(_NAME, "gate", gate, q.dtype, torch.float32)


def _choose(backend: Backend, q: Tensor, *others: Tensor | None) -> Chosen:
    """The backend that runs; the kernel has no gradient."""
    obstacle = ""
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (q, *others)):
        obstacle = (
            "an argument requires a gradient, and only the reference has one. Call it under torch.no_grad()."
        )
    return choose_backend(_NAME, backend, q, obstacle)
