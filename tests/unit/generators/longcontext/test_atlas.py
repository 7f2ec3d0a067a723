"""ATLAS: what is proved of every family, at each of its places, windows and degrees."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.generators.longcontext.proof import Proof

OPTIONS: dict[str, dict[str, Any]] = {
    "gate": {"memory_chunk": 4, "memory_window": 2},
    "linear": {"memory_chunk": 4, "memory_window": 4, "memory_depth": 1, "memory_degree": 3},
    "layer": {"memory_chunk": 4, "memory_window": 1, "memory_place": "layer"},
    "context": {"memory_chunk": 5, "memory_window": 3, "memory_place": "context"},
    "plain": {"memory_chunk": 4, "memory_window": 2, "memory_orthogonal": False, "memory_degree": 1},
}


@pytest.fixture(params=list(OPTIONS.values()), ids=list(OPTIONS))
def chosen(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    options: Mapping[str, Any] = request.param
    return options


class TestAtlas(Proof):
    family = "atlas"
    kernel = "storyloom.generators.longcontext.atlas.fast_weight"
