"""Attention over chosen blocks of a cache in plain torch; see ``gather_decode``."""

import torch
from torch import Tensor


def gather_decode_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    indices: Tensor,
    block_logits: Tensor | None,
    gate: Tensor | None,
    lengths: Tensor | None,
    scale: float,
    block: int,
) -> tuple[Tensor, Tensor]:
    """The public function's arithmetic; its arguments have been checked."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    batch, queries, heads, width = q.shape
    kv_length, kv_heads = k.shape[1:3]
    by_kv_head = (batch, queries, kv_heads, heads // kv_heads)
    tokens = indices.long().unsqueeze(-1) * block + torch.arange(block, device=q.device)
    end = kv_length if lengths is None else lengths.long().clamp(max=kv_length)[:, None, None, None]
    live = (indices >= 0).unsqueeze(-1) & (tokens < end)
    tokens = tokens.masked_fill(~live, 0)
    keys, values = (_gather(cache, tokens, live).to(dtype) for cache in (k, v))

    grouped = q.to(dtype).reshape(*by_kv_head, width)
    scores = scale * torch.einsum("bqkgd,bksnd->bqkgsn", grouped, keys)
    scores = scores.masked_fill(~live[:, None, :, None], -torch.inf)
    if block_logits is not None:
        own = _log_sum_exp(scores)
        empty = own == -torch.inf
        shift = block_logits.to(dtype).reshape(*by_kv_head, indices.shape[2], 1) - own.masked_fill(empty, 0)
        if gate is not None:
            shift = shift * gate.to(dtype).reshape(kv_heads, -1, 1, 1)
        scores = scores + shift.masked_fill(empty, 0)
    lse = _log_sum_exp(scores.flatten(-2)).unsqueeze(-1)
    weights = (scores - lse.masked_fill(lse == -torch.inf, 0)).exp()
    o = torch.einsum("bqkgsn,bksnd->bqkgd", weights, values)
    return o.flatten(2, 3).to(q.dtype), lse.flatten(2)


def _gather(cache: Tensor, tokens: Tensor, live: Tensor) -> Tensor:
    """Rows of a cache, [batch, kv_heads, selected, block, width]; 0 where no token is, whatever is cached."""
    at = tokens.flatten(2).unsqueeze(-1).expand(-1, -1, -1, cache.shape[-1])
    rows = cache.transpose(1, 2).gather(2, at).reshape(*tokens.shape, cache.shape[-1])
    return rows.masked_fill(~live.unsqueeze(-1), 0)


def _log_sum_exp(scores: Tensor) -> Tensor:
    """Over the last axis, which stays; -inf, with a gradient of 0, where every score is -inf."""
    top = scores.amax(-1, keepdim=True).detach()
    top = top.masked_fill(top == -torch.inf, 0)
    total = (scores - top).exp().sum(-1, keepdim=True)
    empty = total == 0
    return (top + total.masked_fill(empty, 1).log()).masked_fill(empty, -torch.inf)
