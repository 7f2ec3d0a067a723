"""Self-modifying Titans against the paper's recurrence, a token at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.configuration import HeadsConfig
from storyloom.generators.longcontext.rows import Rows
from storyloom.generators.longcontext.self_modifying import SelfModifyingMemory

HIDDEN = 12
CHUNK = 3


def memory(rate: float = 1.0) -> SelfModifyingMemory:
    config = HeadsConfig(
        vocab_size=8, hidden_size=HIDDEN, num_attention_heads=2, memory_heads=2, memory_chunk=CHUNK
    )
    with torch.random.fork_rng():
        torch.manual_seed(4)
        made = SelfModifyingMemory(config, rate=rate).double()
        for module in made.modules():
            initialise: Any = getattr(module, "initialise", lambda: None)
            initialise()
    return made


def told(made: SelfModifyingMemory, hidden: Tensor, cells: Cells) -> Tensor:
    rows = Rows.of(None, *hidden.shape[:2])
    cells.begin(len(hidden))
    with torch.no_grad():
        said: Tensor = made(hidden, rows, cells)
    cells.advance(rows.lengths)
    return said


def drawn(length: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, length, HIDDEN, generator=generator, dtype=torch.float64)


def recurrence(made: SelfModifyingMemory, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Equations 88 and 93, with decay towards the start: what is read, normed, and the five W."""
    cells = Cells()
    q, k, v = (part[0] for part in made.projections(hidden, Rows.of(None, *hidden.shape[:2]), cells))
    weights = made.start.weight.clone()
    read = []
    for token in range(len(q)):
        if token % CHUNK == 0:
            anchor = weights.clone()

        def said(which: int, asked: Tensor, by: Tensor = anchor) -> Tensor:
            return asked + torch.einsum("hij,hj->hi", by[which], asked)

        key, value = normalize(said(0, k[token]), dim=-1), said(1, v[token])
        raw = [(said(2 + gate, k[token]) * made.gates.weight[gate]).sum(-1) for gate in (0, 1)]
        eta = torch.sigmoid(raw[0] + made.gates.bias[0]) / (2 * CHUNK)
        alpha = 1 - torch.sigmoid(raw[1] + made.gates.bias[1])
        for which in range(5):
            own = normalize(said(which, value), dim=-1)
            delta = torch.einsum("hij,hj,hk->hik", anchor[which], key, key)
            gradient = torch.einsum("hi,hk->hik", said(which, key) - own, key)
            begun = made.start.weight[which]
            kept = begun + alpha[:, None, None] * (weights[which] - begun)
            weights[which] = kept - eta[:, None, None] * (delta + gradient)
        read.append(said(4, q[token], weights))
    return made.norm(torch.stack(read)).flatten(-2), weights


def test_it_is_the_recurrence_of_the_paper() -> None:
    made, hidden, cells = memory(), drawn(4 * CHUNK), Cells()
    with torch.no_grad():
        expected, weights = recurrence(made, hidden)
    torch.testing.assert_close(told(made, hidden, cells)[0], expected, rtol=1e-6, atol=1e-6)
    learned = weights - made.start.weight.detach()
    torch.testing.assert_close(cells.tensors["self.state.0"][0], learned)
    assert learned.abs().amax((1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("text", ["new", "the same"])
def test_no_text_makes_it_grow_without_bound(text: str) -> None:
    made, cells = memory(), Cells()
    with torch.no_grad():  # the largest steps, and nothing is forgotten
        made.gates.weight.zero_()
        made.gates.bias.copy_(torch.tensor([[100.0], [-800.0]]).expand(2, 2))
    largest = []
    for seed in range(3):
        told(made, drawn(600, seed=seed) if text == "new" else drawn(CHUNK).repeat(1, 200, 1), cells)
        weights = made.start.weight.detach() + cells.tensors["self.state.0"][0]
        largest.append(torch.linalg.matrix_norm(weights, ord=2).max().item())
    assert max(largest) < 2.5
    assert largest[-1] < 1.2 * largest[0]


def test_its_five_memories_stay_apart() -> None:
    made, cells = memory(rate=0.05), Cells()
    with torch.no_grad():  # half is forgotten after 64 tokens
        made.gates.weight[1].zero_()
        made.gates.bias[1].fill_(-4.5)
    told(made, drawn(1500), cells)
    weights = made.start.weight.detach() + cells.tensors["self.state.0"][0]
    for which in range(5):
        for other in range(which):
            assert (weights[which] - weights[other]).norm() > 0.5 * weights[which].norm()
