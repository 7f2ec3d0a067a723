"""Log-probabilities of given text, by a tiny model made in the tests."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from storyloom.generators import hf_loading
from storyloom.generators.hf_prompts import Prompts
from storyloom.generators.scoring import TransformersScorer
from storyloom.memory.errors import ModelFailed, ModelUnavailable, PromptTooLong, UnsupportedRequest
from storyloom.memory.generation import Message, Prompt
from tests.tiny_model import TEMPLATE

SYSTEM = Message("system", "You are a novelist.")
PARAGRAPH = "The keeper slept. The lamp burned."
FACTS = ("The lamp is old.", "Mara lives in the lighthouse.", "The harbour is empty.")


def chat(*facts: str, begun: str = "") -> Prompt:
    prompt = (SYSTEM, Message("user", " ".join(facts) + "\n\nWrite the next paragraph."))
    return (*prompt, Message("assistant", begun)) if begun else prompt


EVERYTHING_AND_WITHOUT_EACH = [chat(*FACTS), *(chat(*FACTS[:i], *FACTS[i + 1 :]) for i in range(len(FACTS)))]


@pytest.fixture(scope="module")
def scorer(folder: Path) -> TransformersScorer:
    return TransformersScorer(str(folder), name="hf:tiny", threads=1)


def by_hand(folder: Path, head: list[int], tail: list[int]) -> float:
    """The same, token by token: each is looked up in what one plain pass foretells behind all before it."""
    model: Any = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    total = 0.0
    for place, token in enumerate(tail):
        with torch.no_grad():
            logits = model(torch.tensor([head + tail[:place]])).logits[0, -1].double()
        total += float(logits[token] - logits.exp().sum().log())
    return total


@pytest.mark.parametrize(
    "prompt",
    [chat(*FACTS), chat(*FACTS, begun="Mara"), "The keeper lit", "x"],
    ids=["chat", "begun", "", "x"],
)
def test_scores_what_a_plain_pass_foretells(
    scorer: TransformersScorer, folder: Path, tokenizer: Any, prompt: Prompt
) -> None:
    prompts = Prompts(tokenizer, "x")
    (found,) = scorer.score([prompt], f" {PARAGRAPH}")
    tail = prompts.continuation(prompt, f" {PARAGRAPH}")
    assert found.tokens == len(tail)
    assert found.log_probability == pytest.approx(by_hand(folder, prompts.ids(prompt), tail), abs=1e-4)


def test_a_shared_beginning_is_read_once_and_changes_nothing(
    scorer: TransformersScorer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    forward = scorer._model.forward

    def counted(ids: torch.Tensor, logits_to_keep: int, **options: Any) -> Any:
        read.append(ids.shape[1])
        return forward(ids, logits_to_keep=logits_to_keep, **options)

    fresh = TransformersScorer(str(folder), name="hf:tiny", reuse_prefix=False)
    whole = [found.log_probability for found in fresh.score(EVERYTHING_AND_WITHOUT_EACH, PARAGRAPH)]
    monkeypatch.setattr(scorer._model, "forward", counted)
    reused = [found.log_probability for found in scorer.score(EVERYTHING_AND_WITHOUT_EACH, PARAGRAPH)]
    assert reused == pytest.approx(whole, abs=1e-4)
    assert len(set(whole)) == len(whole)
    assert read[0] > read[1] > read[2] > read[3]


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_any_prompts_score_as_they_do_alone(scorer: TransformersScorer, texts: list[str]) -> None:
    prompts = [chat(text) for text in texts]
    alone = [next(iter(scorer.score([prompt], PARAGRAPH))).log_probability for prompt in prompts]
    together = [found.log_probability for found in scorer.score(prompts, PARAGRAPH)]
    assert together == pytest.approx(alone, abs=1e-3)


def test_an_equal_prompt_scores_equally(scorer: TransformersScorer) -> None:
    first, again = scorer.score([chat(*FACTS)] * 2, PARAGRAPH)
    assert first.log_probability == pytest.approx(again.log_probability, abs=1e-4)


def test_a_model_that_takes_no_cache_reads_each_prompt_whole(
    scorer: TransformersScorer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [found.log_probability for found in scorer.score(EVERYTHING_AND_WITHOUT_EACH, PARAGRAPH)]
    monkeypatch.setattr(LlamaForCausalLM, "_is_stateful", True)
    stateful = TransformersScorer(str(folder), name="hf:tiny")
    assert stateful._cache([1, 2], None) is None
    found = [found.log_probability for found in stateful.score(EVERYTHING_AND_WITHOUT_EACH, PARAGRAPH)]
    assert found == pytest.approx(expected, abs=1e-4)


def test_half_precision_is_for_writing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert hf_loading._device(exact=True) == ("cuda", torch.float32)
    assert hf_loading._device(exact=False) == ("cuda", torch.bfloat16)


class TestBoundary:
    def test_the_text_is_what_follows_the_prompt(self, tokenizer: Any) -> None:
        prompts = Prompts(tokenizer, "x")
        tail = prompts.continuation(chat(*FACTS), PARAGRAPH)
        assert tokenizer.decode(tail) == PARAGRAPH
        assert tokenizer.decode([*prompts.ids(chat(*FACTS)), *tail]).endswith(f"assistant\n{PARAGRAPH}")

    def test_a_begun_answer_goes_on(self, tokenizer: Any) -> None:
        tail = Prompts(tokenizer, "x").continuation(chat(begun="The keeper"), " slept.")
        assert tokenizer.decode(tail) == " slept."

    def test_a_token_that_would_span_the_joint_leaves_the_prompt_as_it_is(self, tokenizer: Any) -> None:
        prompts = Prompts(tokenizer, "x")
        assert len(tokenizer(" keeper").input_ids) == 1
        assert prompts.continuation(" kee", "per") == tokenizer("per").input_ids

    def test_a_template_that_ends_a_begun_answer_otherwise_leaves_the_prompt_as_it_is(
        self, folder: Path
    ) -> None:
        from transformers import PreTrainedTokenizerFast

        thinking = PreTrainedTokenizerFast.from_pretrained(folder)
        thinking.chat_template = TEMPLATE.replace("assistant\n{% endif", "assistant\n(thinks)\n{% endif")
        prompts = Prompts(thinking, "x")
        assert thinking.decode(prompts.ids(chat(*FACTS))).endswith("(thinks)\n")
        assert prompts.continuation(chat(*FACTS), PARAGRAPH) == thinking(PARAGRAPH).input_ids

    def test_special_tokens_in_the_text_are_letters(self, scorer: TransformersScorer, tokenizer: Any) -> None:
        tail = Prompts(tokenizer, "x").continuation(chat(*FACTS), "Hi <|end|>")
        assert tokenizer.convert_tokens_to_ids("<|end|>") not in tail
        (found,) = scorer.score([chat(*FACTS)], "Hi <|end|> \ud800")
        assert math.isfinite(found.log_probability)


@pytest.mark.parametrize(
    ("prompt", "text", "error", "words"),
    [
        (chat(), "", UnsupportedRequest, "empty text"),
        ("", "text", UnsupportedRequest, "empty prompt"),
        (chat(), "word " * 600, PromptTooLong, "reads 512"),
    ],
)
def test_what_cannot_be_scored_is_told(
    scorer: TransformersScorer, prompt: Prompt, text: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        list(scorer.score([prompt], text))


def test_no_prompt_has_no_score(scorer: TransformersScorer) -> None:
    assert list(scorer.score([], PARAGRAPH)) == []


def test_damaged_weights_are_told(folder: Path) -> None:
    damaged = TransformersScorer(str(folder), name="hf:tiny")
    with torch.no_grad():
        damaged._model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(ModelFailed, match="no numbers"):
        list(damaged.score([chat()], PARAGRAPH))


def test_out_of_memory_is_told(scorer: TransformersScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, logits_to_keep: int, **_options: object) -> None:
        raise torch.OutOfMemoryError(f"CUDA out of memory at {logits_to_keep}")

    monkeypatch.setattr(scorer._model, "forward", fail)
    with pytest.raises(ModelFailed, match="ran out of memory"):
        list(scorer.score([chat()], PARAGRAPH))


def test_weights_that_are_missing_are_told() -> None:
    with pytest.raises(ModelUnavailable, match="no folder"):
        TransformersScorer("/no/such/folder", name="hf:none")
