import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.memory.text import clean, count_words, joined, ngrams, sentences, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don’t stop, Anna!", ["don't", "stop", "anna"]),
        ("3 ships", ["3", "ships"]),
        ("snake_case", ["snake", "case"]),
        ("Ελλάδα μου", ["ελλάδα", "μου"]),
        ("猫は黒い", ["猫", "は", "黒", "い"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("…—!", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert count_words(text) == len(expected)


def test_sentences_keep_abbreviations_and_quotations_whole() -> None:
    assert sentences('Dr. Reed said, "Wait. Not yet." Nobody moved.') == [
        'Dr. Reed said, "Wait. Not yet."',
        "Nobody moved.",
    ]


def test_sentences_of_another_language() -> None:
    assert sentences("她走了。门开着。", "zh") == ["她走了。", "门开着。"]


def test_sentences_of_nothing() -> None:
    assert sentences("  \n ") == []


def test_ngrams() -> None:
    assert list(ngrams(["a", "b", "c"], 2)) == [("a", "b"), ("b", "c")]
    assert list(ngrams(["a"], 2)) == []


def test_clean_takes_control_characters_and_keeps_marks_of_direction() -> None:
    assert clean("a\x00b\x1b[31m\r\nc\rd\te") == "ab[31m\nc\nd\te"
    assert clean("\u200fשלום\u200d") == "\u200fשלום\u200d"
    assert clean("\ud800x") == "x"


def test_clean_composes() -> None:
    assert clean("e\u0301") == "é"


def test_joined_leaves_empty_parts_out() -> None:
    assert joined(["one", "", "two"]) == "one\n\ntwo"


@given(
    st.text(
        alphabet=st.one_of(
            st.sampled_from('AB.!? \n\u00a0\u202f\u2028\u3000"“”。他é'), st.characters(codec="utf-8")
        ),
        max_size=60,
    )
)
def test_sentences_lose_no_letter_whatever_the_blanks(text: str) -> None:
    """A capital before a blank that isn't ASCII and a full stop made the splitter break off."""
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
    assert sentences("A\u00a0. B\u3000.")
