"""Names ``Sampling``'s fields as the servers do, and says which server has which.

A field that was not asked for is switched off by its neutral value: servers have defaults of their own,
and a sampler that nobody asked for must not draw.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from storyloom.memory.errors import UnsupportedRequest
from storyloom.memory.generation import Sampling

_STANDARD: Mapping[str, tuple[str, Any]] = {"temperature": ("temperature", 1.0), "top_p": ("top_p", 1.0)}

# https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html, "Extra parameters"
_VLLM: Mapping[str, tuple[str, Any]] = {
    **_STANDARD,
    "top_k": ("top_k", -1),
    "min_p": ("min_p", 0.0),
    "repetition_penalty": ("repetition_penalty", 1.0),
}

# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, "POST /completion"
_LLAMA_SERVER: Mapping[str, tuple[str, Any]] = {
    **_STANDARD,
    "top_k": ("top_k", 0),
    "min_p": ("min_p", 0.0),
    "typical_p": ("typical_p", 1.0),
    "repetition_penalty": ("repeat_penalty", 1.0),
    "repetition_window": ("repeat_last_n", None),
    "dry_multiplier": ("dry_multiplier", 0.0),
    "dry_base": ("dry_base", None),
    "dry_allowed_length": ("dry_allowed_length", None),
    "dry_window": ("dry_penalty_last_n", None),
    "dry_breakers": ("dry_sequence_breakers", None),
    "xtc_probability": ("xtc_probability", 0.0),
    "xtc_threshold": ("xtc_threshold", None),
    "mirostat": ("mirostat", 0),
    "mirostat_tau": ("mirostat_tau", None),
    "mirostat_eta": ("mirostat_eta", None),
}

# Samplers that we don't have, and that a server may have switched on.
_ALWAYS_OFF = {"dynatemp_range": 0.0, "top_n_sigma": -1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
_BESIDE_MIROSTAT = {"temperature", "mirostat", "mirostat_tau", "mirostat_eta"}
# llama-server takes no empty list of breakers; no text holds this character.
_NO_BREAKER = "\uf8ff"

_BY_KIND = {"llama.cpp": _LLAMA_SERVER, "vllm": _VLLM, "other": _STANDARD}


def samplers(kind: str) -> frozenset[str]:
    """The fields of ``Sampling`` that a kind of server has."""
    return frozenset(_BY_KIND[kind])


def parameters(sampling: Sampling, kind: str, *, model: str, context_tokens: int) -> dict[str, Any]:
    """What goes into the request's body.

    A repetition penalty or DRY without a window looks back over the whole context.

    Raises:
        UnsupportedRequest: the kind of server lacks a sampler that is asked for.
    """
    known = _BY_KIND[kind]
    asked = {field.name for field in fields(sampling) if getattr(sampling, field.name) is not None}
    if missing := sorted(asked - set(known)):
        raise UnsupportedRequest(
            f"The server of {model} has no {', '.join(missing)}. Leave that out, or use a server that has "
            "it: llama-server knows all samplers."
        )
    if sampling.mirostat and (extra := sorted(asked - _BESIDE_MIROSTAT)):
        raise UnsupportedRequest(
            f"The server of {model} runs mirostat alone, beside temperature: {', '.join(extra)} would be "
            "ignored. Drop either."
        )
    body: dict[str, Any] = {}
    for field, (name, off) in known.items():
        value = getattr(sampling, field)
        if value is None:
            value = off
        if value is not None:
            body[name] = (list(value) or [_NO_BREAKER]) if isinstance(value, tuple) else value
    if kind == "llama.cpp":
        body |= _ALWAYS_OFF
        body.setdefault("repeat_last_n", context_tokens)
        body.setdefault("dry_penalty_last_n", context_tokens)
    return body
