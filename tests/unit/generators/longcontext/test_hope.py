"""Hope: what is proved of every family, with each of its two memories alone and with both."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.generators.longcontext.proof import Proof

WIDTH = 8
BOTH: dict[str, dict[str, Any]] = {
    "both": {"hope_periods": [5, 9], "hope_width": WIDTH, "memory_chunk": 4},
    "modifying": {"hope_periods": [], "memory_chunk": 4, "memory_heads": 4},
    "plain": {
        "hope_periods": [6],
        "hope_width": WIDTH,
        "hope_orthogonal": False,
        "memory_chunk": 7,
        "memory_conv": 1,
        "memory_layers": [0, 2],
    },
}
LEVELS: dict[str, dict[str, Any]] = {
    "one": {"hope_periods": [4], "hope_width": WIDTH, "hope_reach": 1},
    "three": {"hope_periods": [3, 7, 11], "hope_width": 16, "memory_layers": [1]},
    "window": {"hope_periods": [1, 8], "hope_width": WIDTH, "sliding_window": 64},
}


class TestHope(Proof):
    family = "hope"
    kernel = "storyloom.generators.longcontext.self_modifying.fast_weight"

    @pytest.fixture(params=list(BOTH.values()), ids=list(BOTH))
    def chosen(self, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        options: Mapping[str, Any] = request.param
        return options


class TestContinuumAlone(Proof):
    family = "hope"
    kernel = "storyloom.generators.longcontext.continuum.newton_schulz"

    @pytest.fixture(params=list(LEVELS.values()), ids=list(LEVELS))
    def chosen(self, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        return {"hope_self_modifying": False, **request.param}
