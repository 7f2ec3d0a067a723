"""What is proved of every family with a memory: a family's tests subclass ``Proof`` and name its configs."""

import copy
import functools
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.state import cache_from, read, state_bytes, state_dict_of, state_from
from storyloom.memory.errors import StateRefused

VOCABULARY = 61
LENGTH = 23


def llama(dtype: torch.dtype = torch.float64, **fields: Any) -> LlamaForCausalLM:
    """Three random layers, large enough weights that every layer is heard."""
    usual: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    config = LlamaConfig(**(usual | fields))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made: Any = LlamaForCausalLM(config)
        source: LlamaForCausalLM = made.to(dtype).eval()
        return source


def tokens(rows: int = 2, length: int = LENGTH, seed: int = 3) -> Tensor:
    """Drawn, [rows, length]."""
    return torch.randint(1, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


def close(found: Tensor, expected: Tensor) -> None:
    """In float64, whatever order the sums were taken in."""
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def open_gates(model: LongContextForCausalLM, loudness: float = 0.3) -> None:
    """Let the memory be heard: a closed gate would make every test of it an empty one."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for factor in model.zero_factors():
            factor.copy_(torch.randn(factor.shape, generator=generator, dtype=factor.dtype) * loudness)


def logits(model: LongContextForCausalLM, ids: Tensor, **given: Any) -> Tensor:
    """[rows, columns, vocabulary]."""
    with torch.no_grad():
        found: Tensor = model(input_ids=ids, **given).logits
    return found


@functools.cache
def _made(family: str, options: str) -> LongContextForCausalLM:
    return converted(llama(), family, json.loads(options), seed=1)


@functools.cache
def _heard(family: str, options: str) -> LongContextForCausalLM:
    made = copy.deepcopy(_made(family, options))
    open_gates(made)
    with torch.no_grad():
        state = read(made, tokens(2, 19, seed=8), None)
        with_it = logits(made, tokens(), past_key_values=cache_from(state, made.config))
        without = logits(made, tokens(), past_key_values=cache_from(None, made.config))
    assert (with_it - without).abs().max() > 1e-3
    return made


class Proof:
    """A subclass's module has a fixture ``chosen``: options of the family's config, one set after another.

    Attributes:
        family: its name.
        kernel: the function that must mix its sequences, where the family looks it up.
    """

    family: ClassVar[str]
    kernel: ClassVar[str]

    @pytest.fixture
    def made(self, chosen: Mapping[str, Any]) -> LongContextForCausalLM:
        """As it was converted: the test's own."""
        return copy.deepcopy(_made(self.family, json.dumps(chosen)))

    @pytest.fixture
    def model(self, chosen: Mapping[str, Any]) -> LongContextForCausalLM:
        """With open gates, its memory was heard: shared, so that no test may change it."""
        return _heard(self.family, json.dumps(chosen))

    def reach(self, _made: LongContextForCausalLM) -> int:
        """Tokens up to which a new model is its source; further on a window shows."""
        return LENGTH

    def test_it_says_what_its_source_says(self, made: LongContextForCausalLM) -> None:
        ids = tokens(length=self.reach(made))
        with torch.no_grad():
            expected = llama()(input_ids=ids).logits
        assert (logits(made, ids) - expected).abs().max() < 1e-8
        assert any(True for _ in made.zero_factors())

    def test_every_new_weight_learns(self, made: LongContextForCausalLM) -> None:
        old = llama().state_dict().keys()
        open_gates(made)
        ids = tokens()
        made(input_ids=ids, labels=ids).loss.backward()
        still = [
            name
            for name, weight in made.named_parameters()
            if name not in old and (weight.grad is None or not weight.grad.abs().sum() > 0)
        ]
        assert still == []

    def test_the_zero_factor_learns_first(self, made: LongContextForCausalLM) -> None:
        ids = tokens()
        made(input_ids=ids, labels=ids).loss.backward()
        for factor in made.zero_factors():
            assert factor.grad is not None
            assert factor.grad.abs().sum() > 0

    @pytest.mark.parametrize("pieces", [(1,) * LENGTH, (7, 9, 7), (4, 4, 15), (22, 1)])
    def test_in_pieces_is_as_at_once(self, model: LongContextForCausalLM, pieces: tuple[int, ...]) -> None:
        ids = tokens()
        cache = cache_from(None, model.config)
        parts = [logits(model, part, past_key_values=cache) for part in torch.split(ids, list(pieces), dim=1)]
        close(torch.cat(parts, dim=1), logits(model, ids, use_cache=False))

    def test_rows_are_alone(self, model: LongContextForCausalLM) -> None:
        ids = tokens(3)
        together = logits(model, ids)
        for row in range(3):
            close(together[row : row + 1], logits(model, ids[row : row + 1]))

    @pytest.mark.parametrize("pieces", [(LENGTH,), (3, 11, 9)])
    def test_padding_at_the_left_changes_nothing(
        self, model: LongContextForCausalLM, pieces: tuple[int, ...]
    ) -> None:
        ids = tokens(3)
        padding = (0, 5, 11)
        mask = torch.ones_like(ids)
        for row, count in enumerate(padding):
            mask[row, :count] = 0
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache = cache_from(None, model.config)
        parts, start = [], 0
        for size in pieces:
            end = start + size
            parts.append(
                logits(
                    model,
                    ids[:, start:end],
                    attention_mask=mask[:, :end],
                    position_ids=positions[:, start:end],
                    past_key_values=cache,
                )
            )
            start = end
        padded = torch.cat(parts, dim=1)
        for row, count in enumerate(padding):
            alone = logits(model, ids[row : row + 1, count:])
            close(padded[row : row + 1, count:], alone)

    def test_beams_take_their_memory_along(self, model: LongContextForCausalLM) -> None:
        first, then = tokens(3, 13), tokens(3, 6, seed=4)
        cache = cache_from(None, model.config)
        logits(model, first, past_key_values=cache)
        order: Any = torch.tensor([2, 0, 0])
        cache.reorder_cache(order)
        found = logits(model, then, past_key_values=cache)
        fresh = cache_from(None, model.config)
        logits(model, first[order], past_key_values=fresh)
        close(found, logits(model, then, past_key_values=fresh))

    def test_a_state_is_kept_and_goes_on_to_the_bit(self, model: LongContextForCausalLM) -> None:
        state = read(model, tokens(1, 17), None)
        again = state_from(state_bytes(state, model), model)
        assert again.keys() == state.keys()
        assert all(torch.equal(again[name], held) for name, held in state.items())
        ids = tokens(1, 9, seed=6)
        expected = logits(model, ids, past_key_values=cache_from(state, model.config))
        assert torch.equal(logits(model, ids, past_key_values=cache_from(again, model.config)), expected)

    def test_a_fork_leaves_the_state_alone(self, model: LongContextForCausalLM) -> None:
        state = read(model, tokens(1, 17), None)
        before = {name: held.clone() for name, held in state.items()}
        one, other, again = (read(model, tokens(1, 12, seed=seed), state) for seed in (1, 2, 1))
        assert all(torch.equal(before[name], held) for name, held in state.items())
        assert any(not torch.equal(one[name], other[name]) for name in one)
        assert all(torch.equal(held, again[name]) for name, held in one.items())

    def test_a_state_is_as_large_after_a_long_text(self, model: LongContextForCausalLM) -> None:
        short, long = (len(state_bytes(read(model, tokens(1, n), None), model)) for n in (20, 200))
        assert abs(long - short) <= 64

    def test_a_state_of_another_model_is_refused(
        self, model: LongContextForCausalLM, chosen: Mapping[str, Any]
    ) -> None:
        data = state_bytes(read(model, tokens(1, 9), None), model)
        other = converted(llama(), self.family, chosen, seed=2)
        with pytest.raises(StateRefused, match="of another model"):
            state_from(data, other)

    @pytest.mark.parametrize("cut", [0, 5, 100, -7])
    def test_a_damaged_state_is_refused(self, model: LongContextForCausalLM, cut: int) -> None:
        data = state_bytes(read(model, tokens(1, 9), None), model)
        with pytest.raises(StateRefused, match=r"damaged|no memory"):
            state_from(data[:cut], model)

    def test_a_state_with_one_changed_bit_is_refused(self, model: LongContextForCausalLM) -> None:
        data = bytearray(state_bytes(read(model, tokens(1, 9), None), model))
        data[-1] ^= 1
        with pytest.raises(StateRefused, match="damaged"):
            state_from(bytes(data), model)

    def test_equal_states_are_equal_bytes(self, model: LongContextForCausalLM) -> None:
        one, other = (state_bytes(read(model, tokens(1, 9), None), model) for _ in range(2))
        assert one == other

    def test_it_is_saved_and_loaded(self, model: LongContextForCausalLM, tmp_path: Path) -> None:
        model.save_pretrained(tmp_path)
        again: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
        assert type(again) is type(model)
        kept = again.state_dict()
        assert all(torch.equal(kept[name], weight) for name, weight in model.state_dict().items())
        # A file's weights lie at other addresses, so some processors add in another order.
        torch.testing.assert_close(logits(again, tokens()), logits(model, tokens()), rtol=0, atol=1e-12)

    def test_it_generates_what_greedy_reading_says(self, model: LongContextForCausalLM) -> None:
        ids = tokens(2, 9)
        writer: Any = model
        written = writer.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)
        assert torch.equal(written[:, :9], ids)
        assert torch.equal(written[:, 9:], logits(model, written[:, :-1])[:, 8:].argmax(-1))
        assert written.shape == (2, 17)

    def test_sequences_are_mixed_by_the_kernels(self, model: LongContextForCausalLM) -> None:
        with mock.patch(self.kernel, side_effect=pkgutil.resolve_name(self.kernel)) as called:
            logits(model, tokens())
        assert called.call_count >= len(model.config.memory_layers or ())

    def test_a_state_holds_no_gradient(self, model: LongContextForCausalLM) -> None:
        cache = cache_from(None, model.config)
        model(input_ids=tokens(1, 17), past_key_values=cache)
        state = state_dict_of(cache, model.config)
        assert all(not held.requires_grad for held in state.values())
