"""Writes one text after the other: for models whose memory can't be laid side by side.

Windows that slide and states that sum up the past are such; ``hf_together`` serves the others.
"""

import threading
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache, StoppingCriteria, StoppingCriteriaList

from storyloom.generators.hf_loading import Loaded
from storyloom.generators.hf_rope import settle
from storyloom.generators.hf_writing import Task, Writing
from storyloom.generators.prefix_cache import CachedText, PrefixCache, takes_cache
from storyloom.generators.pump import Emit
from storyloom.memory.generation import Piece

if TYPE_CHECKING:
    from storyloom.generators.hf_memory import Memory


class Alone:
    """Takes requests by turns, each by the library's own ``generate``.

    Args:
        loaded: the model.
        prefixes: what was read before, or None where nothing may be reused.
        threads: CPU threads of torch, or None to leave them as they are.
        memory: the model's neural memory, where it has one.
    """

    def __init__(
        self,
        loaded: Loaded,
        prefixes: PrefixCache | None,
        threads: int | None,
        memory: "Memory | None" = None,
    ):
        self._loaded = loaded
        self._prefixes = prefixes if takes_cache(loaded.model) else None
        self._threads = threads
        self._memory = memory
        self._turn = threading.Lock()

    def write(self, task: Task, emit: Emit) -> None:
        """Wait for a turn, then write to the end; returns early when nobody reads any more.

        Raises:
            torch.OutOfMemoryError: the model ran out of memory; nothing is kept of what was read.
            ModelFailed: the model left the schema.
            StateRefused: the request's state is damaged, or of another model or version.
        """
        while not self._turn.acquire(timeout=0.1):
            if emit(Piece("")):
                return
        try:
            self._generate(task, emit)
        except torch.OutOfMemoryError:
            if self._prefixes is not None:
                self._prefixes.clear()
            raise
        finally:
            self._turn.release()

    def wait(self) -> None:
        """Return once no text is in flight."""
        with self._turn:
            return

    def remember(self, ids: list[int], state: bytes | None) -> bytes:
        """Wait for a turn, then read tokens into the model's neural memory, which it must have.

        Raises:
            torch.OutOfMemoryError: the model ran out of memory.
            StateRefused: the state is damaged, or of another model or version.
        """
        assert self._memory is not None
        with self._turn:
            self._set_threads()
            return self._memory.remember(ids, state)

    def _set_threads(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)  # counts for each thread that computes

    def _generate(self, task: Task, emit: Emit) -> None:
        self._set_threads()
        model: Any = self._loaded.model
        settle(model, len(task.ids) + task.request.max_tokens)
        kept = self._taken(task.ids)
        cached = len(kept.ids) if kept else 0
        writing = Writing(self._loaded, task, emit)
        prompt = torch.tensor([task.ids], device=model.device)
        with torch.inference_mode():
            written = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                past_key_values=kept.cache if kept else self._remembered(task.request.state),
                max_new_tokens=task.request.max_tokens,
                do_sample=False,  # the chain draws
                logits_processor=task.chain,
                stopping_criteria=StoppingCriteriaList([_Follower(writing)]),
            )
        if kept and self._prefixes is not None:
            kept.ids = written[0].tolist()
            self._prefixes.keep(kept)
        writing.end(cached)

    def _remembered(self, state: bytes | None) -> DynamicCache | None:
        return self._memory.cache(state) if self._memory is not None and state is not None else None

    def _taken(self, ids: list[int]) -> CachedText | None:
        if self._prefixes is None:
            return None
        return self._prefixes.take(ids) or CachedText([], DynamicCache(config=self._loaded.model.config))


class _Follower(StoppingCriteria):
    """Tells a text's follower each token that ``generate`` chooses."""

    def __init__(self, writing: Writing):
        self._writing = writing

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.BoolTensor:  # noqa: ARG002
        """Called by generate after each token."""
        stop = self._writing.take(int(input_ids[0, -1]))
        return torch.full((input_ids.shape[0],), stop, device=input_ids.device)  # type: ignore[return-value]
