import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from storyloom.generators.longcontext.training.books import IGNORED
from storyloom.generators.longcontext.training.losses import distillation_loss, next_token_loss

WIDTH, VOCABULARY = 12, 31


def drawn(seed: int) -> tuple[Tensor, nn.Linear]:
    """A stack's output, and a head."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(2, 10, WIDTH, generator=generator, requires_grad=True)
    head = nn.Linear(WIDTH, VOCABULARY, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.randn(VOCABULARY, WIDTH, generator=generator))
    return hidden, head


def labels() -> Tensor:
    found = torch.randint(0, VOCABULARY, (2, 10), generator=torch.Generator().manual_seed(5))
    found[0, 6:] = IGNORED
    return found


def gradients(loss: Tensor, hidden: Tensor, head: nn.Linear) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, (hidden, head.weight))


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_in_pieces_it_is_the_whole_loss(piece: int) -> None:
    hidden, head = drawn(1)
    found = next_token_loss(hidden, head, labels(), piece=piece)
    expected = cross_entropy(head(hidden).flatten(0, 1), labels().flatten(), ignore_index=IGNORED)
    torch.testing.assert_close(found, expected)
    for a, b in zip(gradients(found, hidden, head), gradients(expected, hidden, head), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_distillation_is_the_divergence_from_the_teacher(piece: int) -> None:
    (hidden, head), (taught, other) = drawn(1), drawn(2)
    found = distillation_loss((hidden, head), (taught, other), labels(), piece=piece)
    meant = torch.softmax(other(taught), -1).detach()
    each = (meant * (meant.log() - torch.log_softmax(head(hidden), -1))).sum(-1)
    expected = each[labels() != IGNORED].mean()
    torch.testing.assert_close(found, expected)
    for a, b in zip(gradients(found, hidden, head), gradients(expected, hidden, head), strict=True):
        torch.testing.assert_close(a, b)
    again = distillation_loss((hidden, head), (taught, other), labels())
    again.backward()  # type: ignore[no-untyped-call]
    assert taught.grad is None
    assert hidden.grad is not None


def test_of_itself_nothing_is_to_be_learned() -> None:
    hidden, head = drawn(1)
    assert abs(distillation_loss((hidden, head), (hidden, head), labels()).item()) < 1e-6


def test_no_label_is_no_loss() -> None:
    hidden, head = drawn(1)
    assert next_token_loss(hidden, head, torch.full((2, 10), IGNORED)).item() == 0


def test_a_long_text_s_logits_are_never_whole() -> None:
    hidden, head = drawn(1)
    most = 0

    def watched(part: Tensor) -> Tensor:
        nonlocal most
        most = max(most, len(part))
        found: Tensor = head(part)
        return found

    next_token_loss(hidden, watched, labels(), piece=4).backward()  # type: ignore[no-untyped-call]
    assert most == 4
