"""Each operation as its equation says it: eager torch, a token (or a matrix, or a query) at a time."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, silu

from storyloom.kernels.newton_schulz_reference import COEFFICIENTS


def ssd(x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    h, outs = x.new_zeros(x.shape[0], x.shape[2], b.shape[3], x.shape[3]), []
    for t in range(x.shape[1]):
        h = a[:, t, :, None, None].exp() * h + b[:, t, :, :, None] * x[:, t, :, None, :]
        outs.append((c[:, t, :, :, None] * h).sum(2))
    return torch.stack(outs, 1)


def fast_weight(
    q: Tensor, k: Tensor, v: Tensor, eta: Tensor, theta: Tensor, alpha: Tensor, *weights: Tensor, chunk: int
) -> Tensor:
    memory, momenta = list(weights), [torch.zeros_like(one) for one in weights]
    anchor, outs = memory, []
    for t in range(q.shape[1]):
        if t % chunk == 0:
            anchor = memory
        gates = [one[:, t, :, None, None] for one in (eta, theta, alpha)]
        steps = _gradients(anchor, k[:, t, :, :, None], v[:, t, :, :, None])
        momenta = [gates[0] * s - gates[1] * step for s, step in zip(momenta, steps, strict=True)]
        memory = [(1 - gates[2]) * w + s for w, s in zip(memory, momenta, strict=True)]
        outs.append(_recall(memory, q[:, t, :, :, None]).squeeze(-1))
    return torch.stack(outs, 1)


def _recall(memory: list[Tensor], x: Tensor) -> Tensor:
    return memory[0] @ x if len(memory) == 1 else memory[1] @ silu(memory[0] @ x)


def _gradients(memory: list[Tensor], k: Tensor, v: Tensor) -> list[Tensor]:
    error = 2 * (_recall(memory, k) - v)
    if len(memory) == 1:
        return [error @ k.mT]
    before = memory[0] @ k
    gate = before.sigmoid()
    slope = gate * (1 + before * (1 - gate))
    return [(memory[1].mT @ error * slope) @ k.mT, error @ silu(before).mT]


def gather_decode(q: Tensor, k: Tensor, v: Tensor, pick: Tensor, *, block: int) -> Tensor:
    out = torch.empty_like(q)
    group = q.shape[2] // k.shape[2]
    for one in range(q.shape[0]):
        for head in range(q.shape[2]):
            blocks = pick[one, head // group, :, None] * block
            tokens = (blocks + torch.arange(block, device=q.device)).flatten()
            weight = torch.softmax(k[one, tokens, head // group] @ q[one, 0, head] * q.shape[-1] ** -0.5, 0)
            out[one, 0, head] = weight @ v[one, tokens, head // group]
    return out


def landmark(q: Tensor, k: Tensor, v: Tensor, marks: Tensor, gate: Tensor, *, block: int) -> Tensor:
    group = q.shape[2] // k.shape[2]
    k, v, marks = (one.repeat_interleave(group, 2) for one in (k, v, marks))
    outs = []
    for t in range(q.shape[1]):
        scores = torch.einsum("bhd,bthd->bth", q[:, t], k[:, : t + 1]) * q.shape[-1] ** -0.5
        own = t // block * block
        if own:
            blocks = scores[:, :own].unflatten(1, (-1, block))
            spread = blocks.logsumexp(2)
            told = torch.einsum("bhd,bnhd->bnh", q[:, t], marks[:, : own // block]) * q.shape[-1] ** -0.5
            moved = blocks + (gate * (told - spread)).unsqueeze(2)
            scores = torch.cat((moved.flatten(1, 2), scores[:, own:]), 1)
        outs.append((torch.softmax(scores, 1).unsqueeze(-1) * v[:, : t + 1]).sum(1))
    return torch.stack(outs, 1)


def newton_schulz(g: Tensor) -> Tensor:
    outs = []
    for matrix in g:
        x = matrix / matrix.norm()
        for a, b, c in COEFFICIENTS:
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
        outs.append(x)
    return torch.stack(outs)


def lact(w0: Tensor, w1: Tensor, w2: Tensor, q: Tensor, k: Tensor, v: Tensor, rates: Tensor) -> Tensor:
    outs, sums = [], [torch.zeros_like(one) for one in (w0, w1, w2)]
    for t in range(q.shape[1]):
        asked, key, value = (one[:, t, :, None] for one in (q, k, v))
        outs.append((w1 @ (silu(w0 @ asked) * (w2 @ asked))).squeeze(-1))
        before, up, back = w0 @ key, w2 @ key, w1.mT @ value
        gate = before.sigmoid()
        slope = gate * (1 + before * (1 - gate))
        r0, r1, r2 = rates[:, t].unbind(-1)
        steps = (
            r0[:, None, None] * (back * up * slope) @ key.mT,
            r1[:, None, None] * value @ (silu(before) * up).mT,
            r2[:, None, None] * (back * silu(before)) @ key.mT,
        )
        sums = [total + step for total, step in zip(sums, steps, strict=True)]
    return torch.cat([part.flatten() for part in (torch.stack(outs, 1), *sums)])


def affine_scan(a: Tensor, b: Tensor) -> Tensor:
    h, outs = torch.zeros_like(b[:, 0]), []
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        outs.append(h)
    return torch.stack(outs, 1)


def aaren(scores: Tensor, values: Tensor) -> Tensor:
    m, u, w = (
        torch.full_like(scores[:, 0], -1e30),
        torch.zeros_like(scores[:, 0]),
        torch.zeros_like(values[:, 0]),
    )
    outs = []
    for t in range(scores.shape[1]):
        old, m = m, torch.maximum(m, scores[:, t])
        keep, enter = (old - m).exp(), (scores[:, t] - m).exp()
        u = keep * u + enter
        w = keep.unsqueeze(-1) * w + enter.unsqueeze(-1) * values[:, t]
        outs.append(w / u.unsqueeze(-1))
    return torch.stack(outs, 1)


def slstm(x: Tensor, recurrent: Tensor) -> Tensor:
    batch, length, heads, _, width = x.shape
    h = c = n = x.new_zeros(batch, heads, width)
    m, outs = x.new_full((batch, heads, width), -1e30), []
    for t in range(length):
        recurred = torch.stack([h[:, head] @ recurrent[head].flatten(0, 1).mT for head in range(heads)], 1)
        i, f, z, o = (x[:, t] + recurred.view(batch, heads, 4, width)).unbind(2)
        kept = logsigmoid(f) + m
        m = torch.maximum(kept, i)
        c = (kept - m).exp() * c + (i - m).exp() * z.tanh()
        n = (kept - m).exp() * n + (i - m).exp()
        h = o.sigmoid() * c / n
        outs.append(h)
    return torch.stack(outs, 1)


def gru(x: Tensor, recurrent: Tensor) -> Tensor:
    batch, length, heads, _, width = x.shape
    h, outs = x.new_zeros(batch, heads, width), []
    for t in range(length):
        recurred = torch.stack([h[:, head] @ recurrent[head].flatten(0, 1).mT for head in range(heads)], 1)
        to_r, to_z, to_n = recurred.view(batch, heads, 3, width).unbind(2)
        r, z = (x[:, t, :, 0] + to_r).sigmoid(), (x[:, t, :, 1] + to_z).sigmoid()
        h = (1 - z) * (x[:, t, :, 2] + r * to_n).tanh() + z * h
        outs.append(h)
    return torch.stack(outs, 1)
