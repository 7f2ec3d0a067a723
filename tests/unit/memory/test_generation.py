from collections.abc import Iterator
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.memory.generation import Message, Piece, Reply, Request, Sampling, Usage, collect

USAGE = Usage(prompt_tokens=3, completion_tokens=2)


def test_a_stream_is_read_to_its_end() -> None:
    assert collect([Piece("The "), Piece("fox."), Piece("", USAGE)]) == Reply("The fox.", USAGE)


def test_the_last_usage_counts_and_its_piece_may_have_text() -> None:
    early = Usage(prompt_tokens=3, completion_tokens=1)
    assert collect([Piece("The ", early), Piece("fox.", USAGE)]) == Reply("The fox.", USAGE)


def test_a_stream_without_usage_broke_its_contract() -> None:
    with pytest.raises(ValueError, match="without usage"):
        collect([Piece("The fox.")])


def test_an_empty_answer_is_an_answer() -> None:
    assert collect([Piece("", USAGE)]).text == ""


def test_an_error_in_the_stream_is_passed_on() -> None:
    def broken() -> Iterator[Piece]:
        yield Piece("The ")
        raise RuntimeError("broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        collect(broken())


@given(st.lists(st.text()))
def test_no_text_is_lost_or_reordered(texts: list[str]) -> None:
    pieces = [*(Piece(text) for text in texts), Piece("", USAGE)]
    assert collect(pieces).text == "".join(texts)


def test_no_sampler_is_on_unless_asked_for() -> None:
    sampling = Sampling()
    assert {name: value for name in Sampling.__dataclass_fields__ if (value := getattr(sampling, name))} == {}
    assert Request(prompt="x", max_tokens=1).sampling == sampling


def test_prompts_can_be_compared_and_kept_as_keys() -> None:
    chat = (Message("system", "a"), Message("user", "b"))
    assert {chat: 1}[Message("system", "a"), Message("user", "b")] == 1
    with pytest.raises(FrozenInstanceError):
        chat[0].content = "c"  # type: ignore[misc]
