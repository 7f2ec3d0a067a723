import pytest

from storyloom.app.given_text import checked_language, optional, required
from storyloom.memory.errors import InvalidText


def test_control_characters_and_white_space_around_go() -> None:
    assert required(" A door\x00 in the sea.\n", "premise", 100) == "A door in the sea."
    assert optional("  ", "style", 100) == ""


@pytest.mark.parametrize("text", ["", " \n", "\x00\x01"])
def test_what_must_be_there_is_asked_for(text: str) -> None:
    with pytest.raises(InvalidText, match="The plan is empty"):
        required(text, "plan", 100)


@pytest.mark.parametrize("check", [required, optional])
def test_too_long_a_text_is_told_with_its_bound(check: object) -> None:
    assert callable(check)
    with pytest.raises(InvalidText, match="The title has 1,001 characters, and at most 1,000"):
        check("x" * 1001, "title", 1000)


@pytest.mark.parametrize("tag", ["", "en", "pt-BR", "zh-Hant-TW", "de-1996"])
def test_language_tags(tag: str) -> None:
    assert checked_language(tag) == tag


@pytest.mark.parametrize("tag", ["e", "the language of the sea", "en_US; rm", "x" * 5000, "en-", "日本"])
def test_what_can_be_no_language_tag(tag: str) -> None:
    with pytest.raises(InvalidText, match="no language tag"):
        checked_language(tag)
