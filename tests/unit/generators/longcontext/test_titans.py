"""Titans: what is proved of every family, at each of its places and depths."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.generators.longcontext.proof import Proof

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
