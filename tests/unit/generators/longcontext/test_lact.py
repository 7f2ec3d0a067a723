"""LaCT: what is proved of every family, at each of its places."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.generators.longcontext.proof import Proof

OPTIONS: dict[str, dict[str, Any]] = {
    "gate": {"memory_chunk": 6},
    "layer": {"memory_chunk": 4, "memory_place": "layer", "memory_expansion": 2},
    "context": {"memory_chunk": 5, "memory_place": "context", "memory_layers": [0, 2]},
    "plain": {"memory_chunk": 7, "memory_orthogonal": False, "memory_conv": 1, "memory_heads": 2},
    "window": {"memory_chunk": 4, "sliding_window": 64},
}


@pytest.fixture(params=list(OPTIONS.values()), ids=list(OPTIONS))
def chosen(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    options: Mapping[str, Any] = request.param
    return options


class TestLact(Proof):
    family = "lact"
    kernel = "storyloom.generators.longcontext.lact.lact_apply"
