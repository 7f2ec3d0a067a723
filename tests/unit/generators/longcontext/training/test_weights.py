import sys
from typing import Any

import pytest
import torch

from storyloom.generators.longcontext.baselines import is_backbone
from storyloom.generators.longcontext.training.weights import Learning
from storyloom.memory.errors import ModelUnavailable
from tests.unit.generators.longcontext.proof import logits, tokens
from tests.unit.generators.longcontext.training.small import model, plan, weights_of


def groups(learning: Learning) -> dict[str, tuple[str, float, float]]:
    """Of each weight's name: its optimizer, rate and decay."""
    names = {id(weight): name for name, weight in learning.weights.items()}
    return {
        names[id(weight)]: (type(optimizer).__name__, group["height"], group["weight_decay"])
        for optimizer in learning.optimizers
        for group in optimizer.param_groups
        for weight in group["params"]
    }


def test_every_weight_has_its_own_rate_and_decay() -> None:
    found = groups(Learning(model(), plan(backbone="full", learning_rate=0.1, backbone_rate=0.2)))
    assert len(found) == len(list(model().named_parameters()))
    for name, (optimizer, rate, decay) in found.items():
        assert optimizer == "AdamW"
        assert rate == (0.2 if is_backbone(name) else 0.1)
        assert (decay == 0) == ("norm" in name or name.endswith("bias")), name


def test_muon_turns_projections_only() -> None:
    found = groups(Learning(model(), plan(backbone="full", optimizer="muon")))
    chosen = {name for name, (optimizer, _, _) in found.items() if optimizer == "Muon"}
    assert "model.layers.0.self_attn.q_proj.weight" in chosen
    assert "model.layers.1.branch.gate.weight" in chosen
    others = found.keys() - chosen
    assert {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"} <= others
    assert any(name.endswith("start.w0") for name in others)
    assert any(name.endswith("bias") for name in others)


def test_rates_are_scaled_at_each_step() -> None:
    learning = Learning(model(), plan(learning_rate=0.1))
    made = learning.weights
    for weight in made.values():
        weight.grad = torch.ones_like(weight)
    learning.step(0.5)
    assert {group["lr"] for group in learning.optimizers[0].param_groups} == {0.05}
    assert all(weight.grad is None for weight in made.values())


def test_gradients_are_clipped() -> None:
    steps = []
    for size in (1.0, 1000.0):
        learning = Learning(model(), plan(learning_rate=0.1))
        for weight in learning.weights.values():
            weight.grad = torch.full_like(weight, size)
        learning.step(1.0)
        moments = learning.optimizers[0].state_dict()["state"]
        steps.append(moments[0]["exp_avg"])
    torch.testing.assert_close(steps[0], steps[1])


def test_lora_leaves_plain_names_and_its_learning() -> None:
    made = model()
    before = weights_of(made)
    learning = Learning(made, plan(backbone="lora"))
    lora = [name for name in learning.weights if ".lora_" in name]
    assert len(lora) == 2 * 3 * 7  # two factors, three layers, seven projections
    assert not any(is_backbone(name) for name in learning.weights)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name in lora:
            weight = learning.weights[name]
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    expected = logits(made, tokens())
    learning.finish()
    after = weights_of(made)
    assert after.keys() == before.keys()
    torch.testing.assert_close(logits(made, tokens()), expected, rtol=1e-3, atol=1e-3)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == {name for name in before if "_proj.weight" in name and is_backbone(name)}


def test_lora_s_factors_are_drawn_from_the_seed() -> None:
    found = []
    for seed in (1, 1, 2):
        learning = Learning(model(), plan(backbone="lora", seed=seed))
        found.append({name: w for name, w in learning.weights.items() if "lora_A" in name})
    assert all(torch.equal(found[1][name], weight) for name, weight in found[0].items())
    assert not any(torch.equal(found[2][name], weight) for name, weight in found[0].items())


def test_without_peft_lora_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'storyloom\[train\]'"):
        Learning(model(), plan(backbone="lora"))


def test_a_state_of_another_training_does_not_fit() -> None:
    state: Any = Learning(model(), plan()).state()
    with pytest.raises((KeyError, ValueError)):
        Learning(model(), plan(backbone="full")).go_to(state)
