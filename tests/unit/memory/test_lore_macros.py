import re

from storyloom.memory.lore_macros import with_names


def test_the_two_names_are_put_in_whatever_their_case() -> None:
    text = "{{char}} distrusts {{ USER }}; {{Char}} waits."
    assert with_names(text, {"char": "Mara", "user": "Tom"}) == "Mara distrusts Tom; Mara waits."


def test_everything_else_stays_as_it_is() -> None:
    text = "{{random::a::b}} {% for x in y %} {{ user.__class__ }} {{char}"
    assert with_names(text, {"char": "Mara", "user": "Tom"}) == text


def test_a_name_is_never_read_again() -> None:
    assert with_names("{{char}}", {"char": "{{user}}", "user": "Tom"}) == "{{user}}"


def test_an_unknown_name_leaves_its_macro() -> None:
    assert with_names("{{char}} and {{user}}", {"char": "Mara"}) == "Mara and {{user}}"


def test_a_name_in_an_expression_is_taken_letter_by_letter() -> None:
    assert with_names("^{{char}}$", {"char": "A.B"}, quote=re.escape) == r"^A\.B$"
