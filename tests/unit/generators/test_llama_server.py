import builtins
import ctypes
import sys
import threading
from typing import Any

import pytest

from storyloom.generators import llama_server
from storyloom.generators.llama_server import Room, _as_error
from storyloom.memory.errors import ModelFailed, ModelUnavailable, UnsupportedRequest


def never() -> bool:
    return False


def test_room_is_given_and_given_back() -> None:
    room = Room(slots=1, tokens=100)
    for _ in range(3):
        with room.hold(100, never) as held:
            assert held


def test_room_is_given_back_after_an_error() -> None:
    room = Room(slots=1, tokens=100)
    with pytest.raises(ValueError, match="oops"), room.hold(60, never):
        raise ValueError("oops")
    with room.hold(100, never) as held:
        assert held


@pytest.mark.parametrize(("slots", "tokens"), [(1, 1000), (9, 100)])
def test_who_finds_no_room_waits_until_stopped(slots: int, tokens: int) -> None:
    room = Room(slots=slots, tokens=tokens)
    asked = iter([False, False, True])
    with room.hold(60, never):
        with room.hold(60, lambda: next(asked)) as held:
            assert not held
        # Nothing was given back that wasn't held.
        with room.hold(60, lambda: True) as held:
            assert not held


def test_who_waits_goes_on_when_room_is_given_back() -> None:
    room = Room(slots=1, tokens=100)
    went_on = threading.Event()

    def wait() -> None:
        with room.hold(100, never):
            went_on.set()

    with room.hold(1, never):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not went_on.is_set()
    waiting.join()
    assert went_on.is_set()


def test_a_refusal_is_told_apart_from_a_failure() -> None:
    refusal = _as_error({"type": "invalid_request_error", "message": "no such sampler."})
    assert isinstance(refusal, UnsupportedRequest)
    assert "no such sampler. Change" in str(refusal)
    assert isinstance(_as_error({"type": "server_error", "message": "out of cells"}), ModelFailed)
    assert isinstance(_as_error({}), ModelFailed)


@pytest.fixture
def broken_import(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets ``import xllamacpp`` fail with these reasons, one after the other, and then succeed."""
    reasons: list[str] = []
    real = builtins.__import__

    def broken(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "xllamacpp" and reasons:
            raise ImportError(reasons.pop(0))
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    return reasons


def test_torch_s_openmp_serves_where_the_system_has_none(
    broken_import: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: loaded.append(path))  # noqa: ARG005
    broken_import.append("libgomp.so.1: cannot open shared object file")
    engine = llama_server._import_engine()
    assert engine is sys.modules["xllamacpp"]
    assert len(loaded) == 1
    assert loaded[0].endswith("libgomp.so.1")


@pytest.mark.parametrize(
    "reasons", [["No module named 'xllamacpp'"], ["libgomp.so.1: cannot open", "libgomp.so.1: cannot open"]]
)
def test_a_missing_engine_says_what_to_install(
    broken_import: list[str], reasons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: None)  # noqa: ARG005
    broken_import.extend(reasons)
    with pytest.raises(ModelUnavailable, match="pip install xllamacpp"):
        llama_server._import_engine()
