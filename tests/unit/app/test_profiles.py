from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from storyloom.app.profiles import PROFILES, profile_for
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.generation import Piece, Prompt, Request
from storyloom.memory.ports import TextModel


@dataclass(frozen=True)
class Sized:
    parameters: int | None
    features: frozenset[str] = frozenset({"schema", "prefill"})
    name: str = "sized"
    context_tokens: int = 4096

    def stream(self, _request: Request) -> Iterator[Piece]:
        return iter(())

    def count_tokens(self, prompt: Prompt) -> int:
        return len(str(prompt))

    def close(self) -> None:
        pass


def model(parameters: int | None, features: frozenset[str] = frozenset({"schema", "prefill"})) -> TextModel:
    return Sized(parameters, features)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [(135_000_000, "small"), (3_000_000_000, "medium"), (14_000_000_000, "large"), (None, "large")],
)
def test_the_profile_fits_the_size(parameters: int | None, expected: str) -> None:
    assert profile_for(model(parameters)).name == expected


@pytest.mark.parametrize("parameters", [14_000_000_000, None])
def test_without_schemas_no_single_call(parameters: int | None) -> None:
    assert not profile_for(model(parameters, frozenset())).one_call


@pytest.mark.parametrize("name", PROFILES)
def test_a_named_profile_wins(name: str) -> None:
    assert profile_for(model(135_000_000), name).name == name


def test_an_unknown_name_is_told_with_the_names_there_are() -> None:
    with pytest.raises(InvalidSetting, match=r"'huge'.*small, medium, large"):
        profile_for(model(None), "huge")
