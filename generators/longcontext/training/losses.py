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
        return cross_entropy(head(part).float(), label, reduction="sum")

    counts = labels != IGNORED
    return _in_pieces(summed, (hidden[counts], labels[counts]), piece) / counts.sum().clamp(min=1)


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

    def summed(part: Tensor, taught: Tensor) -> Tensor:
        said = log_softmax(student[1](part).float(), -1)
        with torch.no_grad():
            meant = log_softmax(teacher[1](taught).float(), -1)
        return kl_div(said, meant, reduction="sum", log_target=True)

    counts = labels != IGNORED
    parts = (student[0][counts], teacher[0].detach()[counts])
    return _in_pieces(summed, parts, piece) / counts.sum().clamp(min=1)


def _in_pieces(summed: Callable[..., Tensor], tensors: tuple[Tensor, ...], piece: int) -> Tensor:
    """The sum over tensors of as many tokens each, of which those that don't count are left out already."""
    total: Any = 0 * tensors[0].sum()
    for parts in zip(*(tensor.split(piece) for tensor in tensors), strict=True):
        total = total + checkpoint(summed, *parts, use_reentrant=False)
    found: Tensor = total
    return found
