"""How likely a transformers model finds a text that is given. Knows no story.

An engine that writes tells the log-probability of what it chooses, not of a given text; here the same weights
read prompt and text in one pass, in float32: two prompts' scores are compared, and in bfloat16 the starter's
were off by 0.6 nats a paragraph, as much as many an item does.

Prompts that differ in one item share a beginning, which is read once. It changes no score, and saves a
quarter: thirteen prompts of 550 tokens, each without another item, and a text of 98 tokens take the starter
11.4 s on one thread, and 14.8 s when each is read whole.
"""

import math
from collections.abc import Generator, Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from storyloom.generators.hf_loading import load
from storyloom.generators.hf_prompts import Prompts
from storyloom.generators.hf_rope import settle
from storyloom.generators.one_at_a_time import TRANSFORMERS
from storyloom.generators.prefix_cache import CachedText, shared, takes_cache
from storyloom.generators.rope import Rope
from storyloom.memory.errors import ModelFailed, PromptTooLong, UnsupportedRequest
from storyloom.memory.generation import Likelihood, Prompt


class TransformersScorer:
    """One model in this process, loaded when it is made.

    Args:
        target: a hub id, a local folder, or the path of a .gguf file.
        name: the SPEC that it was made from.
        threads: CPU threads of torch, for the whole process, or None to leave them as they are.
        reuse_prefix: read the beginning that a prompt shares with the first one only once.
        rope: how it shall read longer texts than it was trained with; None for as it is.

    Raises:
        ModelUnavailable: missing, damaged, too large for the memory, or not to be fetched.
        InvalidSetting: its RoPE can't be changed so.
    """

    def __init__(
        self,
        target: str,
        *,
        name: str,
        threads: int | None = None,
        reuse_prefix: bool = True,
        rope: Rope | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        with TRANSFORMERS:
            loaded = load(target, exact=True, rope=rope)
        self._model: Any = loaded.model
        self._most_tokens = loaded.trained_context
        self._prompts = Prompts(loaded.tokenizer, name)
        self._name = name
        self._reuse_prefix = reuse_prefix and takes_cache(loaded.model)

    @property
    def name(self) -> str:
        """The SPEC it was made from."""
        return self._name

    def score(self, prompts: Sequence[Prompt], text: str) -> Generator[Likelihood]:
        """How likely the text is after each prompt, as ``Scorer`` has it.

        Raises:
            ModelFailed: the model ran out of memory, or its scores are no numbers.
            PromptTooLong: a prompt and the text don't fit the model's context.
            UnsupportedRequest: prompt or text is empty, or the chat template refuses the messages.
        """
        if not prompts:
            return
        heads = [self._prompts.ids(prompt) for prompt in prompts]
        tail = self._prompts.continuation(prompts[0], text)
        self._check(heads, tail)
        first: CachedText | None = None
        for head in heads:
            cache = self._cache(head, first)
            yield self._read([*head, *tail], len(tail), cache)
            if first is None and cache is not None:
                first = CachedText(head, cache)

    def _check(self, heads: Sequence[Sequence[int]], tail: Sequence[int]) -> None:
        if not tail or not all(heads):
            raise UnsupportedRequest(
                f"{self._name} can't score an empty text, nor one behind an empty prompt. Give both a word."
            )
        longest = max(map(len, heads))
        if self._most_tokens is not None and longest + len(tail) > self._most_tokens:
            raise PromptTooLong(
                f"The prompt has {longest} tokens and the text {len(tail)}, but {self._name} reads "
                f"{self._most_tokens} together. Shorten the text, or use a model with a longer context."
            )

    def _cache(self, head: Sequence[int], first: CachedText | None) -> DynamicCache | None:
        """Keys and values of what a prompt shares with the first; None where the model takes none."""
        if not self._reuse_prefix:
            return None
        cache = DynamicCache(config=self._model.config)
        # A window that slides has lost its beginning, and a state that runs on can't be turned back.
        layers: list[Any] = first.cache.layers if first else []
        if first is None or not all(type(layer) is DynamicLayer for layer in layers):
            return cache
        length = min(shared(first.ids, head), len(head) - 1)
        for place, layer in enumerate(layers):
            cache.update(layer.keys[:, :, :length], layer.values[:, :, :length], place)
        return cache

    def _read(self, ids: list[int], scored: int, cache: DynamicCache | None) -> Likelihood:
        """Read the ids that the cache doesn't hold, and score the last ones."""
        settle(self._model, len(ids))
        known = 0 if cache is None else cache.get_seq_length()
        # The last id is scored and needn't be read: nothing is foretold behind it.
        new = torch.tensor([ids[known:-1]], device=self._model.device)
        options: dict[str, Any] = {"past_key_values": cache, "use_cache": cache is not None}
        if self._model._supports_logits_to_keep():
            options["logits_to_keep"] = scored
        try:
            with torch.inference_mode():
                logits = self._model(new, **options).logits[0, -scored:].float()
                chosen = torch.tensor(ids[-scored:], device=logits.device)
                losses = torch.nn.functional.cross_entropy(logits, chosen, reduction="none")
                total = -float(losses.double().sum())
        except torch.OutOfMemoryError as error:
            raise ModelFailed(
                f"{self._name} ran out of memory at {len(ids)} tokens. Use a smaller model."
            ) from error
        if not math.isfinite(total):
            raise ModelFailed(f"{self._name} gives scores that are no numbers. Its weights may be damaged.")
        return Likelihood(total, scored)
