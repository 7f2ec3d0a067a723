"""A request in the words of llama.cpp's server."""

from typing import Any

from storyloom.generators.json_schema import constraint
from storyloom.memory.errors import UnsupportedRequest
from storyloom.memory.generation import Request, Sampling

# The engine takes seeds of 32 bits, and the highest means "draw one".
_SEEDS = 2**32 - 1

# llama.cpp turns several samplers on by itself; None means off, so each is told.
_SAMPLERS_OFF: dict[str, Any] = {
    "temperature": 1.0,
    "dynatemp_range": 0.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "top_n_sigma": -1.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dry_multiplier": 0.0,
    "xtc_probability": 0.0,
    "mirostat": 0,
}
# Our names where llama.cpp's differ.
_SAMPLER_NAMES = {
    "repetition_penalty": "repeat_penalty",
    "repetition_window": "repeat_last_n",
    "dry_window": "dry_penalty_last_n",
    "dry_breakers": "dry_sequence_breakers",
}
_BESIDE_MIROSTAT = {"temperature", "mirostat", "mirostat_tau", "mirostat_eta"}
# The engine takes no empty list of breakers; no text holds this character.
_NO_BREAKER = "\uf8ff"


def completion_body(request: Request) -> dict[str, Any]:
    """The request in llama.cpp's words, all but the prompt.

    Raises:
        UnsupportedRequest: no token asked for, samplers that don't go together, or a malformed schema.
    """
    if request.max_tokens < 1:
        raise UnsupportedRequest(f"{request.max_tokens} tokens were asked for. Ask for at least 1.")
    body = {**_SAMPLERS_OFF, **_samplers(request.sampling), "max_tokens": request.max_tokens}
    if request.seed is not None:
        body["seed"] = request.seed % _SEEDS
    stop = [text for text in request.stop if text]
    if stop:
        body["stop"] = stop
    if request.schema is not None:
        body["json_schema"] = constraint(request.schema)
    return body


def _samplers(sampling: Sampling) -> dict[str, Any]:
    asked = {
        field: value
        for field in Sampling.__dataclass_fields__
        if (value := getattr(sampling, field)) is not None
    }
    if sampling.mirostat and (extra := asked.keys() - _BESIDE_MIROSTAT):
        raise UnsupportedRequest(
            f"llama.cpp's mirostat works alone, beside temperature: {', '.join(sorted(extra))} would be "
            "ignored. Drop either from the profile."
        )
    if "dry_breakers" in asked:
        asked["dry_breakers"] = list(asked["dry_breakers"]) or [_NO_BREAKER]
    return {_SAMPLER_NAMES.get(field, field): value for field, value in asked.items()}
