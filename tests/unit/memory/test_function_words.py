import pytest

from storyloom.memory.function_words import content_words, function_words
from storyloom.memory.text import words


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "She doesn't open the door of room 7a", ["open", "door", "room", "7a"]),
        ("en-GB", "It was a key", ["key"]),
        ("de", "Sie öffnet die Tür von Anna 12", ["öffnet", "tür", "anna", "12"]),
        ("ja", "花子は駅へ", ["花", "子", "は", "駅", "へ"]),
        ("en", "", []),
    ],
)
def test_content_words(language: str, text: str, expected: list[str]) -> None:
    assert content_words(words(text), language) == expected


def test_a_language_without_a_list_has_no_function_words() -> None:
    assert function_words("tlh") == frozenset()
    assert "the" in function_words("EN")
