from typing import Any

import pytest
import torch

from storyloom.generators.longcontext.baselines import is_backbone
from storyloom.generators.longcontext.families import FAMILIES
from storyloom.generators.longcontext.state import cache_from, read, state_dict_of
from storyloom.generators.longcontext.training.recompute import recomputing
from tests.unit.generators.longcontext.proof import llama, tokens
from tests.unit.generators.longcontext.training.small import model


def learned(made: Any, state: Any = None) -> tuple[dict[str, torch.Tensor], Any]:
    """Gradients of a reading, and the memory after it."""
    made.zero_grad()
    memory = hasattr(made, "zero_factors")
    cache = cache_from(state, made.config) if memory else None
    ids = tokens(2, 40)
    hidden = made.model(input_ids=ids, past_key_values=cache, use_cache=memory).last_hidden_state
    after = state_dict_of(cache, made.config) if cache is not None else {}
    made.lm_head(hidden).square().mean().backward()
    gradients = {
        name: weight.grad.clone() for name, weight in made.named_parameters() if weight.grad is not None
    }
    return gradients, after


@pytest.mark.parametrize("family", [*FAMILIES, "llama"])
def test_gradients_and_memory_are_the_same(family: str) -> None:
    made: Any = llama() if family == "llama" else model(family, torch.float64)
    state = None if family == "llama" else read(made, tokens(2, 21, seed=9), None)
    expected, memory = learned(made, state)
    with recomputing(made):
        found, again = learned(made, state)
    assert found.keys() == expected.keys()
    assert any(not is_backbone(name) for name in expected) == (family != "llama")
    for name, gradient in expected.items():
        assert torch.equal(found[name], gradient), name
    assert memory.keys() == again.keys()
    assert all(torch.equal(again[name], held) for name, held in memory.items())


def test_less_is_kept_in_memory() -> None:
    made = model("lact")
    held: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    sizes = []
    for again in (False, True):
        held.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            if again:
                with recomputing(made):
                    made.model(input_ids=tokens(2, 200))
            else:
                made.model(input_ids=tokens(2, 200))
        sizes.append(sum(held.values()))
    assert sizes[1] < sizes[0] / 2


def test_a_model_is_left_as_it_was() -> None:
    made = llama()
    with recomputing(made):
        assert all("forward" in vars(layer) for layer in made.model.layers)
    assert not any("forward" in vars(layer) for layer in made.model.layers)
