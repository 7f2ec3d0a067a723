"""Transformers' own hybrids with our scan: they say what they say without it, and write."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.bamba import modeling_bamba

from storyloom.generators.hugging_face import HuggingFaceModel
from storyloom.generators.longcontext.mamba_mixers import REPLACED, use_our_scan
from storyloom.kernels.ssd import ssd, ssd_step
from storyloom.memory.generation import Request, Sampling, collect

pytestmark = pytest.mark.skipif(
    not hasattr(modeling_bamba, REPLACED[0]),
    reason="older mixers are built otherwise",
)

_SCAN = "storyloom.generators.longcontext.mamba_state.ssd"
_STEP = "storyloom.generators.longcontext.mamba_state.ssd_step"
_PROMPT = "The lamp burned, and the keeper"
_VOCABULARY = 61
_SHARED: dict[str, Any] = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
_ATTENTION: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}
_MAMBA: dict[str, Any] = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_state": 8,
    "mamba_n_groups": 2,
    "mamba_chunk_size": 5,
}
HYBRIDS: dict[str, dict[str, Any]] = {
    "bamba": {**_ATTENTION, **_MAMBA, "attn_layer_indices": [1]},
    "falcon_h1": {**_ATTENTION, **_MAMBA, "mamba_d_ssm": 64},
    "granitemoehybrid": {
        **_ATTENTION,
        **_MAMBA,
        "layer_types": ["mamba", "attention", "mamba"],
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "shared_intermediate_size": 32,
    },
    "zamba2": {
        **_ATTENTION,
        "mamba_d_state": 8,
        "mamba_ngroups": 2,
        "n_mamba_heads": 4,
        "chunk_size": 5,
        "layers_block_type": ["mamba", "hybrid", "mamba"],
        "num_mem_blocks": 1,
        "adapter_rank": 4,
        "num_key_value_heads": 4,
    },
    "nemotron_h": {
        **_ATTENTION,
        "head_dim": 8,
        "layers_block_type": ["linear_attention", "full_attention", "linear_attention"],
        "ssm_state_size": 8,
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "n_groups": 2,
        "chunk_size": 5,
    },
    "mamba2": {"state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 2, "chunk_size": 5},
}
JAMBA: dict[str, Any] = {
    **_ATTENTION,
    "mamba_d_state": 8,
    "mamba_dt_rank": 4,
    "num_experts": 2,
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "use_mamba_kernels": False,
}


def tiny(kind: str, fields: dict[str, Any]) -> Any:
    """A random model of a kind, in float32."""
    config = AutoConfig.for_model(kind, **{**_SHARED, **fields})
    with torch.random.fork_rng():
        torch.manual_seed(4)
        kind_of_model: Any = AutoModelForCausalLM
        return kind_of_model.from_config(config).eval()


def tokens(rows: int, length: int) -> Tensor:
    return torch.randint(1, _VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(3))


def said(model: Any) -> list[Tensor]:
    """At once, in pieces with a cache, padded at the left, and written."""
    ids = tokens(2, 13)
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        padded = model(ids, attention_mask=mask, position_ids=positions).logits
        first = model(ids[:, :8], use_cache=True)
        pieces = [first.logits]
        cache = {name: getattr(first, name) for name in ("past_key_values", "cache_params") if name in first}
        # Bamba counts positions from 0 in every call unless it is told them.
        pieces += [
            model(ids[:, at : at + 1], position_ids=torch.full((2, 1), at), use_cache=True, **cache).logits
            for at in range(8, 13)
        ]
        return [
            model(ids).logits,
            torch.cat(pieces, dim=1),
            torch.where(mask[..., None] == 1, padded, 0),
            model.generate(ids, attention_mask=mask, max_new_tokens=8, do_sample=False),
        ]


@pytest.fixture(autouse=True)
def theirs() -> Iterator[None]:
    """Every module has its own functions again after a test."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in HYBRIDS:
            module = importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
            for name in REPLACED:
                patch.setattr(module, name, getattr(module, name))
        yield


@pytest.mark.parametrize("kind", HYBRIDS)
def test_it_says_the_same_with_our_scan(kind: str) -> None:
    model = tiny(kind, HYBRIDS[kind])
    expected = said(model)
    assert use_our_scan(model)
    with mock.patch(_SCAN, side_effect=ssd) as scans, mock.patch(_STEP, side_effect=ssd_step) as steps:
        found = said(model)
    assert scans.call_count > 0
    assert steps.call_count > 0
    for ours, other in zip(found[:3], expected[:3], strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4)
    assert torch.equal(found[3], expected[3])


def test_where_mamba_ssm_is_installed_its_kernels_stay() -> None:
    model = tiny("mamba2", HYBRIDS["mamba2"])
    module = sys.modules[type(model).__module__]
    before: Any = module.mamba2_chunk_scan
    with mock.patch("importlib.util.find_spec", return_value=object()):
        assert not use_our_scan(model)
    assert module.mamba2_chunk_scan is before


def test_our_scan_has_gradients() -> None:
    model = tiny("bamba", HYBRIDS["bamba"])
    ids = tokens(2, 13)

    def gradients() -> dict[str, Tensor]:
        model.zero_grad()
        model(ids, labels=ids).loss.backward()
        return {name: weight.grad.clone() for name, weight in model.named_parameters()}

    expected = gradients()
    assert use_our_scan(model)
    found = gradients()
    assert found["model.layers.0.mamba.A_log"].abs().sum() > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-4)


def test_a_jamba_and_a_llama_stay_as_they_are() -> None:
    assert not use_our_scan(tiny("jamba", JAMBA))
    assert not use_our_scan(tiny("llama", _ATTENTION))


@pytest.mark.parametrize(("kind", "fields"), [*HYBRIDS.items(), ("jamba", JAMBA)], ids=[*HYBRIDS, "jamba"])
def test_it_writes(kind: str, fields: dict[str, Any], tokenizer: Any, tmp_path: Path) -> None:
    """What transformers' own generate() says, through the writer."""
    ids = {"vocab_size": len(tokenizer), "eos_token_id": 0, "pad_token_id": 0}
    made = tiny(kind, {**fields, **ids})
    made.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    prompt = tokenizer(_PROMPT, return_tensors="pt").input_ids
    written = made.generate(prompt, max_new_tokens=12, do_sample=False)[0, prompt.shape[1] :]
    expected = tokenizer.decode(written, skip_special_tokens=True)

    model = HuggingFaceModel(str(tmp_path), name=f"hf:{kind}", threads=1)
    request = Request(prompt=_PROMPT, max_tokens=12, sampling=Sampling(temperature=0.0))
    with mock.patch(_SCAN, side_effect=ssd) as scans:
        reply = collect(model.stream(request))
    model.close()
    assert reply.text == expected
    assert expected
    assert (scans.call_count > 0) == (kind != "jamba")
