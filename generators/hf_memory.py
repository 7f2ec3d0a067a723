"""The neural memory of a long-context model as bytes: what it keeps of a text, and begins another with."""

import functools
from collections.abc import Sequence

import torch
from transformers import DynamicCache

from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.state import cache_from, fingerprint, read, state_bytes, state_from


class Memory:
    """Reads texts into states.

    Args:
        model: on its device, in evaluation mode; its weights don't change any more.
    """

    def __init__(self, model: LongContextForCausalLM):
        self._model = model
        # A paragraph is drawn several times from one state, which was checked before.
        self._decoded = functools.lru_cache(1)(self._decode)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names the model: states are of no use to one with another."""
        return fingerprint(self._model)

    def cache(self, state: bytes) -> DynamicCache:
        """An empty cache whose memory is a state.

        Raises:
            StateRefused: it is damaged, or of another model or version.
        """
        return cache_from(self._decoded(state), self._model.config, self._model.device)

    def check(self, state: bytes) -> None:
        """Refuse what can't be gone on with.

        Raises:
            StateRefused: it is damaged, or of another model or version.
        """
        self._decoded(state)

    def remember(self, ids: Sequence[int], state: bytes | None) -> bytes:
        """The state after reading tokens, at least one.

        Raises:
            StateRefused: the state before is damaged, or of another model or version.
        """
        before = None if state is None else self._decoded(state)
        after = read(self._model, torch.tensor([list(ids)]), before)
        return state_bytes(after, self._model, mark=self.fingerprint)

    def _decode(self, state: bytes) -> dict[str, torch.Tensor]:
        return state_from(state, self._model, mark=self.fingerprint)
