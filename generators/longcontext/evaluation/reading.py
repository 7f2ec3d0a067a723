"""Reads texts into a model piece by piece, and says how surprised the model was by each token."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import DynamicCache
from transformers.cache_utils import Cache

from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.state import State, cache_from, state_dict_of

# Hears of long work: what is done, how much of it, and of how much in all.
Tell = Callable[[str, int, int], None]

AT_ONCE = 512  # tokens that are read in one call
_LOGITS = 512  # tokens whose logits are in memory at once


def silent(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def cache_for(model: Any, state: State | None = None) -> Cache:
    """An empty cache for a model, whose memory, where it has one, is a state; see ``cache_from``."""
    if isinstance(model, LongContextForCausalLM):
        return cache_from(state, model.config, model.device)
    return DynamicCache(config=model.config)


def state_of(model: Any, cache: Cache) -> State | None:
    """The memory in a cache; None for a model that has none."""
    return state_dict_of(cache, model.config) if isinstance(model, LongContextForCausalLM) else None


def replace_memory(model: Any, cache: Cache, state: State | None) -> None:
    """Put a state in the place of the memory in a cache; attention's keys and values stay."""
    if isinstance(model, LongContextForCausalLM):
        other: list[Any] = cache_from(state, model.config, model.device).layers
        for index in model.config.memory_layers or ():
            layer: Any = cache.layers[index]
            layer.cells = other[index].cells


@dataclass(frozen=True, slots=True)
class Surprise:
    """How a model foretold tokens.

    Attributes:
        loss: minus the log-probability of each, in nats, [rows, tokens]; on the CPU.
        hit: whether each was the most probable one, [rows, tokens]; on the CPU.
    """

    loss: Tensor
    hit: Tensor


class Reader:
    """A model in the midst of some texts of equal length, a row each.

    The last token that it was given waits until there are more: only then is it known what it foretells.

    Args:
        model: in evaluation mode.
        cache: to read with; None for an empty one.
        at_once: tokens of each row that are read in one call. It changes last bits only.
    """

    def __init__(self, model: Any, cache: Cache | None = None, *, at_once: int = AT_ONCE):
        self.model = model
        self.cache = cache_for(model) if cache is None else cache
        self._at_once = at_once
        self._waiting: Tensor | None = None

    def read(self, ids: Tensor) -> None:
        """Read tokens, [rows, tokens], at least one."""
        ids = self._with_waiting(ids)
        for part in ids[:, :-1].split(self._at_once, dim=1):
            if part.numel():
                self._hidden(part)
        self._waiting = ids[:, -1:]

    def surprise(self, ids: Tensor) -> Surprise:
        """Read tokens, [rows, tokens], and say how each was foretold by all before it.

        Raises:
            ValueError: nothing was read before: the first token is foretold by none.
        """
        if self._waiting is None:
            raise ValueError("Read a token first; the first of a text isn't foretold by any.")
        ids = self._with_waiting(ids)
        losses, hits = [], []
        for part, labels in zip(
            ids[:, :-1].split(self._at_once, dim=1), ids[:, 1:].split(self._at_once, dim=1), strict=True
        ):
            loss, hit = self._foretold(self._hidden(part), labels)
            losses.append(loss)
            hits.append(hit)
        self._waiting = ids[:, -1:]
        return Surprise(torch.cat(losses, 1).cpu(), torch.cat(hits, 1).cpu())

    def branch(self) -> "Reader":
        """Another reader at the same place, with a cache of its own."""
        other = Reader(self.model, copy.deepcopy(self.cache), at_once=self._at_once)
        other._waiting = self._waiting
        return other

    def _with_waiting(self, ids: Tensor) -> Tensor:
        ids = ids.to(self.model.device)
        return ids if self._waiting is None else torch.cat([self._waiting, ids], dim=1)

    @torch.inference_mode()
    def _hidden(self, ids: Tensor) -> Tensor:
        said = self.model.model(input_ids=ids, past_key_values=self.cache, use_cache=True)
        hidden: Tensor = said.last_hidden_state
        return hidden

    @torch.inference_mode()
    def _foretold(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        losses, hits = [], []
        for part, label in zip(
            hidden.flatten(0, 1).split(_LOGITS), labels.flatten().split(_LOGITS), strict=True
        ):
            logits = self.model.lm_head(part)
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            losses.append(cross_entropy(logits, label, reduction="none"))
            hits.append(logits.argmax(-1) == label)
        return torch.cat(losses).view_as(labels), torch.cat(hits).view_as(labels)
