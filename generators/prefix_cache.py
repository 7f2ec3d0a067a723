"""Keeps the keys and values of the last prompts, so that an equal beginning is not read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from storyloom.generators.hf_rope import is_dynamic

# A cache is cut down for a prompt only if at least this part of it stays: else it would be lost to the
# agent that it belongs to, for little gain.
_LEAST_SHARED = 0.25


@dataclass(slots=True)
class CachedText:
    """Token ids, and the keys and values of each of them."""

    ids: list[int]
    cache: DynamicCache


class PrefixCache:
    """The caches of the last calls. Not safe to share between threads: whoever writes guards it.

    Args:
        most_tokens: how many tokens all of them may hold together.
        most_kept: how many there may be.
    """

    def __init__(self, most_tokens: int, *, most_kept: int):
        self._most_tokens = most_tokens
        self._most_kept = most_kept
        self._kept: list[CachedText] = []

    def take(self, ids: Sequence[int]) -> CachedText | None:
        """The cache that shares the longest beginning with a prompt, cut down to it; None if too little.

        At least the prompt's last token is left to be read. Whoever takes it gives it back by ``keep``.
        """
        best = max(self._kept, key=lambda kept: shared(kept.ids, ids), default=None)
        if best is None:
            return None
        length = min(shared(best.ids, ids), len(ids) - 1)
        if length < max(1, _LEAST_SHARED * len(best.ids)):
            return None
        self._kept.remove(best)
        _cut(best, length)
        return best

    def keep(self, text: CachedText) -> None:
        """Keep a cache whose texts have grown, and drop the oldest when there are too many."""
        length = min(text.cache.get_seq_length(), len(text.ids))
        # A window that slides, or a state that can't be turned back, can't be cut down.
        if length == 0 or not all(type(layer) is DynamicLayer for layer in text.cache.layers):
            return
        _cut(text, length)
        self._kept.append(text)
        while self._kept and (
            len(self._kept) > self._most_kept or sum(len(kept.ids) for kept in self._kept) > self._most_tokens
        ):
            self._kept.pop(0)

    def clear(self) -> None:
        """Drop all."""
        self._kept.clear()


def shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two texts have in common at their beginning."""
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))


def takes_cache(model: Any) -> bool:
    """Whether a model takes keys and values from outside.

    State-space models make a state of their own. Those with a dynamic RoPE turn keys by the length of the
    whole text, so that one text's are no use to another.
    """
    asks = getattr(model, "_supports_default_dynamic_cache", None)
    if is_dynamic(model.config):
        return False
    return not getattr(model, "_is_stateful", False) and (asks is None or bool(asks()))


def _cut(text: CachedText, length: int) -> None:
    text.ids = list(text.ids[:length])
    if surplus := text.cache.get_seq_length() - length:
        text.cache.crop(-surplus)
