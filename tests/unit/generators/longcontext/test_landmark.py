"""Landmark LLaMA: what is proved of every family, with all blocks and with chosen ones."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.state import read, state_bytes
from tests.unit.generators.longcontext.proof import LENGTH, Proof, llama, logits, open_gates, tokens

CHOSEN: dict[str, dict[str, Any]] = {
    "true": {"landmark_block": 3, "landmark_top_k": 2, "landmark_local": 1, "landmark_positions": "true"},
    "near": {"landmark_block": 2, "landmark_top_k": 3, "landmark_local": 2, "landmark_positions": "near"},
    "offloaded": {"landmark_block": 4, "landmark_top_k": 1, "landmark_local": 2, "landmark_offload": True},
    "bounded": {"landmark_block": 3, "landmark_top_k": 2, "landmark_local": 2, "landmark_most_blocks": 4},
}


def sizes(model: LongContextForCausalLM) -> list[int]:
    return [len(state_bytes(read(model, tokens(1, n), None), model)) for n in (50, 200)]


class TestAllBlocks(Proof):
    """Exact attention, by blocks: a state holds the whole text."""

    family = "landmark"
    kernel = "storyloom.generators.longcontext.landmark.landmark_attention"

    @pytest.fixture
    def chosen(self) -> Mapping[str, Any]:
        return {"landmark_block": 4, "landmark_top_k": None, "landmark_local": 2}

    def test_a_state_is_as_large_after_a_long_text(self, model: LongContextForCausalLM) -> None:
        short, long = sizes(model)
        assert long > 2 * short


class TestChosenBlocks(Proof):
    """A token sees the blocks that it chooses."""

    family = "landmark"
    kernel = "storyloom.generators.longcontext.landmark.gather_decode"

    @pytest.fixture(params=list(CHOSEN.values()), ids=list(CHOSEN))
    def chosen(self, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        options: Mapping[str, Any] = request.param
        return options

    def reach(self, made: LongContextForCausalLM) -> int:
        config: Any = made.config
        return min(LENGTH, int(config.landmark_block * (config.landmark_seen + 1)))

    def test_a_state_is_as_large_after_a_long_text(self, model: LongContextForCausalLM) -> None:
        short, long = sizes(model)
        config: Any = model.config
        if config.landmark_most_blocks is None:
            assert long > 2 * short
        else:
            assert long <= 1.2 * short


@pytest.mark.parametrize("training", [False, True])
def test_the_last_blocks_are_seen_as_the_source_sees_them(training: bool) -> None:
    options = {"landmark_block": 4, "landmark_top_k": 2, "landmark_local": 3}
    made = converted(llama(), "landmark", options, seed=1).train(training)
    open_gates(made)
    said = logits(made, tokens(length=20))
    with torch.no_grad():
        expected = llama()(input_ids=tokens(length=20)).logits
    assert (said - expected)[:, :12].abs().max() < 1e-8
    assert (said - expected)[:, 12:].abs().max() > 1e-3
