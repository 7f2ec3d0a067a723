import pytest

from storyloom.memory.errors import InvalidSetting
from storyloom.memory.weaver_strategies import BUDGETED, PLAIN, READ_TWICE, STRATEGIES, strategy_of


def reading(name: str, *, plan: int = 1, recall: int = 10) -> list[str]:
    """The order of the slots that change, when plan and recalled passages have so many tokens."""
    sizes = {"plan": plan, "recall": recall, "lore": 2}
    order = STRATEGIES[name].reading(lambda names: sum(sizes[each] for each in names))
    return list(order[order.index("memory") + 1 :])


def test_every_strategy_reads_every_slot_and_what_stays_first() -> None:
    assert {name: set(each.reading(len)) for name, each in STRATEGIES.items()} == {
        name: set(BUDGETED.order) for name in STRATEGIES
    }
    stable = BUDGETED.order[: BUDGETED.order.index("memory") + 1]
    assert all(each.reading(len)[: len(stable)] == stable for each in STRATEGIES.values())
    assert stable[:5] == ("premise", "outline", "lore_before", "characters", "lore_after")


def test_the_default_ends_with_the_last_paragraphs_and_the_plan() -> None:
    assert reading("budgeted") == ["lore", "recall", "last", "plan"]


def test_plain_is_recurrent_gpts_order_and_number() -> None:
    assert reading("plain") == ["last", "plan", "lore", "recall"]
    assert (PLAIN.most_paragraphs, PLAIN.most_recalled) == (1, 2)


def test_read_twice_reads_material_and_question_twice_the_smaller_first_and_ends_with_the_question() -> None:
    assert reading("read-twice") == ["plan", "lore", "recall", "last", "lore", "recall", "plan"]
    assert reading("read-twice", plan=99) == ["lore", "recall", "plan", "last", "lore", "recall", "plan"]


def test_a_story_chooses_by_name_and_the_default_is_budgeted() -> None:
    assert strategy_of({}) is BUDGETED
    assert strategy_of({"weaver": "read-twice"}) is READ_TWICE


@pytest.mark.parametrize("name", ["recurrent", "", None, 3, ["plain"]])
def test_an_unknown_strategy_is_refused_with_the_choices(name: object) -> None:
    with pytest.raises(InvalidSetting, match="budgeted, plain, read-twice"):
        strategy_of({"weaver": name})
