"""Hybrid Mamba: what is proved of every family, beside attention and in its place, with each remedy."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu, softplus
from transformers import AutoModelForCausalLM, DynamicCache

from storyloom.generators.longcontext.cells import Cells
from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.hybrid import HybridConfig, HybridForCausalLM, HybridLayer
from storyloom.generators.longcontext.mamba_state import Scan
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.rows import Rows
from storyloom.generators.longcontext.state import cache_from, read
from storyloom.memory.errors import InvalidSetting
from tests.unit.generators.longcontext.proof import Proof, close, llama, logits, open_gates, tokens

PARALLEL: dict[str, dict[str, Any]] = {
    "parallel": {"memory_layers": [0, 2]},
    "window": {"sliding_window": 64, "hybrid_conv": 1},
    "half": {"hybrid_attention_share": 0.5},
    "annealed": {"hybrid_attention_share": 0.0, "memory_layers": [0, 1]},
    "scaled": {"hybrid_insertion_scale": 0.5, "hybrid_decay_scale": 2.0},
    "capped": {"hybrid_state_cap": 0.02, "hybrid_chunk": 5},
    "state window": {"hybrid_state_window": 6, "hybrid_chunk": 3},
    "all": {
        "hybrid_insertion_scale": 0.5,
        "hybrid_decay_scale": 2.0,
        "hybrid_state_cap": 0.02,
        "hybrid_state_window": 12,
        "hybrid_chunk": 4,
    },
}
REPLACE: dict[str, dict[str, Any]] = {
    "replace": {"hybrid_mode": "replace"},
    "first layer, windows": {
        "hybrid_mode": "replace",
        "memory_layers": [0, 2],
        "sliding_window": 64,
        "hybrid_state_window": 8,
        "hybrid_chunk": 4,
    },
    "every layer": {"hybrid_mode": "replace", "memory_layers": [0, 1, 2]},
}
ATTENTION = {"v_proj": "x_proj", "k_proj": "B_proj", "q_proj": "C_proj", "o_proj": "out_proj"}


class _Hybrid(Proof):
    family = "hybrid"
    kernel = "storyloom.generators.longcontext.mamba_state.ssd"


class TestParallel(_Hybrid):
    @pytest.fixture(params=list(PARALLEL.values()), ids=list(PARALLEL))
    def chosen(self, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        options: Mapping[str, Any] = request.param
        return options

    def test_it_says_what_its_source_says(self, made: LongContextForCausalLM) -> None:
        """With attention's share taken from the source too, where it isn't 1."""
        ids, source = tokens(), llama()
        with torch.no_grad():
            for index in made.config.memory_layers or ():
                weight: Any = source.model.layers[index].self_attn.o_proj.weight
                weight.mul_(made.config.hybrid_attention_share)
            expected = source(input_ids=ids).logits
        assert (logits(made, ids) - expected).abs().max() < 1e-8
        assert any(True for _ in made.zero_factors())

    def test_every_new_weight_learns(self, made: LongContextForCausalLM) -> None:
        super().test_every_new_weight_learns(made)
        names = {name.rpartition("branch.")[2] for name, _ in made.named_parameters() if "branch" in name}
        assert names >= {"A_log", "dt_bias", "D", "norm", *(f"{name}.weight" for name in ATTENTION.values())}


class TestReplace(_Hybrid):
    @pytest.fixture(params=list(REPLACE.values()), ids=list(REPLACE))
    def chosen(self, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        options: Mapping[str, Any] = request.param
        return options

    def test_it_says_what_its_source_says(self, made: LongContextForCausalLM) -> None:
        """Up to the first layer that is replaced, whose attention isn't there any more."""
        ids, source = tokens(), llama()
        first = min(made.config.memory_layers or ())
        with torch.no_grad():
            expected = source(input_ids=ids, output_hidden_states=True).hidden_states
            found = made(input_ids=ids, output_hidden_states=True).hidden_states
        close(found[first], expected[first])
        assert (found[first + 1] - expected[first + 1]).abs().max() > 1e-3
        assert not any("self_attn" in name for name in made.model.layers[first].state_dict())

    def test_the_zero_factor_learns_first(self, made: LongContextForCausalLM) -> None:
        """There is none: everything learns at once."""
        assert not any(True for _ in made.zero_factors())
        self.test_every_new_weight_learns(made)


def hybrid(**options: Any) -> HybridForCausalLM:
    """Converted, its gates open."""
    made = converted(llama(), "hybrid", options, seed=1)
    assert isinstance(made, HybridForCausalLM)
    open_gates(made)
    return made


def mamba_of(model: HybridForCausalLM) -> Any:
    layer = model.model.layers[(model.config.memory_layers or [])[0]]
    assert isinstance(layer, HybridLayer)
    return layer.branch


@pytest.mark.parametrize("mode", ["parallel", "replace"])
def test_mamba_begins_with_the_weights_of_attention(mode: str) -> None:
    source = llama(attention_bias=True)
    model: Any = converted(source, "hybrid", {"hybrid_mode": mode, "memory_layers": [1, 2]})
    for index in (1, 2):
        attention: Any = source.model.layers[index].self_attn
        branch: Any = model.model.layers[index].branch
        for theirs, ours in ATTENTION.items():
            for part in ("weight", "bias"):
                found, expected = (
                    getattr(getattr(*pair), part) for pair in ((branch, ours), (attention, theirs))
                )
                assert torch.equal(found, expected)
    rest = [name for name in source.state_dict() if ".1.self_attn" not in name and ".2.self_attn" not in name]
    assert all(torch.equal(model.state_dict()[name], source.state_dict()[name]) for name in rest)


def test_the_new_weights_begin_as_mamba_2_does() -> None:
    branch = mamba_of(hybrid())
    assert ((branch.A_log.exp() >= 1) & (branch.A_log.exp() <= 16)).all()
    assert branch.A_log.unique().numel() == branch.heads
    steps = softplus(branch.dt_bias)
    assert ((steps >= 9e-4) & (steps <= 0.11)).all()
    assert (branch.D == 1).all()


def test_mamba_is_the_recurrence_of_its_paper() -> None:
    """The whole branch against the equations, token by token and head by head."""
    model = hybrid(hybrid_mode="replace", hybrid_insertion_scale=0.7, hybrid_decay_scale=1.5)
    layer: Any = model.model.layers[1]
    branch: Any = layer.branch
    with torch.no_grad():
        branch.norm.uniform_(0.5, 2)
        branch.D.uniform_(0.5, 2)
    given: dict[str, Tensor] = {}
    branch.register_forward_hook(lambda _module, args, out: given.update(hidden=args[0][0], out=out[0]))
    logits(model, tokens(1))
    with torch.no_grad():
        found = by_hand(branch, given["hidden"])
    close(given["out"], found)


def by_hand(branch: Any, hidden: Tensor) -> Tensor:
    """[tokens, hidden size] to the same."""
    width, group = branch.width, branch.heads // branch.kv_heads
    mixed = torch.cat([branch.x_proj(hidden), branch.B_proj(hidden), branch.C_proj(hidden)], -1)
    kernel = branch.conv.weight[:, 0]
    states = torch.zeros(branch.heads, width, width, dtype=hidden.dtype)
    said = []
    for place, token in enumerate(hidden):
        convolved = sum(
            kernel[:, -1 - back] * mixed[place - back] for back in range(min(place + 1, kernel.shape[1]))
        )
        x, b, c = torch.split(silu(convolved), [width * branch.kv_heads] * 2 + [width * branch.heads])
        dt = softplus(branch.dt_proj(token) + branch.dt_bias)
        heads = []
        for head in range(branch.heads):
            own = slice(head // group * width, (head // group + 1) * width)
            decay = torch.exp(-1.5 * branch.A_log[head].exp() * dt[head])
            states[head] = decay * states[head] + 0.7 * dt[head] * torch.outer(b[own], x[own])
            y = c[head * width : (head + 1) * width] @ states[head] + branch.D[head] * x[own]
            gated = y * silu(branch.z_proj(token)[head * width : (head + 1) * width])
            heads.append(gated / (gated.square().mean() + branch.eps).sqrt() * branch.norm[head])
        said.append(branch.out_proj(torch.cat(heads)))
    return torch.stack(said)


@pytest.mark.parametrize(
    ("cap", "window"), [(0.5, None), (None, 9), (0.5, 9), (None, 6)], ids=["cap", "window", "both", "short"]
)
def test_the_remedies_are_what_they_say(cap: float | None, window: int | None) -> None:
    """Against a state held as a list of what was inserted, each with what has become of it."""
    chunk, length = 3, 31
    generator = torch.Generator().manual_seed(2)
    x, b, c = (torch.randn(1, length, 2, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    a = -torch.rand(1, length, 2, generator=generator, dtype=torch.float64) * 0.1
    cells = Cells()
    cells.begin(1)
    scan = Scan(chunk=chunk, cap=cap, window=window)
    found = scan(x, a, b, c, Rows.of(None, 1, length), cells)

    inserted = torch.einsum("blhn,blhw->lhnw", b, x)
    weights = torch.zeros(length, 2, dtype=torch.float64)
    for place in range(length):
        weights = weights * a[0, place].exp()
        weights[place] = 1
        state = (weights[:, :, None, None] * inserted).sum(0)
        close(found[0, place], torch.einsum("hn,hnw->hw", c[0, place], state))
        if (place + 1) % chunk == 0:
            if window is not None:
                weights[: max(0, place + 1 - window + chunk)] = 0
            state = (weights[:, :, None, None] * inserted).sum(0)
            if cap is not None:
                weights = weights * (cap / state.flatten(1).norm(dim=1)).clamp(max=1)
    if cap is not None:
        assert (weights[: length // chunk * chunk].amax() < 1).item()


def norms(length: int, **options: Any) -> list[float]:
    """The largest norm of a head's state after each 500 tokens of a model that hardly forgets."""
    model = hybrid(**options)
    with torch.no_grad():
        mamba_of(model).A_log.fill_(-9)
    found, state = [], None
    for part in torch.split(tokens(1, length), 500, dim=1):
        state = read(model, part, state)
        found.append(float(state["1.state"].flatten(2).norm(dim=-1).max()))
    return found


def test_a_state_that_hardly_forgets_grows_until_a_remedy_holds_it() -> None:
    grown = norms(4000)
    assert all(after > before for before, after in pairwise(grown))
    assert grown[-1] > 5 * grown[0]
    assert max(norms(4000, hybrid_state_cap=1.0, hybrid_chunk=50)) <= 1.0 + 1e-9
    windowed = norms(4000, hybrid_state_window=500, hybrid_chunk=50)
    assert max(windowed) < 1.1 * grown[0]
    assert norms(4000, hybrid_decay_scale=100.0)[-1] < 0.5 * grown[-1]
    assert norms(4000, hybrid_insertion_scale=0.1)[-1] == pytest.approx(0.1 * grown[-1], rel=0.3)


def test_annealing_ends_in_the_same_model_without_attention(tmp_path: Path) -> None:
    model = hybrid(memory_layers=[0, 2])
    ids = tokens()
    whole = logits(model, ids)
    model.set_attention_share(0.4)
    part = logits(model, ids)
    model.set_attention_share(0)
    expected = logits(model, ids)
    assert (whole - part).abs().max() > 1e-3
    assert (part - expected).abs().max() > 1e-3

    parallel = sum(weight.numel() for weight in model.parameters())
    model.finish_annealing()
    close(logits(model, ids), expected)
    assert sum(weight.numel() for weight in model.parameters()) < parallel
    model.save_pretrained(tmp_path)
    again: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    assert again.config.hybrid_mode == "replace"
    close(logits(again, ids), expected)


def test_annealing_with_biases_says_the_same() -> None:
    model: Any = converted(llama(attention_bias=True), "hybrid", {"hybrid_attention_share": 0.0})
    with torch.no_grad():
        model.model.layers[1].branch.out_proj.bias.normal_()
    open_gates(model)
    expected = logits(model, tokens())
    model.finish_annealing()
    close(logits(model, tokens()), expected)


@pytest.mark.parametrize("options", [{"hybrid_attention_share": 0.0}, {"hybrid_mode": "replace"}])
def test_without_attention_no_keys_are_kept(options: dict[str, Any]) -> None:
    model = hybrid(memory_layers=[0], **options)
    cache: Any = DynamicCache()
    logits(model, tokens(2, 9), past_key_values=cache)
    assert cache.layers[0].keys.numel() == 0
    assert cache.layers[1].keys.shape[-2] == 9
    assert cache.get_seq_length() == 9


def test_a_share_that_cannot_be_is_refused() -> None:
    model = hybrid()
    with pytest.raises(InvalidSetting, match=r"share is 1\.5; it must be from 0 to 1"):
        model.set_attention_share(1.5)
    with pytest.raises(InvalidSetting, match=r"still has a share of 1\.0"):
        model.finish_annealing()
    replaced = hybrid(hybrid_mode="replace")
    with pytest.raises(InvalidSetting, match="dropped already"):
        replaced.set_attention_share(0.5)
    with pytest.raises(InvalidSetting, match="dropped already"):
        replaced.finish_annealing()


def test_a_cache_with_keys_is_not_read_on_without_them() -> None:
    model = hybrid()
    cache = cache_from(None, model.config)
    logits(model, tokens(), past_key_values=cache)
    model.set_attention_share(0)
    with pytest.raises(ValueError, match="Give an empty DynamicCache"):
        logits(model, tokens(), past_key_values=cache)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hybrid_mode": "beside"}, "hybrid_mode is 'beside'; it must be one of parallel, replace"),
        ({"hybrid_attention_share": 1.1}, "hybrid_attention_share is 1.1; it must be from 0 to 1"),
        ({"hybrid_conv": 0}, "hybrid_conv is 0; it must be from 1 to 64"),
        ({"hybrid_insertion_scale": 0.0}, "hybrid_insertion_scale is 0.0; it must be above 0"),
        ({"hybrid_state_cap": -1.0}, "hybrid_state_cap is -1.0; it must be above 0"),
        ({"hybrid_state_window": 256}, "at least two times hybrid_chunk, 256"),
        ({"hybrid_state_window": 1000}, "hybrid_state_window is 1000"),
        ({"memory_layers": [3]}, "name at least one layer from 0 to 2"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        converted(llama(), "hybrid", options)
    assert told in str(refused.value)


def test_whole_numbers_are_numbers_too() -> None:
    """As they come from a command line."""
    config = hybrid(hybrid_attention_share=0, hybrid_state_cap=5, hybrid_decay_scale=2).config
    assert (config.hybrid_attention_share, config.hybrid_state_cap, config.hybrid_decay_scale) == (0, 5, 2)


def test_one_layer_in_four_is_chosen() -> None:
    assert hybrid().config.memory_layers == [1]
    assert HybridConfig(num_hidden_layers=30).memory_layers == [2, 6, 10, 15, 19, 23, 27]


def test_in_half_precision_states_and_exponents_stay_wide(tmp_path: Path) -> None:
    model: Any = converted(llama(torch.bfloat16), "hybrid", {"hybrid_mode": "replace"})
    model.save_pretrained(tmp_path)
    again: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    for made in (model, again):
        assert mamba_of(made).A_log.dtype is torch.float32
        assert mamba_of(made).x_proj.weight.dtype is torch.bfloat16
        assert read(made, tokens(), None)["1.state"].dtype is torch.float32
        assert logits(made, tokens()).isfinite().all()
    assert torch.equal(logits(again, tokens()), logits(model, tokens()))
