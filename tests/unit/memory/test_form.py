import pytest

from storyloom.memory.form import (
    cut_at_break,
    has_open_quote,
    is_finished,
    is_first_person,
    is_second_person,
    scripts,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("She ran home.\n\nHe followed.", "She ran home.\n\nHe followed."),
        ("She ran home.\n- a list\n- of things", "She ran home."),
        ("She ran home.\n2. Second point", "She ran home."),
        ("She ran home.\nTitle: The End", "She ran home."),
        ("She ran home.\n### Chapter", "She ran home."),
        ("She ran home. [continue]", "She ran home."),
        ("She ran home. See https://example.org for more", "She ran home. See"),
        ("She ran home. Here is the next paragraph: He", "She ran home."),
        ("She ran home. The next chapter tells more.", "She ran home. The next"),
        ("She ran home. The final sentence is the turning point.", "She ran home. The"),
        ("She ran home and told them the story.", "She ran home and told them the story."),
        ("He wrote 5 letters in 2 days.", "He wrote 5 letters in 2 days."),
        ("She had one rule: never run.", "She had one rule: never run."),
        ("", ""),
    ],
)
def test_cut_at_break(text: str, kept: str) -> None:
    assert cut_at_break(text) == kept


def test_english_phrases_bind_english_alone() -> None:
    assert cut_at_break("Das war this chapter im Radio.", "de") == "Das war this chapter im Radio."


@pytest.mark.parametrize("text", ["Go.", "Go!”", "去吧。", "چرا؟", "「行け。」", "Wait…"])
def test_finished(text: str) -> None:
    assert is_finished(text)


@pytest.mark.parametrize("text", ["Go", "Go,", "and then:", ""])
def test_unfinished(text: str) -> None:
    assert not is_finished(text)


def test_open_quote() -> None:
    assert has_open_quote('He said, "Go.')
    assert has_open_quote("He said, “Go.")
    assert not has_open_quote('He said, "Go."')
    assert not has_open_quote("He said, “Go.”")


def test_scripts() -> None:
    assert scripts("Anna, 42!") == {"LATIN"}
    assert scripts("Анна and 猫カフェー") == {"CYRILLIC", "LATIN", "CJK"}
    assert scripts("5 µm, 3ª") == {"LATIN"}


def test_first_person_is_told_outside_quotations() -> None:
    assert is_first_person("I walked to the mill and my hands were cold.")
    assert not is_first_person('"I am cold," she said, and walked on to the mill.')
    assert not is_first_person("She walked to the mill.")


def test_second_person_is_told_outside_quotations() -> None:
    assert is_second_person("You walk to the mill.")
    assert not is_second_person('"You are late," she said.')


def test_first_person_of_a_language_without_a_list_is_unknown() -> None:
    assert not is_first_person("Ich ging zur Mühle, und ich fror.", "de")
