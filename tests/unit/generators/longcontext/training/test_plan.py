import json
from typing import Any

import pytest

from storyloom.generators.longcontext.training.plan import Plan, rate_at
from storyloom.memory.errors import InvalidSetting


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tokens": -1}, "tokens is -1; it must be 0 or more"),
        ({"lengths": ()}, "lengths is"),
        ({"lengths": (512, 1)}, "it must be 2 or more each"),
        ({"rows": 0}, "rows is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"backbone_rate": 2.0}, "backbone_rate is 2.0"),
        ({"backbone": "thawed"}, "frozen or lora or full"),
        ({"optimizer": "sgd"}, "adamw or muon"),
        ({"needles": 1.0}, "from 0 to below 1"),
        ({"anneal": 1.5}, "anneal is 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSetting, match=told):
        Plan(**fields)


def test_rates_rise_in_a_line_and_fall_as_a_cosine() -> None:
    rates = [rate_at(done, 1000) for done in range(1001)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[10] == pytest.approx(0.5)
    assert max(rates) == rates[20] == 1
    assert rates[510] == pytest.approx(0.55)  # half of the way from 1 to a tenth
    assert rates[1000] == pytest.approx(0.1)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rate_at(2000, 1000) == rates[1000]


def test_every_length_has_an_equal_share() -> None:
    plan = Plan(lengths=(4, 8, 16))
    found = [plan.length_at(done, 300) for done in range(300)]
    assert [found.count(length) for length in (4, 8, 16)] == [100, 100, 100]
    assert found == sorted(found)
    assert plan.length_at(999, 300) == 16


def test_lora_s_factors_learn_faster_than_the_weights_themselves() -> None:
    assert Plan(backbone="lora").own_backbone_rate == 10 * Plan(backbone="full").own_backbone_rate
    assert Plan(backbone="lora", backbone_rate=0.5).own_backbone_rate == 0.5


def test_a_plan_is_kept_as_json() -> None:
    plan = Plan(lengths=(4, 8), backbone="lora", needles=0.1, teacher="x")
    assert Plan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
