"""What a training makes small. The logits of a long text are never in memory as a whole.

A text of 32,768 tokens with 49,152 logits each is 6.4 GB in float32; here they are made a piece at a time,
and once more when gradients flow back.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from torch.utils.checkpoint import checkpoint

from storyloom.generators.longcontext.training.books import IGNORED

# From hidden states to logits.
Head = Callable[[Tensor], Tensor]

_PIECE = 1024  # tokens whose logits are in memory at once


def next_token_loss(hidden: Tensor, head: Head, labels: Tensor, *, piece: int = _PIECE) -> Tensor:
    """The mean cross-entropy of the labels, in nats; those that are ``IGNORED`` don't count.

    Args:
        hidden: the stack's output, [rows, columns, width].
        head: the language model's.
        labels: [rows, columns].
        piece: tokens at once; it changes last bits only.
    """

    def summed(part: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(head(part).float(), label, ignore_index=IGNORED, reduction="sum")

    counted = (labels != IGNORED).sum().clamp(min=1)
    return _in_pieces(summed, (hidden, labels), piece) / counted


def distillation_loss(
    student: tuple[Tensor, Head], teacher: tuple[Tensor, Head], labels: Tensor, *, piece: int = _PIECE
) -> Tensor:
    """The mean of KL(teacher ‖ student) over tokens whose label counts, in nats.

    Args:
        student: its stack's output, [rows, columns, width], and its head.
        teacher: the same; no gradient flows there.
        labels: [rows, columns].
        piece: tokens at once.
    """

    def summed(part: Tensor, taught: Tensor, label: Tensor) -> Tensor:
        said = log_softmax(student[1](part).float(), -1)
        with torch.no_grad():
            meant = log_softmax(teacher[1](taught).float(), -1)
        each = kl_div(said, meant, reduction="none", log_target=True).sum(-1)
        return each.masked_fill(label == IGNORED, 0).sum()

    counted = (labels != IGNORED).sum().clamp(min=1)
    return _in_pieces(summed, (student[0], teacher[0].detach(), labels), piece) / counted


def _in_pieces(summed: Callable[..., Tensor], tensors: tuple[Tensor, ...], piece: int) -> Tensor:
    flat = [tensor.flatten(0, 1).split(piece) for tensor in tensors]
    total: Any = 0
    for parts in zip(*flat, strict=True):
        total = total + checkpoint(summed, *parts, use_reentrant=False)
    found: Tensor = total
    return found
