"""Follows a transformers model while it writes: text out, stop strings, the end."""

from typing import Any

import torch
from transformers import StoppingCriteria

from storyloom.generators.hf_loading import Loaded
from storyloom.generators.hf_prompts import Detokenizer
from storyloom.generators.hf_schema import SchemaConstraint
from storyloom.generators.pump import Emit
from storyloom.generators.stops import StopFilter
from storyloom.memory.generation import Finish, Piece, Request, Usage


class Writing(StoppingCriteria):
    """Passes on each token's text as generate chooses it, and says when to stop."""

    def __init__(
        self, loaded: Loaded, request: Request, ids: list[int], emit: Emit, schema: SchemaConstraint | None
    ):
        self._ends = frozenset(loaded.ends)
        self._detokenizer = Detokenizer(loaded.tokenizer, ids)
        self._stops = StopFilter(request.stop)
        self._emit = emit
        self._schema = schema
        self._prompt_tokens = len(ids)
        self._count = 0
        self._finish: Finish = "length"

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.BoolTensor:  # noqa: ARG002
        """Called by generate after each token."""
        stop = self._take(int(input_ids[0, -1]))
        return torch.full((input_ids.shape[0],), stop, device=input_ids.device)  # type: ignore[return-value]

    def end(self, cached_tokens: int) -> None:
        """Emit what was held back, and the usage."""
        rest = (
            "" if self._stops.stopped else self._stops.feed(self._detokenizer.flush()) + self._stops.flush()
        )
        if self._stops.stopped:
            self._finish = "stop"
        usage = Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._count,
            cached_tokens=cached_tokens,
            finish=self._finish,
        )
        self._emit(Piece(rest, usage))

    def _take(self, token: int) -> bool:
        """Whether the text ends with this token."""
        self._count += 1
        if self._schema is not None:
            self._schema.take(token)
        if token in self._ends:
            self._finish = "stop"
            return True
        cancelled = self._emit(Piece(self._stops.feed(self._detokenizer.feed(token))))
        if self._stops.stopped or (self._schema is not None and self._schema.finished):
            self._finish = "stop"
            return True
        if cancelled:
            self._finish = "cancelled"
        return cancelled
