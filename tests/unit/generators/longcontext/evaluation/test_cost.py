"""Cost: a synthetic cache is as large as a read one, and sizes are flat or grow as they must."""

import json
from typing import Any

import pytest
import torch
from transformers.cache_utils import Cache

from storyloom.generators.longcontext.baselines import plain
from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.evaluation.cost import cache_bytes, measure_cost
from storyloom.generators.longcontext.evaluation.reading import cache_for
from storyloom.generators.longcontext.evaluation.synthetic import synthetic_cache
from storyloom.generators.longcontext.families import FAMILIES
from storyloom.memory.errors import UnsupportedRequest
from tests.unit.generators.longcontext.proof import llama, open_gates, tokens

LENGTH, PIECE = 2304, 128
OPTIONS: dict[str, dict[str, Any]] = {
    "landmark": {"landmark_block": 16, "landmark_top_k": 2, "landmark_local": 2},
    "landmark with few blocks": {
        "landmark_block": 16,
        "landmark_top_k": 2,
        "landmark_local": 2,
        "landmark_most_blocks": 8,
    },
    "hybrid without attention": {"hybrid_mode": "replace", "sliding_window": 32},
}


def model(name: str) -> Any:
    """Any family by its name, with a window where it takes one; or a LLaMA, whole or windowed."""
    if name == "full":
        return llama(torch.float32)
    if name == "window":
        return plain(llama(torch.float32), 32)
    made = converted(llama(torch.float32), name.split()[0], OPTIONS.get(name, {"sliding_window": 32}), seed=1)
    open_gates(made)
    return made


def shapes(cache: Cache) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for held in cache.layers:
        layer: Any = held
        cells = getattr(layer, "cells", None)
        found.append(
            {
                "kind": type(layer),
                "length": layer.get_seq_length(),
                "keys": layer.keys.shape,
                "values": layer.values.shape,
                "cells": None if cells is None else {n: (t.shape, t.dtype) for n, t in cells.tensors.items()},
            }
        )
    return found


@pytest.mark.parametrize(
    "name", [*FAMILIES, *(name for name in OPTIONS if name not in FAMILIES), "full", "window"]
)
@torch.inference_mode()
def test_a_synthetic_cache_is_as_a_read_one(name: str) -> None:
    made = model(name)
    read = cache_for(made)
    ids: Any = tokens(1, LENGTH)
    for part in ids.split(PIECE, 1):
        made.model(input_ids=part, past_key_values=read, use_cache=True)
    filled = synthetic_cache(made, LENGTH, at_once=PIECE)
    assert shapes(filled) == shapes(read)
    assert cache_bytes(filled) == cache_bytes(read)
    # And it can be gone on with.
    said = made(input_ids=tokens(1, 3), past_key_values=filled).logits
    made(input_ids=tokens(1, 3), past_key_values=read)
    assert torch.isfinite(said).all()
    assert [one["length"] for one in shapes(filled)] == [one["length"] for one in shapes(read)]


@torch.inference_mode()
def test_what_was_put_in_is_attended_to() -> None:
    made = model("landmark")
    said = [
        made(input_ids=tokens(1, 3), past_key_values=synthetic_cache(made, 1500, seed=seed)).logits
        for seed in (1, 2)
    ]
    assert (said[0] - said[1]).abs().max() > 1e-3


def test_bytes_are_flat_for_a_memory_and_grow_for_full_attention() -> None:
    made = model("titans")
    models = {"titans": made, "full": plain(made), "window": plain(made, 32)}
    found = measure_cost(models, lengths=[64, 128, 2048], synthetic_above=128, tokens=4, repeats=2)
    sizes = {
        name: [(cost.attention_bytes, cost.memory_bytes) for cost in found.costs if cost.model == name]
        for name in models
    }
    assert len(set(sizes["titans"])) == len(set(sizes["window"])) == 1
    assert sizes["titans"][0][1] > 0
    assert sizes["window"][0] == (sizes["titans"][0][0], 0)
    each = 3 * 2 * 2 * 8 * 4  # layers, keys and values, heads, width, bytes
    assert sizes["full"] == [(length * each, 0) for length in (64, 128, 2048)]


def test_what_is_told_is_what_was_measured() -> None:
    heard = []
    found = measure_cost(
        {"one": model("full")},
        lengths=[32, 64],
        synthetic_above=32,
        tokens=6,
        repeats=3,
        tell=lambda what, done, total: heard.append((what, done, total)),
    )
    document = json.loads(json.dumps(found.as_json()))
    assert [cost["synthetic"] for cost in document["costs"]] == [False, True]
    assert [cost["prefill_seconds"] is None for cost in document["costs"]] == [False, True]
    assert document["ratio"]["from"] == 32
    assert document["ratio"]["to"] == 64
    assert document["ratio"]["by_model"]["one"] > 0
    for cost in found.costs:
        assert cost.tokens_a_second == pytest.approx(1 / cost.seconds_a_token)
    assert heard == [("measurements of cost", done, 6) for done in range(7)]


def test_a_slow_model_is_not_waited_for() -> None:
    made = model("full")
    calls: list[int] = []
    made.register_forward_pre_hook(lambda *_given: calls.append(1))
    measure_cost({"one": made}, lengths=[8], synthetic_above=None, tokens=50, repeats=1, patience=0)
    assert len(calls) == 1 + 4  # to read, and to write: one that isn't counted, three that are


def test_a_memory_that_grows_is_not_made_up() -> None:
    made = model("titans")
    branch = made.model.layers[0].branch
    memory = branch.memory.forward

    def growing(hidden: Any, rows: Any, cells: Any) -> Any:
        before = cells.get("kept", hidden.new_zeros(len(hidden), 0))
        cells.tensors["kept"] = torch.cat([before, hidden[..., 0]], dim=1)
        return memory(hidden, rows, cells)

    branch.memory.forward = growing
    with pytest.raises(UnsupportedRequest, match="grows with the text"):
        synthetic_cache(made, 1100)
