"""The facts that the recall benchmark plants are what its figures take them for."""

import pytest

from storyloom.memory.function_words import content_words
from storyloom.memory.text import words
from tests.bench.planted_text import facts


@pytest.mark.parametrize("seed", range(10))
def test_reworded_questions_share_no_word_that_carries_meaning(seed: int) -> None:
    for fact in facts(100, seed):
        told, name = set(words(fact.text)), words(fact.paraphrased)
        assert not told.intersection(content_words(words(fact.unnamed), "en")), fact
        assert len(told.intersection(content_words(name, "en"))) == 1, fact


def test_the_same_seed_gives_the_same_facts_about_different_people() -> None:
    made = facts(200, 3)
    assert made == facts(200, 3) != facts(200, 4)
    assert len({fact.text for fact in made}) == 200
