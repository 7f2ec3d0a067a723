"""Another RoPE for a transformers model: its frequencies, and models that read four times their length."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from storyloom.generators.hf_loading import load, load_source
from storyloom.generators.hf_rope import TRUNCATED, context_length, extend, settle, truncated
from storyloom.generators.hugging_face import HuggingFaceModel
from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.families import FAMILIES
from storyloom.generators.longcontext.state import cache_from
from storyloom.generators.rope import Rope, parse_rope
from storyloom.generators.scoring import TransformersScorer
from storyloom.memory.errors import InvalidSetting, PromptTooLong
from storyloom.memory.generation import Request, Sampling, collect
from tests.tiny_model import TEXT
from tests.unit.generators.longcontext import proof
from tests.unit.generators.longcontext.proof import close, logits, open_gates

TRAINED, FACTOR = 12, 4
WAYS = [f"{name}:{FACTOR}" for name in ("linear", "dynamic", "yarn", "abf", "truncated")]
# Small enough that a family's memory, windows and blocks are crossed within the length.
OPTIONS: dict[str, dict[str, Any]] = {
    "landmark": {"landmark_block": 4, "landmark_top_k": 2, "landmark_local": 1},
}


def llama(**fields: Any) -> LlamaForCausalLM:
    """The proof's LLaMA, trained to a short length."""
    return proof.llama(**({"num_hidden_layers": 2, "max_position_embeddings": TRAINED} | fields))


def ids(length: int = TRAINED * FACTOR) -> Tensor:
    return torch.randint(1, proof.VOCABULARY, (1, length), generator=torch.Generator().manual_seed(3))


def extended(way: str, **fields: Any) -> LlamaForCausalLM:
    model = llama(**fields)
    extend(model, parse_rope(way))
    return model


def turned(rotary: Any, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines at positions, [length, width] each."""
    cos, sin = rotary(torch.zeros(1), positions[None])
    return cos[0], sin[0]


def frequencies(model: Any) -> Tensor:
    found: Tensor = model.model.rotary_emb.inv_freq
    return found


def untouched() -> Any:
    return LlamaRotaryEmbedding(llama().config)


# The frequencies.


@pytest.mark.parametrize(
    ("way", "parameters"),
    [
        ("linear:4", {"rope_type": "linear", "factor": 4.0}),
        ("yarn:4", {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": TRAINED}),
    ],
)
def test_linear_and_yarn_turn_as_transformers_own(way: str, parameters: dict[str, Any]) -> None:
    config = LlamaConfig(
        hidden_size=32,
        num_attention_heads=4,
        max_position_embeddings=TRAINED * FACTOR,
        rope_parameters={"rope_theta": 10_000.0, **parameters},
    )
    positions = torch.arange(TRAINED * FACTOR)
    for found, expected in zip(
        turned(extended(way).model.rotary_emb, positions),
        turned(LlamaRotaryEmbedding(config), positions),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_linear_reads_between_the_trained_positions() -> None:
    positions = torch.arange(TRAINED * FACTOR)
    found = turned(extended("linear:4").model.rotary_emb, positions)
    expected = turned(untouched(), positions / FACTOR)
    torch.testing.assert_close(found, expected)


def test_dynamic_leaves_short_texts_alone_and_turns_long_ones_as_transformers_does() -> None:
    model = extended("dynamic:4")
    settle(model, TRAINED)
    torch.testing.assert_close(frequencies(model), untouched().inv_freq)
    for length in (TRAINED + 1, 2 * TRAINED, 4 * TRAINED):
        theirs = LlamaRotaryEmbedding(model.config)
        positions = torch.arange(length)
        settle(model, length)
        torch.testing.assert_close(
            turned(model.model.rotary_emb, positions), turned(theirs, positions), rtol=1e-6, atol=1e-6
        )
        assert (frequencies(model) < untouched().inv_freq).any()


def test_dynamic_is_held_to_one_length_until_it_is_settled_again() -> None:
    model = extended("dynamic:4")
    longest = frequencies(model).clone()
    turned(model.model.rotary_emb, torch.arange(3))
    turned(model.model.rotary_emb, torch.arange(9 * TRAINED))
    assert torch.equal(frequencies(model), longest)
    settle(model, 2 * TRAINED)
    assert not torch.equal(frequencies(model), longest)
    settle(model)
    assert torch.equal(frequencies(model), longest)


def test_a_higher_base_divides_the_slowest_frequency_and_leaves_the_fastest() -> None:
    found, before = frequencies(extended("abf:4")), untouched().inv_freq
    assert found[0] == before[0] == 1
    torch.testing.assert_close(found[-1], before[-1] / FACTOR)
    by_hand = [(10_000 * 4 ** (8 / 6)) ** (-2 * place / 8) for place in range(4)]
    torch.testing.assert_close(found, torch.tensor(by_hand))


def test_the_truncated_basis_is_the_papers() -> None:
    trained = 2048
    b = 2 * math.pi / trained
    a, rho = b / 8, b / 16
    before = [10_000 ** (-2 * place / 128) for place in range(64)]
    expected = [theta if theta >= b else rho if theta >= a else 0.0 for theta in before]
    assert {"kept", "slow", "still"} == {
        "still" if theta == 0 else "slow" if theta == rho else "kept" for theta in expected
    }
    found = truncated(torch.tensor(before, dtype=torch.float64), trained)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=0)


def test_a_model_has_the_truncated_basis_of_its_trained_length() -> None:
    found = frequencies(extended("truncated:4"))
    torch.testing.assert_close(found, truncated(untouched().inv_freq, TRAINED))
    assert found[0] == 1
    assert found[-1] == 0


def test_only_the_channels_that_are_turned_are_counted() -> None:
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}
    model = llama(head_dim=16, rope_parameters=rope)
    extend(model, Rope("truncated", 4))
    assert len(frequencies(model)) == 4
    parameters: Any = model.config.rope_parameters
    assert parameters["partial_rotary_factor"] == 0.5


# Reading.


@pytest.mark.parametrize("way", WAYS)
def test_a_llama_reads_four_times_its_length_in_any_pieces(way: str) -> None:
    model: Any = extended(way)
    assert context_length(model.config) == TRAINED * FACTOR
    with torch.no_grad():
        whole = model(input_ids=ids()).logits
        cache = DynamicCache()
        parts = [
            model(input_ids=part, past_key_values=cache).logits
            for part in (ids()[:, :20], *torch.split(ids()[:, 20:], 1, dim=1))
        ]
        before = llama()(input_ids=ids()).logits
    assert whole.isfinite().all()
    close(torch.cat(parts, dim=1), whole)
    assert (whole - before).abs().max() > 1e-3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_reads_with_every_way(family: str, way: str) -> None:
    model = converted(extended(way), family, OPTIONS.get(family, {}), seed=1)
    settle(model)
    open_gates(model)
    whole = logits(model, ids())
    cache = cache_from(None, model.config)
    parts = [
        logits(model, part, past_key_values=cache) for part in torch.split(ids(), [18, 1, 1, 17, 11], dim=1)
    ]
    assert whole.isfinite().all()
    close(torch.cat(parts, dim=1), whole)
    plain = converted(llama(), family, OPTIONS.get(family, {}), seed=1)
    open_gates(plain)
    assert (whole - logits(plain, ids())).abs().max() > 1e-3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_may_be_extended_when_it_is_loaded(family: str, way: str) -> None:
    before = converted(extended(way), family, OPTIONS.get(family, {}), seed=1)
    settle(before)
    after = converted(llama(), family, OPTIONS.get(family, {}), seed=1)
    extend(after, parse_rope(way))
    assert torch.equal(logits(before, ids()), logits(after, ids()))


# Loading and writing.


def test_the_context_grows_when_it_is_loaded(folder: Path) -> None:
    assert load(str(folder)).trained_context == 512
    for way in WAYS:
        assert load(str(folder), rope=parse_rope(way)).trained_context == 2048


@pytest.mark.parametrize("way", WAYS)
def test_a_saved_model_keeps_its_way(folder: Path, tmp_path: Path, way: str) -> None:
    source = load_source(str(folder), rope=parse_rope(way))
    source.model.save_pretrained(tmp_path)
    source.tokenizer.save_pretrained(tmp_path)
    again = load(str(tmp_path))
    assert again.trained_context == 2048
    torch.testing.assert_close(frequencies(again.model), frequencies(source.model))


def test_a_config_must_say_what_a_truncated_basis_was_trained_with() -> None:
    rope = {"rope_type": TRUNCATED, "rope_theta": 10_000.0, "factor": 4.0}
    with pytest.raises(Exception, match="original_max_position_embeddings"):
        LlamaConfig(rope_parameters=rope)


def ask(model: HuggingFaceModel, prompt: str) -> Any:
    return collect(model.stream(Request(prompt=prompt, max_tokens=8, sampling=Sampling(temperature=0.0))))


@pytest.mark.parametrize("way", ["yarn:4", "dynamic:4"])
def test_it_writes_behind_a_long_prompt_and_the_same_whatever_came_before(folder: Path, way: str) -> None:
    rope = parse_rope(way)
    long, longer, short = (TEXT * count for count in (40, 60, 2))
    used = HuggingFaceModel(str(folder), name="hf:x", threads=1, context_tokens=2048, rope=rope)
    assert used.count_tokens(long) > 512
    for prompt in (longer, long, short):
        fresh = HuggingFaceModel(str(folder), name="hf:x", threads=1, context_tokens=2048, rope=rope)
        reply = ask(used, prompt)
        assert reply.text == ask(fresh, prompt).text != ""
        fresh.close()
    # What was read with other frequencies is of no use.
    assert (ask(used, longer).usage.cached_tokens > 0) == (way == "yarn:4")
    used.close()


def test_dynamic_writes_and_scores_short_texts_as_before(folder: Path) -> None:
    prompts = [TEXT * count for count in (1, 3, 9)]
    written, scored = [], []
    for rope in (None, Rope("dynamic", 4)):
        model = HuggingFaceModel(str(folder), name="hf:x", threads=1, rope=rope)
        written.append([ask(model, prompt).text for prompt in prompts])
        model.close()
        scorer = TransformersScorer(str(folder), name="hf:x", threads=1, reuse_prefix=False, rope=rope)
        scored.append([found.log_probability for found in scorer.score(prompts, TEXT)])
    assert written[0] == written[1]
    assert scored[0] == pytest.approx(scored[1], abs=1e-4)


def test_a_scorer_reads_as_far(folder: Path) -> None:
    with pytest.raises(PromptTooLong):
        list(TransformersScorer(str(folder), name="hf:x", threads=1).score([TEXT * 40], TEXT))
    found = {}
    for way in ("yarn:4", "dynamic:4"):
        scorer = TransformersScorer(str(folder), name="hf:x", threads=1, rope=parse_rope(way))
        (found[way],) = scorer.score([TEXT * 40], TEXT)
    assert found["yarn:4"].tokens == found["dynamic:4"].tokens > 0
    assert found["yarn:4"].log_probability != found["dynamic:4"].log_probability


# What can't be.


def test_a_model_without_rope_is_told() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2, n_positions=16))
    with pytest.raises(
        InvalidSetting, match="is a gpt2 without a RoPE like LLaMA's, so yarn:4 can't be given"
    ):
        extend(model, Rope("yarn", 4))


def test_a_model_that_is_extended_already_is_told() -> None:
    model = extended("linear:2")
    with pytest.raises(
        InvalidSetting, match=r"extended RoPE of its own \(linear\), so yarn:4 can't be added"
    ):
        extend(model, Rope("yarn", 4))


def test_heads_that_are_too_narrow_are_told() -> None:
    with pytest.raises(InvalidSetting, match="turns 2 channels a head, and abf:4 needs at least 4"):
        extended("abf:4", head_dim=2)


def test_a_model_that_takes_no_notice_of_its_config_is_told() -> None:
    model: Any = llama()
    model.model.rotary_emb = torch.nn.Identity()
    with pytest.raises(InvalidSetting, match="without a RoPE like LLaMA's"):
        extend(model, Rope("yarn", 4))


def test_a_folder_that_cannot_be_extended_is_told_in_one_sentence(folder: Path) -> None:
    model = HuggingFaceModel(str(folder), name="hf:x", threads=1, context_tokens=4096, rope=Rope("yarn", 4))
    with pytest.raises(InvalidSetting, match="made for 2048"):
        model.load()
