"""A Llama of two layers with random weights, and its tokenizer: made in a second."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

TEXT = "The keeper lit the lamp. The lamp burned all night, and the keeper slept.\n"
TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def make_tokenizer() -> Any:
    """Byte-level, trained on one sentence, with a chat template."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>", "<|start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([TEXT] * 3, trainer)
    kind: Any = PreTrainedTokenizerFast
    tokenizer = kind(tokenizer_object=inner, eos_token="<|end|>", additional_special_tokens=["<|start|>"])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def save_model(tokenizer: Any, folder: Path, *, context_tokens: int = 512) -> None:
    """A model with more scores than the tokenizer has tokens."""
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 3,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context_tokens,
        eos_token_id=0,
        bos_token_id=None,
        initializer_range=0.5,
    )
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
