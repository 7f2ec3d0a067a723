"""Every text of the studio is a message, and every message has its translations."""

import ast
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message

from storyloom.ui.studio.languages import ENGLISH, LANGUAGES
from tests import messages

TRANSLATED = [code for code in LANGUAGES if code != ENGLISH]


@pytest.fixture(scope="module")
def used() -> Catalog:
    return messages.used()


def _named(catalog: Catalog) -> dict[str, Message]:
    """Its messages by their English text, the first of two."""
    return {_texts(message.id)[0]: message for message in catalog if message.id}


def _texts(either: object) -> tuple[str, ...]:
    """One text, or as many as there are forms."""
    return tuple(map(str, either)) if isinstance(either, (tuple, list)) else (str(either),)


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_no_message_is_put_together_where_it_is_said() -> None:
    for call in messages.calls():
        for text in messages.message_of(call):
            assert not isinstance(text, (ast.JoinedStr, ast.BinOp)), ast.unparse(call)


def test_what_the_code_says_within_other_texts_is_found(used: Catalog) -> None:
    names = _named(used)
    assert "Your stories" in names  # within an f-string
    assert "{number} entry" in names  # within another message's values
    assert "As the story has it" in names  # of a component
    assert "the summary up to {paragraph}" in names  # of a table
    assert _texts(names["{number} word"].id) == ("{number} word", "{number} words")


def test_a_message_names_its_values(used: Catalog) -> None:
    for text in (text for message in used for text in _texts(message.id)):
        assert all(place.isidentifier() for place in _places(text)), text


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated_and_none_in_vain(code: str, used: Catalog) -> None:
    wanted, there = _named(used), _named(messages.translated(code))
    assert sorted(wanted.keys() - there.keys()) == []
    assert sorted(there.keys() - wanted.keys()) == []
    assert [text for text, message in there.items() if not messages.is_whole(message)] == []
    assert [text for text, message in there.items() if _texts(message.id) != _texts(wanted[text].id)] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_values_of_its_message(code: str) -> None:
    for message in messages.translated(code):
        if message.id and messages.is_whole(message):
            wanted = {frozenset(_places(text)) for text in _texts(message.id)}
            for text in _texts(message.string):
                assert frozenset(_places(text)) in wanted, text
