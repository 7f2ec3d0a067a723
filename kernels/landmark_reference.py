"""Landmark attention in plain torch; see ``landmark``."""

import torch
from torch import Tensor
from torch.nn.functional import pad

# Queries at a time: memory grows with this times the length, not with the length squared.
_SPAN = 512


def landmark_attention_reference(
    q: Tensor, k: Tensor, v: Tensor, landmarks: Tensor, gate: Tensor, scale: float, block: int, local: int
) -> tuple[Tensor, Tensor]:
    """The public function's arithmetic; its arguments have been checked."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    batch, queries, heads, width = q.shape
    length, kv_heads = k.shape[1:3]
    grouped = q.to(dtype).reshape(batch, queries, kv_heads, heads // kv_heads, width)
    blocked = (batch, landmarks.shape[1], block, kv_heads, width)
    missing = landmarks.shape[1] * block - length
    keys, values = (pad(x.to(dtype), (0, 0, 0, 0, 0, missing)).reshape(blocked) for x in (k, v))
    landmarks, gate = landmarks.to(dtype), gate.to(dtype).reshape(kv_heads, -1, 1, 1)
    outs, sums = [], []
    for start in range(0, queries, _SPAN):
        stop = min(start + _SPAN, queries)
        places = torch.arange(start, stop, device=q.device) + length - queries
        # No block that lies after every query of the span.
        blocks = (stop + length - queries - 1) // block + 1
        o, lse = _span(
            grouped[:, start:stop],
            keys[:, :blocks],
            values[:, :blocks],
            landmarks[:, :blocks],
            gate,
            scale,
            places,
            local,
        )
        outs.append(o)
        sums.append(lse)
    return torch.cat(outs, 1).flatten(2, 3).to(q.dtype), torch.cat(sums, 1).flatten(2)


def _span(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    landmarks: Tensor,
    gate: Tensor,
    scale: float,
    places: Tensor,
    local: int,
) -> tuple[Tensor, Tensor]:
    """A run of queries; ``places`` are their positions among the keys, which come by blocks.

    A landmark adds the same to the logits of all tokens of its block:
    L_B − LSE_B = gate · (scale · q·landmark_B − LSE_B).
    """
    blocks, block = keys.shape[1:3]
    scores = scale * torch.einsum("bqkgd,bnckd->bqkgnc", q, keys)
    logits = scale * torch.einsum("bqkgd,bnkd->bqkgn", q, landmarks).unsqueeze(-1)
    far = torch.arange(blocks, device=q.device) <= (places // block).unsqueeze(-1) - local
    shift = gate * (logits - scores.logsumexp(-1, keepdim=True))
    scores = scores + shift.masked_fill(~far[:, None, None, :, None], 0)
    seen = torch.arange(blocks * block, device=q.device) <= places.unsqueeze(-1)
    scores = scores.flatten(-2).masked_fill(~seen[:, None, None], -torch.inf)
    lse = scores.logsumexp(-1, keepdim=True)
    o = torch.einsum("bqkgt,btkd->bqkgd", (scores - lse).exp(), values.flatten(1, 2))
    return o, lse.squeeze(-1)
