"""Follows a text while a transformers model writes it: pieces out, stop strings, the end."""

from dataclasses import dataclass

from transformers import LogitsProcessorList

from storyloom.generators.hf_loading import Loaded
from storyloom.generators.hf_prompts import Detokenizer
from storyloom.generators.hf_schema import SchemaConstraint
from storyloom.generators.pump import Emit
from storyloom.generators.stops import StopFilter
from storyloom.memory.generation import Finish, Piece, Request, Usage


@dataclass(frozen=True, slots=True)
class Task:
    """A request as a transformers model takes it.

    Attributes:
        request: what was asked.
        ids: the prompt's tokens, at least one.
        chain: chooses each token; it belongs to this request alone.
        schema: the first of the chain where a schema was asked for.
    """

    request: Request
    ids: list[int]
    chain: LogitsProcessorList
    schema: SchemaConstraint | None

    @property
    def most_tokens(self) -> int:
        """How many tokens prompt and text hold together at most."""
        return len(self.ids) + self.request.max_tokens


class Writing:
    """Passes on each token's text as it is chosen, and says when to stop."""

    def __init__(self, loaded: Loaded, task: Task, emit: Emit):
        self._ends = frozenset(loaded.ends)
        self._detokenizer = Detokenizer(loaded.tokenizer, task.ids)
        self._stops = StopFilter(task.request.stop)
        self._emit = emit
        self._schema = task.schema
        self._prompt_tokens = len(task.ids)
        self._most = task.request.max_tokens
        self._count = 0
        self._finish: Finish = "length"

    def take(self, token: int) -> bool:
        """Whether the text ends with this token.

        Raises:
            ModelFailed: it breaks the schema.
        """
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
        return cancelled or self._count >= self._most

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
