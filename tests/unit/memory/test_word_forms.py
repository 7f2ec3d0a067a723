import pytest

from storyloom.memory.word_forms import Vocabulary


@pytest.mark.parametrize(
    ("word", "other"), [("opens", "opened"), ("snow", "snowing"), ("burned", "burns"), ("mara", "mara")]
)
def test_forms_of_one_word(word: str, other: str) -> None:
    assert Vocabulary([word]).has_form_of(other)
    assert Vocabulary([other]).has_form_of(word)


@pytest.mark.parametrize(
    ("word", "other"), [("red", "rest"), ("lamp", "lampoonery"), ("gate1", "gate2"), ("key", "keys")]
)
def test_no_forms_of_one_word(word: str, other: str) -> None:
    assert not Vocabulary([word]).has_form_of(other)


def test_a_word_itself_is_told_from_its_forms() -> None:
    told = Vocabulary(["opens"])
    assert "opens" in told
    assert "opened" not in told
