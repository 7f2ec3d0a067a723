import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.memory.lore_keys import KeyIndex, plain_key


def holds(key: str, text: str, *, case: bool = False, whole: bool = True) -> bool:
    wanted = plain_key(key, case_sensitive=case, whole_words=whole)
    assert wanted is not None
    return list(KeyIndex([wanted]).found(text)) == [wanted]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("king", "Long live the King!", True),
        ("king", "not to my liking", False),
        ("king", "the king’s men", True),
        ("king's", "the king’s men", True),
        ("black cat", "two black cats", True),
        ("black cat", "a black\n  cat", True),
        ("no", "no", True),
        ("x", "an x-ray", True),
        ("x_1", "x_12", False),
        ("straße", "in der STRASSE", True),
        ("рос", "вопрос", False),
        ("कम", "कमी", False),
        ("!stop", "go!stop now", True),
        ("café", "cafe\u0301", True),
    ],
)
def test_a_plain_key_is_a_whole_word_or_a_phrase(key: str, text: str, expected: bool) -> None:
    assert holds(key, text) is expected


@pytest.mark.parametrize(
    ("key", "text"),
    [("龍", "青龍山へ"), ("東京", "東京都に住む"), ("서울", "서울에서 왔다"), ("ไทย", "ประเทศไทยงาม")],
)
def test_scripts_without_blanks_need_no_boundary(key: str, text: str) -> None:
    assert holds(key, text)


def test_letter_case_and_whole_words_can_be_chosen() -> None:
    assert not holds("Rose", "a rose", case=True)
    assert holds("Rose", "a Rose", case=True)
    assert holds("king", "liking", whole=False)


def test_a_key_of_nothing_is_none() -> None:
    assert plain_key(" \n", case_sensitive=False, whole_words=True) is None


LETTERS = st.text("ab c龍", max_size=12)


@settings(max_examples=150)
@given(st.lists(LETTERS, max_size=12), LETTERS, st.booleans())
def test_many_keys_are_found_as_each_alone(keys: list[str], text: str, whole: bool) -> None:
    plain = (plain_key(key, case_sensitive=False, whole_words=whole) for key in keys)
    wanted = [key for key in plain if key is not None]
    alone = {key for key in wanted if list(KeyIndex([key]).found(text))}
    assert set(KeyIndex(wanted).found(text)) == alone
    if not whole:
        assert alone == {key for key in wanted if key.text in " ".join(text.split())}
