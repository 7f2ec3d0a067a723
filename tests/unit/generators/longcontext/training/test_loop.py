import io
from typing import Any

import pytest
import torch

from storyloom.generators.longcontext.baselines import is_backbone
from storyloom.generators.longcontext.training.log import Logged
from storyloom.generators.longcontext.training.loop import Limits, Training, train
from storyloom.memory.errors import InvalidSetting
from tests.unit.generators.longcontext.proof import llama, tokens
from tests.unit.generators.longcontext.training.small import corpus, model, plan, weights_of


def losses(training: Training, limits: Limits | None = None) -> list[float]:
    found: list[float] = []
    training.run(limits, lambda logged: found.append(logged.loss))
    return found


def handed_on(training: Training) -> Any:
    """A state as a file would keep it."""
    file = io.BytesIO()
    torch.save(training.state(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": "adamw"},
        {"optimizer": "muon"},
        {"optimizer": "muon", "backbone": "lora"},
        {"backbone": "full"},
    ],
)
def test_interrupted_it_learns_what_it_would_have_learned(fields: dict[str, Any]) -> None:
    whole = Training(model(), corpus(), plan(**fields))
    expected = losses(whole)
    first = Training(model(), corpus(), plan(**fields))
    found = losses(first, Limits(steps=5))
    second = Training(model(), corpus(), plan(**fields))
    second.go_to(handed_on(first))
    found += losses(second)
    assert found == expected
    whole.finish()
    second.finish()
    kept = weights_of(second.model)
    assert all(torch.equal(kept[name], weight) for name, weight in weights_of(whole.model).items())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_loss_falls(optimizer: str) -> None:
    made = model(opened=False)
    found: list[float] = []
    train(
        made,
        corpus(600),
        plan(tokens=4000, lengths=(32,), optimizer=optimizer, learning_rate=0.01),
        on_step=lambda logged: found.append(logged.loss),
    )
    assert sum(found[-5:]) / 5 < found[0] - 0.3
    assert not made.training
    assert not any(weight.requires_grad for weight in made.parameters())


@pytest.mark.parametrize("backbone", ["frozen", "full"])
def test_the_backbone_moves_only_where_it_may(backbone: str) -> None:
    made = model()
    before = weights_of(made)
    train(made, corpus(), plan(tokens=300, backbone=backbone))
    moved = {name for name, weight in weights_of(made).items() if not torch.equal(weight, before[name])}
    assert {name for name in before if not is_backbone(name)} <= moved
    assert any(map(is_backbone, moved)) == (backbone == "full")


def test_a_plain_llama_learns_too() -> None:
    made = llama(torch.float32)
    before = weights_of(made)
    trained = train(made, corpus(), plan(tokens=300, backbone="full"))
    assert trained.tokens >= 300
    assert all(not torch.equal(weight, before[name]) for name, weight in weights_of(made).items())


def test_nothing_learns_in_a_frozen_llama() -> None:
    with pytest.raises(InvalidSetting, match="nothing in it would learn while its backbone is frozen"):
        Training(llama(torch.float32), corpus(), plan())


def test_the_memory_is_carried_into_the_next_segment() -> None:
    fields = {"rows": 1, "lengths": (16,), "learning_rate": 1e-9}
    kept, dropped = (Training(model(), corpus(150), plan(**fields)) for _ in range(2))
    found = [losses(kept, Limits(steps=1))[0] for _ in range(5)]
    alone = []
    for _ in range(5):
        dropped._carry.state = {}
        alone.append(losses(dropped, Limits(steps=1))[0])
    assert found[0] == alone[0]
    assert all(abs(a - b) > 1e-3 for a, b in zip(found[1:], alone[1:], strict=True))


def test_the_memory_is_empty_when_a_book_begins() -> None:
    fields = {"rows": 1, "lengths": (16,), "learning_rate": 1e-9, "tokens": 10_000}
    training = Training(model(), corpus(33), plan(**fields))
    found = [losses(training, Limits(steps=1))[0] for _ in range(4)]  # twice the same book
    assert found[0] != found[1]
    assert found[2:] == pytest.approx(found[:2], abs=1e-4)


def test_long_segments_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = losses(Training(model(), corpus(), plan(backbone="full")))
    monkeypatch.setattr("storyloom.generators.longcontext.training.loop._LONG", 1)
    assert losses(Training(model(), corpus(), plan(backbone="full"))) == expected


def test_lengths_grow_and_all_tokens_are_counted() -> None:
    steps: list[Logged] = []
    training = Training(model(), corpus(150, 90), plan(tokens=0, rows=1, lengths=(8, 16)))
    training.run(None, steps.append)
    lengths = [step.length for step in steps]
    assert lengths == sorted(lengths)
    assert set(lengths) == {8, 16}
    assert steps[-1].tokens == training.tokens == training.total == 150 + 90 - 2


def test_limits_end_a_slice() -> None:
    training = Training(model(), corpus(), plan())
    assert len(losses(training, Limits(steps=2))) == 2
    assert len(losses(training, Limits(seconds=0))) == 1
    asked = iter([False, False, True])
    assert len(losses(training, Limits(stopped=lambda: next(asked)))) == 2
    assert training.steps == 5
    assert not training.done


def test_a_loss_that_is_no_number_ends_it_before_weights_are_moved() -> None:
    training = Training(model(), corpus(), plan())
    before = weights_of(training.model)
    training._carry.state = {}
    with torch.no_grad():
        weight = next(iter(training.model.zero_factors()))
        weight.fill_(float("inf"))
    before = weights_of(training.model)
    with pytest.raises(InvalidSetting, match="The loss of step 1 is nan"):
        training.step()
    now = weights_of(training.model)
    assert all(torch.equal(now[name], weight) for name, weight in before.items())


def test_chance_outside_is_left_alone() -> None:
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    train(model(), corpus(), plan(tokens=100))
    assert torch.equal(torch.rand(1), expected)


def test_a_hybrid_s_attention_goes() -> None:
    made = model("hybrid")
    shares = []
    training = Training(made, corpus(), plan(tokens=700, anneal=0.5))
    training.run(None, lambda _logged: shares.append(made.config.hybrid_attention_share))
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert shares[-3:] == [0, 0, 0]
    with torch.no_grad():
        expected = made(tokens()).logits
    training.finish()
    assert made.config.hybrid_mode == "replace"
    torch.testing.assert_close(made(tokens()).logits, expected)


def test_landmarks_come_to_choose_the_blocks() -> None:
    made = model("landmark")
    layers = [made.model.layers[index].self_attn for index in made.config.memory_layers]
    opened = []

    def look(_logged: Logged) -> None:
        opened.append(min(float(layer.gate.weight.detach().min()) for layer in layers))

    training = Training(made, corpus(), plan(tokens=700, anneal=0.5))
    before = [layer.pool.map.detach().clone() for layer in layers]
    training.run(None, look)
    training.finish()
    assert opened[0] < 0.1 < 0.9 < opened[-1]
    assert all(float(layer.gate.weight.detach().min()) == 1 for layer in layers)
    for layer, old in zip(layers, before, strict=True):
        assert not torch.equal(layer.pool.map, old)  # what landmarks say was learned


def test_only_what_has_something_to_anneal_can_be_annealed() -> None:
    with pytest.raises(InvalidSetting, match="Only a landmark LLaMA, or a hybrid"):
        Training(model(), corpus(), plan(anneal=0.5))
