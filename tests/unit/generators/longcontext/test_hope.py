"""Hope: what is proved of every family, with each of its two memories alone and with both."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.hope import HopeConfig, HopeLayer
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.rows import Rows
from storyloom.generators.longcontext.state import cache_from, read, state_dict_of
from storyloom.memory.errors import InvalidSetting
from tests.unit.generators.longcontext.proof import LENGTH, Proof, close, llama, logits, open_gates, tokens

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


class HopeProof(Proof):
    """And what is Hope's own."""

    family = "hope"

    @pytest.mark.parametrize("changed", [1, 8, 17])
    def test_no_token_hears_of_a_later_one(self, model: LongContextForCausalLM, changed: int) -> None:
        ids = tokens()
        others = ids.clone()
        others[:, changed] = ids[:, changed] % 60 + 1
        first, then = logits(model, ids), logits(model, others)
        close(first[:, :changed], then[:, :changed])
        assert (first[:, changed:] - then[:, changed:]).abs().amax((0, 2)).min() > 1e-6


class TestHope(HopeProof):
    kernel = "storyloom.generators.longcontext.self_modifying.fast_weight"

    @pytest.fixture(params=list(BOTH.values()), ids=list(BOTH))
    def chosen(self, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        options: Mapping[str, Any] = request.param
        return options


class TestContinuumAlone(HopeProof):
    kernel = "storyloom.generators.longcontext.continuum.newton_schulz"

    @pytest.fixture(params=list(LEVELS.values()), ids=list(LEVELS))
    def chosen(self, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        return {"hope_self_modifying": False, **request.param}


def made(**options: Any) -> LongContextForCausalLM:
    model = converted(llama(), "hope", {"hope_width": WIDTH, **options}, seed=1)
    open_gates(model)
    return model


def test_a_level_changes_at_its_periods_ends_alone() -> None:
    model = made(hope_periods=[3, 7], hope_self_modifying=False, memory_layers=[1])
    cache = cache_from(None, model.config)
    before = {"learned": torch.zeros(()), "total": torch.zeros(())}
    changes: dict[str, list[int]] = {f"1.level.{level}.learned": [] for level in (0, 1)}
    for place, token in enumerate(torch.split(tokens(1), 1, dim=1), start=1):
        logits(model, token, past_key_values=cache)
        state = state_dict_of(cache, model.config)
        for name, ends in changes.items():
            if not torch.equal(state[name], before.get(name, torch.zeros_like(state[name]))):
                ends.append(place)
        before = state
    assert changes["1.level.0.learned"] == list(range(3, LENGTH + 1, 3))
    assert changes["1.level.1.learned"] == list(range(7, LENGTH + 1, 7))


def test_within_its_first_period_a_model_is_its_source() -> None:
    model = made(hope_periods=[7], hope_self_modifying=False)
    ids = tokens()
    with torch.no_grad():
        source = llama()(input_ids=ids).logits
    apart = (logits(model, ids) - source).abs().amax((0, 2))
    assert apart[:7].max() < 1e-8
    assert apart[7:].min() > 1e-4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hope_periods": [], "hope_self_modifying": False}, "nothing would remember"),
        ({"hope_periods": [8, 8]}, "each must be longer than the one before"),
        ({"hope_periods": [0, 8]}, "from 1 to 1048576 tokens"),
        ({"hope_periods": list(range(1, 10))}, "at most 8"),
        ({"hope_periods": ["often"]}, "hope_periods"),
        ({"hope_width": 33}, "hope_width is 33; it must be from 1 to 32"),
        ({"hope_reach": 0}, "hope_reach is 0"),
        ({"memory_rate": 1.5}, "memory_rate is 1.5"),
        ({"memory_chunk": 65}, "memory_chunk is 65"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said) as refused:
        converted(llama(), "hope", options)
    assert "\n" not in str(refused.value)


def test_states_are_wide_where_weights_are_narrow() -> None:
    model = converted(llama(torch.bfloat16), "hope", {"hope_periods": [4], "memory_chunk": 4})
    open_gates(model)
    state = read(model, tokens(1, 40), None)
    wide = [name for name in state if name.endswith(("learned", "total", "self.state.0"))]
    assert len(wide) == 9
    assert all(state[name].dtype is torch.float32 for name in wide)
    assert logits(model, tokens()).isfinite().all()


def test_a_state_of_the_starter_s_shape_is_under_10_mb() -> None:
    config = HopeConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=8,
    )
    assert config.memory_layers is not None
    with torch.device("meta"):
        layer = HopeLayer(config, 0)
        hidden = torch.zeros(1, 1, 576)
    cells, rows = Cells(), Rows((1,), 1)
    cells.begin(1)
    layer.branch(hidden, rows, cells)  # type: ignore[misc]
    layer.mlp(hidden, hidden, rows, cells)
    held = sum(tensor.nbytes for tensor in cells.tensors.values()) * len(config.memory_layers)
    assert 5e6 < held < 10e6
