import pytest

from storyloom.memory.measures import PromptTokens, SlotTokens, Source, StepMeasure, moments, source_of


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("story:premise", Source("story", "premise")),
        ("plan", Source("plan")),
        ("note:7", Source("note", depth=7)),
        ("step:7", Source("step", depth=7)),
        ("step:strand:12", Source("step", depth=12)),
        ("summary:strand:40", Source("summary", depth=40)),
        ("lore:12", Source("lore", "12")),
        ("document:a:3", Source("document", "a:3")),
        ("step:", Source("step")),
    ],
)
def test_a_source_names_its_step(text: str, source: Source) -> None:
    assert source_of(text) == source


def test_a_moment_adds_up_its_prompt() -> None:
    first, second = moments(
        [StepMeasure(8, 90, 4.0, 100), StepMeasure(9, 91, 0.0, 0)],
        [
            SlotTokens(8, "memory", "note:1", 10),
            SlotTokens(8, "memory", "note:2", 5),
            SlotTokens(8, "recall", "step:s:2", 20),
            SlotTokens(8, "recall", "step:s:5", 20),
            SlotTokens(8, "recall", "lore:9", 1),
        ],
        [PromptTokens(8, 70, 900)],
    )
    assert first.slots == {"memory": 15, "recall": 41}
    assert (first.template_tokens, first.budget) == (14, 900)
    assert (first.recalled, first.reach) == ((2, 5), 6)
    assert first.tokens_a_second == 25.0
    assert (second.slots, second.template_tokens, second.budget, second.reach) == ({}, 0, 0, 0)
    assert second.tokens_a_second == 0.0


def test_tokens_counted_apart_may_be_more_than_those_of_the_whole() -> None:
    (moment,) = moments(
        [StepMeasure(1, 1, 1.0, 1)], [SlotTokens(1, "plan", "plan", 9)], [PromptTokens(1, 8, 9)]
    )
    assert moment.template_tokens == 0
