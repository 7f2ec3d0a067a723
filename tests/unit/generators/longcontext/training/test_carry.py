import pytest
import torch

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.training.carry import Carry
from tests.unit.generators.longcontext.proof import llama, tokens
from tests.unit.generators.longcontext.training.small import model

FRESH, BOTH, SECOND = torch.tensor([True, True]), torch.tensor([False, False]), torch.tensor([False, True])


def said(made: object, carry: Carry, fresh: torch.Tensor, seed: int) -> torch.Tensor:
    """What a model says of 13 tokens of two rows, and the carry keeps."""
    cache = carry.cache(fresh)
    found: torch.Tensor = made.model(  # type: ignore[attr-defined]
        input_ids=tokens(2, 13, seed=seed), past_key_values=cache, use_cache=True
    ).last_hidden_state
    carry.keep(cache, 13)
    return found.detach()


def test_a_memory_goes_on_until_a_book_begins() -> None:
    made = model("lact", torch.float64)
    carry = Carry(made)
    said(made, carry, FRESH, seed=1)
    kept = {name: held.clone() for name, held in carry.state.items()}
    alone = said(made, Carry(made), FRESH, seed=2)

    first = said(made, carry, BOTH, seed=2)
    assert ((first - alone).abs().amax((1, 2)) > 1e-3).all()

    carry.state = {name: held.clone() for name, held in kept.items()}
    second = said(made, carry, SECOND, seed=2)
    torch.testing.assert_close(second[0], first[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(second[1], alone[1], rtol=1e-9, atol=1e-9)


def test_no_gradient_is_kept() -> None:
    made = model()
    carry = Carry(made)
    said(made, carry, FRESH, seed=1)
    assert carry.state
    assert all(not held.requires_grad for held in carry.state.values())


@pytest.mark.parametrize("most", [None, 9])
def test_landmarks_bring_the_last_segment_along_and_no_more(most: int | None) -> None:
    options = {"landmark_block": 4, "landmark_top_k": 2, "landmark_local": 2, "landmark_most_blocks": most}
    made = converted(llama(torch.float64), "landmark", options, seed=1).train()
    carry = Carry(made)
    for seed in range(7):
        said(made, carry, SECOND if seed == 4 else BOTH, seed)
    rows = [7 * 13, 3 * 13]
    held = [read - 4 * max(0, read // 4 - 4) for read in rows] if most is None else rows
    assert carry.state["0.read"].tolist() == held
    assert carry.state["0.keys"].shape[1] < 9 * 4 + 13
    # The first layer's keys are of the tokens alone: those of the last segment stand at their row's end.
    alone = Carry(made)
    said(made, alone, FRESH, seed=6)
    ends = held if most is None else [read - 4 * max(0, read // 4 - most) for read in rows]
    for row, end in enumerate(ends):
        assert torch.equal(carry.state["0.keys"][row, end - 13 : end], alone.state["0.keys"][row, :13])


def test_a_llama_carries_nothing() -> None:
    carry = Carry(llama())
    assert carry.cache(FRESH) is None
    carry.keep(None, 13)
    assert carry.state == {}
