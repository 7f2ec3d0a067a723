from collections.abc import Callable

import pytest

from storyloom.memory.story import Note, Origin, Plan, ShortMemory, Step
from storyloom.storage import rows


@pytest.mark.parametrize(
    ("title", "key"),
    [("The  LAMP\n", "the lamp"), ("Straße", "strasse"), ("ΣΊΣΥΦΟΣ", "σίσυφοσ"), ("鐘", "鐘"), ("", "")],
)
def test_titles_are_compared_without_case_and_white_space(title: str, key: str) -> None:
    assert rows.title_key(title) == key


@pytest.mark.parametrize(("text", "words"), [("", 0), ("It wasn't here.", 3), ("四五 six", 3)])
def test_a_steps_words_are_counted_when_it_is_kept(
    new_step: Callable[..., Step], text: str, words: int
) -> None:
    assert rows.step_row(new_step("main", 1, paragraph=text)).words == words


def test_a_step_is_the_same_after_a_row(new_step: Callable[..., Step]) -> None:
    step = new_step("main", 3, memory=ShortMemory(), added=(), dropped=(), plans=())
    assert rows.step(rows.step_row(step)) == step


def test_memory_and_plans_are_plain_data() -> None:
    assert rows.dump_memory(ShortMemory((Note("a", 1, Origin.PERSON, pinned=True),))) == {
        "notes": [{"text": "a", "depth": 1, "origin": "person", "pinned": True}]
    }
    assert rows.dump_plans((Plan("b"),)) == [{"text": "b", "origin": "model"}]
