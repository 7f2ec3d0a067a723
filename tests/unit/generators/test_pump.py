import threading
from collections.abc import Iterator

import pytest

from storyloom.generators.pump import Emit, pump
from storyloom.memory.generation import Piece, Usage

USAGE = Usage(prompt_tokens=1, completion_tokens=2)


def test_pieces_come_in_order() -> None:
    def run(emit: Emit) -> None:
        for letter in "abc":
            assert emit(Piece(letter)) is False
        emit(Piece("", USAGE))

    assert list(pump(run)) == [Piece("a"), Piece("b"), Piece("c"), Piece("", USAGE)]


def test_an_empty_piece_only_asks() -> None:
    def run(emit: Emit) -> None:
        assert emit(Piece("")) is False
        emit(Piece("a"))

    assert list(pump(run)) == [Piece("a")]


def test_an_exception_arrives_after_the_pieces_before_it() -> None:
    def run(emit: Emit) -> None:
        emit(Piece("a"))
        raise RuntimeError("broke off")

    pieces = pump(run)
    assert next(pieces) == Piece("a")
    with pytest.raises(RuntimeError, match="broke off"):
        next(pieces)


def test_nothing_runs_before_the_first_piece_is_asked_for() -> None:
    started = threading.Event()
    pieces = pump(lambda _emit: started.set())
    assert not started.is_set()
    assert list(pieces) == []
    assert started.is_set()


def _endless(ended: threading.Event) -> Iterator[Piece]:
    def run(emit: Emit) -> None:
        try:
            while not emit(Piece("a")):
                pass
        finally:
            ended.set()

    return pump(run)


def test_closing_stops_the_engine_and_waits_for_it() -> None:
    ended = threading.Event()
    pieces = _endless(ended)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert ended.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "storyloom-engine"]


def test_an_exception_of_the_reader_stops_the_engine() -> None:
    ended = threading.Event()
    pieces = _endless(ended)

    next(pieces)
    with pytest.raises(KeyboardInterrupt):
        pieces.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert ended.is_set()


def test_an_exception_after_closing_is_nobody_s_business() -> None:
    def run(emit: Emit) -> None:
        while not emit(Piece("a")):
            pass
        raise RuntimeError("stopped in the middle")

    pieces = pump(run)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert list(pieces) == []


def test_a_slow_reader_holds_the_engine_back() -> None:
    emitted = 0

    def run(emit: Emit) -> None:
        nonlocal emitted
        while not emit(Piece("a")):
            emitted += 1

    pieces = pump(run)
    read = sum(1 for _ in zip(range(1000), pieces, strict=False))
    assert read == 1000
    assert emitted < 1000 + 1000
