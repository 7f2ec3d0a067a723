"""Stop strings end the text, however it is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.generators.stops import StopFilter


def run(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    watch = StopFilter(stops)
    shown = [watch.feed(piece) for piece in pieces]
    return [*shown, watch.flush()], watch.stopped


@pytest.mark.parametrize(
    ("pieces", "stops", "text", "stopped"),
    [
        (["a lamp", "\n", "\nend"], ["\n\n"], "a lamp", True),
        (["a lamp\n", "burns"], ["\n\n"], "a lamp\nburns", False),
        (["a lamp\n"], ["\n\n"], "a lamp\n", False),
        (["one two three"], ["three", "two"], "one ", True),
        (["text"], [""], "text", False),
        (["aab"], ["ab"], "a", True),
        ([], ["x"], "", False),
    ],
)
def test_text_ends_at_the_first_stop(pieces: list[str], stops: list[str], text: str, stopped: bool) -> None:
    shown, ended = run(pieces, stops)
    assert ("".join(shown), ended) == (text, stopped)


def test_nothing_is_shown_after_the_stop() -> None:
    watch = StopFilter(["."])
    assert watch.feed("a. b") == "a"
    assert watch.feed("c") == ""
    assert watch.flush() == ""


@given(st.text("ab\n", max_size=30), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3))
def test_pieces_make_no_difference_and_no_part_of_a_stop_is_shown(text: str, stops: list[str]) -> None:
    whole, stopped = run([text], stops)
    letters, stopped_too = run(list(text), stops)
    shown = "".join(letters)
    assert (shown, stopped_too) == ("".join(whole), stopped)
    assert text.startswith(shown)
    assert all(stop not in shown for stop in stops)
    assert stopped == any(stop in text for stop in stops)
    assert stopped or shown == text
