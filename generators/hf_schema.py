"""Holds a transformers model to a JSON schema, token by token, with llguidance."""

import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from transformers import LogitsProcessor

from storyloom.generators.json_schema import constraint
from storyloom.memory.errors import ModelFailed


def schema_tokenizer(tokenizer: Any, vocabulary: int, ends: tuple[int, ...]) -> LLTokenizer:
    """A tokenizer for constraints; takes about a second, so keep it.

    Raises:
        ValueError: the tokenizer is not of the fast kind.
    """
    return from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=list(ends) or None)


class SchemaConstraint(LogitsProcessor):
    """Lets only tokens through that keep the text on its way to the schema.

    Args:
        tokenizer: from ``schema_tokenizer``.
        vocabulary: how many scores the model gives.
        schema: what the whole text must satisfy.

    Raises:
        UnsupportedRequest: the schema is malformed or uses what llguidance lacks.
    """

    def __init__(self, tokenizer: LLTokenizer, vocabulary: int, schema: Mapping[str, Any]):
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(constraint(schema)))
        self._matcher = LLMatcher(tokenizer, grammar)
        self._mask = allocate_token_bitmask(1, vocabulary)
        self._vocabulary = vocabulary
        self._read: int | None = None

    @property
    def finished(self) -> bool:
        """Whether the text is whole and nothing more may follow."""
        return bool(self._matcher.is_stopped())

    def take(self, token: int) -> None:
        """Tell the token that was chosen.

        Raises:
            ModelFailed: it breaks the schema.
        """
        if not self._matcher.consume_token(token):
            raise ModelFailed(f"The model left the schema: {self._matcher.get_error()}. Ask again.")

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # noqa: ARG002
        """Give every other token no chance."""
        fill_next_token_bitmask(self._matcher, self._mask)
        bits = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._vocabulary]
        allowed = torch.from_numpy(bits.astype(bool)).to(scores.device)
        return cast("torch.FloatTensor", scores.masked_fill(~allowed, float("-inf")))
