"""Another RoPE in llama.cpp's words."""

from typing import Any

import pytest

from storyloom.generators.gguf_format import GgufHead
from storyloom.generators.gguf_rope import engine_settings
from storyloom.generators.rope import parse_rope, raised_base
from storyloom.memory.errors import InvalidSetting

LLAMA = {"context_length": 2048, "embedding_length": 96, "attention.head_count": 3, "rope.freq_base": 5e5}


def head(**told: Any) -> GgufHead:
    """A LLaMA's, with other values where some are given; None leaves one out."""
    values = {**LLAMA, **{key.replace("__", "."): value for key, value in told.items()}}
    metadata = {f"llama.{key}": value for key, value in values.items() if value is not None}
    return GgufHead({"general.architecture": "llama", **metadata}, 0, 0)


def settings(rope: str, **told: Any) -> dict[str, Any]:
    return engine_settings(head(**told), parse_rope(rope), "gguf:x")


def test_linear_divides_all_frequencies() -> None:
    assert settings("linear:4") == {"rope_scaling_type": 1, "rope_freq_scale": 0.25}


def test_yarn_is_told_what_was_trained() -> None:
    assert settings("yarn:4") == {"rope_scaling_type": 2, "rope_freq_scale": 0.25, "yarn_orig_ctx": 2048}


def test_the_base_is_raised_for_the_channels_that_are_turned() -> None:
    assert settings("abf:4") == {"rope_freq_base": raised_base(5e5, 4, 32)}
    assert settings("abf:4", attention__key_length=64) == {"rope_freq_base": raised_base(5e5, 4, 64)}
    some = {"attention__key_length": 64, "rope__dimension_count": 16}
    assert settings("abf:4", **some) == {"rope_freq_base": raised_base(5e5, 4, 16)}
    assert settings("abf:4", rope__freq_base=None, rope__dimension_count=16) == {
        "rope_freq_base": raised_base(10_000.0, 4, 16)
    }


@pytest.mark.parametrize("rope", ["dynamic:4", "truncated:4"])
def test_what_llama_cpp_does_not_know_is_refused(rope: str) -> None:
    with pytest.raises(InvalidSetting, match=f"gguf:x can't have {rope}. Set linear, yarn or abf"):
        settings(rope)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"rope__scaling__type": "yarn"}, r"extended RoPE of its own \(yarn\)"),
        ({"rope__freq_base": None}, "tells of no RoPE"),
        ({"context_length": None}, "tells of no RoPE"),
        ({"rope__dimension_count": 2}, "tells of no RoPE"),
    ],
)
def test_a_model_that_cannot_be_changed_is_told(told: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSetting, match=f"gguf:x .*{problem}.*Leave out the rope setting"):
        settings("yarn:4", **told)
