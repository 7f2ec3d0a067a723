"""The experiment's own small LLaMA: a tokenizer and a model, trained on the training novels."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from storyloom.generators.longcontext.corpus import Corpus, read_corpus
from storyloom.generators.longcontext.training import checkpoint
from storyloom.generators.longcontext.training.loop import Limits, Training
from storyloom.generators.longcontext.training.plan import Plan

VOCABULARY = 4096
_EVERY_EIGHTH = 8  # books that the tokenizer learns from
_SLICE = 120.0  # seconds between two checkpoints
CONFIG: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
PLAN = Plan(
    tokens=3_000_000,
    lengths=(512,),
    rows=4,
    backbone="full",
    backbone_rate=2e-3,
    optimizer="muon",
    seed=0,
)


def tokenizer(books: Path, folder: Path, *, digits: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 4,096 tokens, made once; ``digits``: each is a token, as the starter's are."""
    if not (folder / "tokenizer.json").is_file():
        made = Tokenizer(models.BPE())
        parts: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
        if digits:
            parts.insert(0, pre_tokenizers.Digits(individual_digits=True))
        made.pre_tokenizer = pre_tokenizers.Sequence(parts)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<|end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        made.train([str(path) for path in sorted(books.glob("*.txt"))[::_EVERY_EIGHTH]], trainer)
        fast: Any = PreTrainedTokenizerFast
        fast(
            tokenizer_object=made,
            eos_token="<|end|>",
            pad_token="<|end|>",
            clean_up_tokenization_spaces=False,
        ).save_pretrained(folder)
    found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return found


def corpus(books: Path, folder: Path) -> Corpus:
    """A folder's books in the experiment's tokens."""
    return read_corpus(books, tokenizer(books.parent / "train", folder / "tokenizer"), folder / "tokens")


def base(data: Path, folder: Path, say: Callable[[str], None]) -> Any:
    """The base model, trained once; a training that was stopped goes on."""
    made = folder / "base"
    if not (made / "model.safetensors").is_file():
        _train(corpus(data / "train", folder), folder / "base-training", made, say)
    found: Any = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    return found.eval()


def _train(books: Corpus, kept: Path, made: Path, say: Callable[[str], None]) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    training = Training(LlamaForCausalLM(LlamaConfig(**CONFIG)), books, PLAN)
    found = checkpoint.load(kept)
    if found is not None:
        training.go_to(found)
    while not training.done:
        _slice(training, say)
        checkpoint.save(kept, training.state())
    training.finish()
    training.model.save_pretrained(made)
    checkpoint.remove(kept)


def _slice(training: Training, say: Callable[[str], None]) -> None:
    """Train for a while, and say how it goes."""
    began, before, losses = time.monotonic(), training.tokens, []
    training.run(Limits(seconds=_SLICE), on_step=lambda logged: losses.append(logged.loss))
    speed = (training.tokens - before) / (time.monotonic() - began)
    say(f"base: {training.tokens:,} tokens, {sum(losses) / len(losses):.3f} nats, {speed:.0f} tokens/s")
