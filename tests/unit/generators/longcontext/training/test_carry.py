import torch

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
    carry.keep(cache)
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


def test_a_llama_carries_nothing() -> None:
    carry = Carry(llama())
    assert carry.cache(FRESH) is None
    carry.keep(None)
    assert carry.state == {}
