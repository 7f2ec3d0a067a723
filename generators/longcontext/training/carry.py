"""The memory between two segments of a book: it goes on, and no gradient flows back through it."""

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache

from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.state import State, cache_from, state_dict_of


class Carry:
    """What each row's memory held at the end of its last segment.

    Attention begins anew with each segment, at position 0, as it does when a story's next step is written.
    A model without a memory carries nothing; one whose memory grows with the text, as many of the last tokens
    as the segment had.

    Args:
        model: that reads.

    Attributes:
        state: of ``state_dict_of``; empty before the first segment.
    """

    def __init__(self, model: Any):
        self._model = model if isinstance(model, LongContextForCausalLM) else None
        self._device = model.device
        self.state: State = {}

    def cache(self, fresh: Tensor) -> Cache | None:
        """A cache to read the next segment with; None for a model that needs none.

        Args:
            fresh: [rows], whose memory is to be empty.
        """
        if self._model is None:
            return None
        for held in self.state.values():
            held[fresh.to(held.device)] = 0
        return cache_from(self.state or None, self._model.config, self._device)

    def keep(self, cache: Cache | None, tokens: int) -> None:
        """Take what a segment of so many tokens has left in its cache."""
        if self._model is not None and cache is not None:
            self.state = self._model.latest(state_dict_of(cache, self._model.config), tokens)
