"""Titans: what is proved of every family, at each of its places and depths."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.state import read
from tests.unit.generators.longcontext.proof import Proof, llama, tokens

OPTIONS: dict[str, dict[str, Any]] = {
    "gate": {"memory_chunk": 4},
    "linear": {"memory_chunk": 4, "memory_depth": 1, "memory_layers": [1]},
    "layer": {"memory_chunk": 4, "memory_place": "layer"},
    "context": {"memory_chunk": 4, "memory_place": "context", "memory_persistent": 3},
    "plain": {"memory_chunk": 5, "memory_momentum": False, "memory_decay": False, "memory_conv": 1},
    "window": {"memory_chunk": 4, "memory_heads": 4, "sliding_window": 64},
}


@pytest.fixture(params=list(OPTIONS.values()), ids=list(OPTIONS))
def chosen(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    options: Mapping[str, Any] = request.param
    return options


class TestTitans(Proof):
    family = "titans"
    kernel = "storyloom.generators.longcontext.titans.fast_weight"


@pytest.mark.parametrize("depth", [1, 2])
def test_large_projections_do_not_blow_the_memory_up(depth: int) -> None:
    """As training makes them; with values that grow along, the memory grew until it was NaN."""
    model: Any = converted(llama(), "titans", {"memory_chunk": 8, "memory_depth": depth}, seed=1)
    with torch.no_grad():
        for index in model.config.memory_layers:
            model.model.layers[index].branch.memory.projections.qkv.weight.mul_(50)
    state = read(model, tokens(1, 600), None)
    learned = [held for name, held in state.items() if ".state." in name]
    assert max(float(held.abs().max()) for held in learned) < 10
