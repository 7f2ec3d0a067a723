"""A level of the continuum: what it learns, when, and how far."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.continuum import Level
from storyloom.generators.longcontext.rows import Rows
from storyloom.kernels.newton_schulz import newton_schulz

WORDS = 6


def level(period: int, *, reach: int = 1, orthogonal: bool = True) -> Level:
    """Reads units as they are, writes under the token before, and says plainly what it learned."""
    made = Level(WORDS, WORDS, width=WORDS, period=period, reach=reach, orthogonal=orthogonal).double()
    with torch.no_grad():
        made.initialise()
        made.directions.weight.copy_(torch.eye(WORDS))
        made.conv.weight.zero_()
        made.conv.weight[..., -2] = 1
        made.scale.weight.fill_(1)
    return made


def told(made: Level, units: Tensor, targets: Tensor, cells: Cells) -> Tensor:
    """[rows, tokens, words]."""
    rows = Rows.of(None, *units.shape[:2])
    cells.begin(len(units))
    with torch.no_grad():
        said: Tensor = made(units, targets, rows, cells, "level")
    cells.advance(rows.lengths)
    return said


def test_the_next_token_is_foretold() -> None:
    cycle = torch.tensor([3, 0, 5, 2, 4, 1])
    words = one_hot(cycle.repeat(4), WORDS).double()[None]
    cells = Cells()
    first = told(level(12), words[:, :12], words[:, :12], cells)
    assert first.abs().max() == 0
    then = told(level(12), words[:, 12:], words[:, 12:], cells)
    assert torch.equal(then.argmax(-1)[0], cycle.roll(-1).repeat(2))


def test_the_last_token_of_a_period_foretells_the_first_of_the_next() -> None:
    words = one_hot(torch.tensor([0, 1, 2, 3, 4, 5, 2]), WORDS).double()[None]
    said = told(level(3), words, words, Cells())
    # 2 ended the first period and 3 began the second.
    assert said[0, 6].argmax() == 3


def test_a_step_is_what_the_equation_says() -> None:
    drawn = torch.Generator().manual_seed(2)
    units, targets = (torch.randn(1, 10, WORDS, generator=drawn, dtype=torch.float64) for _ in range(2))
    made, cells = level(5), Cells()
    told(made, units, targets, cells)
    keep = torch.sigmoid(made.keep.detach())
    keys = torch.cat([torch.zeros(1, WORDS), units[0, :-1]])
    keys = torch.nn.functional.normalize(keys, dim=-1)
    learned = torch.zeros(WORDS, WORDS, dtype=torch.float64)
    for start in (0, 5):
        total = torch.zeros_like(learned)
        for token in range(start, start + 5):
            total += torch.outer(targets[0, token], keys[token])
        learned = keep * learned + (1 - keep**2).sqrt() * newton_schulz(total)
    torch.testing.assert_close(cells.tensors["level.learned"][0], learned)


def test_no_text_makes_it_grow_without_bound() -> None:
    made = level(2)
    with torch.no_grad():
        made.keep.fill_(3)
    same = one_hot(torch.tensor([0, 1] * 400), WORDS).double()[None]
    cells = Cells()
    told(made, same, same, cells)
    keep = torch.sigmoid(made.keep.detach())[0]
    most = 1.2 * ((1 + keep) / (1 - keep)).sqrt()
    columns = cells.tensors["level.learned"].norm(dim=1).max()
    assert most / 2 < columns < most


def test_decay_that_is_rounded_to_one_has_a_gradient() -> None:
    made = level(2)
    with torch.no_grad():
        made.keep.fill_(800)
    words = one_hot(torch.tensor([0, 1, 2, 3, 4, 5]), WORDS).double()[None]
    cells = Cells()
    cells.begin(1)
    made(words, words, Rows((6,), 6), cells, "level").sum().backward()
    assert made.keep.grad is not None
    assert made.keep.grad.isfinite().all()
