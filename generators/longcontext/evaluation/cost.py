"""What a token costs against the length of the text before it: time, and bytes of the cache.

The models take turns, at every length and in every repeat, so that whatever else the machine does meets all
of them alike. Full attention is transformers' own, whose cache copies all keys for every token.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from storyloom.generators.longcontext.evaluation.reading import AT_ONCE, Tell, cache_for, silent
from storyloom.generators.longcontext.evaluation.synthetic import synthetic_cache

_LEAST = 3  # tokens that are timed however long they take


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one model costs at one length.

    Attributes:
        model: its name.
        length: tokens before.
        synthetic: whether the cache was filled without reading them; see ``synthetic``.
        seconds_a_token: of decoding: the median over repeats of the mean.
        tokens_a_second: its inverse.
        prefill_seconds: of reading all before; None where that wasn't done.
        attention_bytes: attention's keys and values.
        memory_bytes: the memory, which a story keeps.
    """

    model: str
    length: int
    synthetic: bool
    seconds_a_token: float
    tokens_a_second: float
    prefill_seconds: float | None
    attention_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What was measured.

    Attributes:
        device: what it was measured on.
        threads: of the processor.
        dtype: of the models.
        repeats: how many there were.
        tokens: how many were decoded at most each time.
        costs: of each model and length.
        ratios: a token's time at the greatest length over that at the least, by model: the median over
            repeats.
    """

    device: str
    threads: int
    dtype: str
    repeats: int
    tokens: int
    costs: tuple[Cost, ...]
    ratios: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        lengths = [cost.length for cost in self.costs]
        return {
            "device": self.device,
            "threads": self.threads,
            "dtype": self.dtype,
            "repeats": self.repeats,
            "tokens": self.tokens,
            "costs": [asdict(cost) for cost in self.costs],
            "ratio": {"from": min(lengths), "to": max(lengths), "by_model": self.ratios},
        }


@dataclass(frozen=True, slots=True)
class _Once:
    """One repeat of one model at one length."""

    seconds: float
    prefill: float | None
    attention: int
    memory: int


def measure_cost(
    models: Mapping[str, Any],
    *,
    lengths: Sequence[int],
    synthetic_above: int | None,
    tokens: int = 64,
    repeats: int = 3,
    patience: float = 10.0,
    seed: int = 0,
    tell: Tell = silent,
) -> Costs:
    """Measure the time of a token and the bytes of the cache.

    Args:
        models: by name, in evaluation mode, on one device.
        lengths: tokens before.
        synthetic_above: length above which caches are filled without reading; None for none.
        tokens: to decode each time. A memory's work comes in chunks: give no fewer than its chunk has.
        repeats: of everything.
        patience: seconds after which a slow model's decoding ends before all its tokens are.
        seed: what the text is drawn from.
        tell: hears of every measurement.

    Raises:
        UnsupportedRequest: a model's cache can't be filled without reading.
    """
    found: dict[tuple[str, int], list[_Once]] = {}
    total, done = repeats * len(lengths) * len(models), 0
    for _ in range(repeats):
        for length in lengths:
            synthetic = synthetic_above is not None and length > synthetic_above
            for name, model in models.items():
                tell("measurements of cost", done, total)
                once = _measure(model, length, tokens, patience, seed, synthetic=synthetic)
                found.setdefault((name, length), []).append(once)
                done += 1
    tell("measurements of cost", total, total)
    one = next(iter(models.values()))
    return Costs(
        device=torch.cuda.get_device_name(one.device) if one.device.type == "cuda" else one.device.type,
        threads=torch.get_num_threads(),
        dtype=str(one.dtype).removeprefix("torch."),
        repeats=repeats,
        tokens=tokens,
        costs=tuple(
            _cost(name, length, times, synthetic=synthetic_above is not None and length > synthetic_above)
            for (name, length), times in found.items()
        ),
        ratios={name: _ratio(found, name, lengths) for name in models},
    )


def cache_bytes(cache: Cache) -> tuple[int, int]:
    """Bytes of attention's keys and values, and of the memory."""
    attention = memory = 0
    layers: list[Any] = cache.layers
    for layer in layers:
        attention += sum(_size(held) for held in (layer.keys, layer.values) if held is not None)
        cells = getattr(layer, "cells", None)
        memory += 0 if cells is None else sum(map(_size, cells.tensors.values()))
    return attention, memory


@torch.inference_mode()
def _measure(model: Any, length: int, tokens: int, patience: float, seed: int, *, synthetic: bool) -> _Once:
    ids = torch.randint(
        model.config.vocab_size, (1, length + tokens + 1), generator=torch.Generator().manual_seed(seed)
    ).to(model.device)
    prefill = None
    if synthetic:
        cache = synthetic_cache(model, length, seed=seed)
    else:
        cache = cache_for(model)
        start = _now(model)
        for part in ids[:, :length].split(AT_ONCE, dim=1):
            model(input_ids=part, past_key_values=cache, use_cache=True, logits_to_keep=1)
        prefill = _now(model) - start
    attention, memory = cache_bytes(cache)
    return _Once(_decode(model, cache, ids[:, length:], patience), prefill, attention, memory)


def _decode(model: Any, cache: Cache, ids: Tensor, patience: float) -> float:
    """Mean seconds of a token; the first, which may make room for many, isn't counted."""
    times: list[float] = []
    for part in ids.split(1, dim=1):
        start = _now(model)
        model(input_ids=part, past_key_values=cache, use_cache=True)
        times.append(_now(model) - start)
        if len(times) > _LEAST and sum(times) > patience:
            break
    counted = times[1:]
    return sum(counted) / len(counted)


def _cost(name: str, length: int, times: Sequence[_Once], *, synthetic: bool) -> Cost:
    seconds = median(one.seconds for one in times)
    prefills = [one.prefill for one in times if one.prefill is not None]
    return Cost(
        model=name,
        length=length,
        synthetic=synthetic,
        seconds_a_token=seconds,
        tokens_a_second=1 / seconds,
        prefill_seconds=median(prefills) if prefills else None,
        attention_bytes=times[0].attention,
        memory_bytes=times[0].memory,
    )


def _ratio(found: Mapping[tuple[str, int], Sequence[_Once]], name: str, lengths: Sequence[int]) -> float:
    least, most = found[name, min(lengths)], found[name, max(lengths)]
    return median(b.seconds / a.seconds for a, b in zip(least, most, strict=True))


def _now(model: Any) -> float:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter()


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
