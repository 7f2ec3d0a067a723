"""Lets transformers' own Mamba-2 models scan by our kernels, where mamba-ssm isn't installed.

Bamba, Falcon-H1, Granite's hybrids, Nemotron-H, Zamba2 and Mamba-2 itself keep everything that is theirs:
projections, convolution, masks and cache. Each has the same two functions in its module, of which
transformers' own forms in torch are slow: one for many tokens, one for a single token. Those are replaced,
for the whole process. Jamba is Mamba-1, whose every channel decays at its own speed: SSD can't do that, and
it runs as transformers has it. So does a model whose version of transformers is built otherwise.
"""

import importlib.util
import math
import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from storyloom.generators.longcontext.mamba import wide
from storyloom.generators.longcontext.mamba_state import scan_tokens

REPLACED = ("mamba2_chunk_scan", "mamba2_selective_state_update")


def use_our_scan(model: nn.Module) -> bool:
    """Let a model's Mamba-2 layers scan by our kernels; doing it again changes nothing.

    Args:
        model: any model of transformers.

    Returns:
        Whether it has such layers and they do.
    """
    if importlib.util.find_spec("mamba_ssm") is not None:
        return False
    ours = dict(zip(REPLACED, (chunk_scan, state_update), strict=True))
    theirs = {type(module).__module__ for module in model.modules()}
    found = [
        sys.modules[name]
        for name in theirs
        if name.startswith("transformers.models.") and all(hasattr(sys.modules[name], own) for own in ours)
    ]
    for module in found:
        for name, function in ours.items():
            setattr(module, name, function)
    return bool(found)


def chunk_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, /, **given: Any) -> Any:
    """Transformers' ``mamba2_chunk_scan``.

    Args:
        x: [batch, length, heads, width].
        dt: [batch, length, heads].
        a: [heads], below 0.
        b: [batch, length, groups, state].
        c: like b.
        given: ``D`` and ``dt_bias``, [heads] or None; ``dt_softplus``, whether dt goes through it;
            ``dt_limit``, what it is held to; ``initial_states``, [batch, heads, width, state] or None for
            zeros; ``return_final_states``. The chunk's size changes rounding only: ours is the kernel's own.

    Returns:
        [batch, length, heads, width] in float32 at least, and where asked for [batch, heads, width, state].
    """
    exponent = wide(x)
    dt = _steps(dt, given.get("dt_bias"), exponent, given).clamp(*given.get("dt_limit", (0.0, math.inf)))
    initial = given.get("initial_states")
    state = None if initial is None else initial.to(exponent).mT
    read, final = scan_tokens(_written(x, dt), a.to(exponent) * dt, b.to(x.dtype), c.to(x.dtype), state)
    skip = given.get("D")
    read = read.to(exponent)
    if skip is not None:
        read = read + skip.to(exponent)[:, None] * x.to(exponent)
    read = read.contiguous()  # Falcon-H1 takes a view of it.
    return (read, final.mT) if given.get("return_final_states") else read


def state_update(  # noqa: PLR0917  (as transformers calls it)
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None = None,
    /,
    **given: Any,
) -> Tensor:
    """Transformers' ``mamba2_selective_state_update``: one token.

    Its mixers give each head's one number for all of its channels; here too that is taken for granted.

    Args:
        state: [batch, heads, width, state]; it is changed.
        x: [batch, heads, width].
        dt: like x.
        a: [heads, width, state].
        b: [batch, groups, state].
        c: like b.
        skip: D, [heads, width] or None.
        given: ``dt_bias``, [heads, width] or None; ``dt_softplus``, whether dt goes through it; ``z``, a gate
            like x, or None.

    Returns:
        Like x.
    """
    exponent, bias, z = wide(x), given.get("dt_bias"), given.get("z")
    dt = _steps(dt[..., 0], None if bias is None else bias[:, 0], exponent, given)
    token = (_written(x, dt), a[:, 0, 0].to(exponent) * dt, b.to(x.dtype), c.to(x.dtype))
    one, decay, under, asked = (tensor[:, None] for tensor in token)
    read, after = scan_tokens(one, decay, under, asked, state.to(exponent).mT)
    state.copy_(after.mT)
    said = read[:, 0].to(exponent)
    if skip is not None:
        said = said + skip.to(exponent) * x.to(exponent)
    return (said if z is None else said * silu(z.to(exponent))).to(x.dtype)


def _steps(dt: Tensor, bias: Tensor | None, exponent: torch.dtype, given: dict[str, Any]) -> Tensor:
    """Each token's and head's time step, [..., heads]."""
    dt = dt.to(exponent) if bias is None else dt.to(exponent) + bias.to(exponent)
    return softplus(dt) if given.get("dt_softplus") else dt


def _written(x: Tensor, dt: Tensor) -> Tensor:
    return (x * dt[..., None]).to(x.dtype)
