"""A model call, made and kept as the story keeps it. Knows no agent."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from storyloom.memory.generation import Piece, Prompt, Request, Usage
from storyloom.memory.ports import TextModel
from storyloom.memory.story import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model wrote, and the record of how it was asked."""

    text: str
    usage: Usage
    call: Call

    def judged(self, verdict: str) -> Call:
        """The record, with what became of the answer: ``kept``, ``too short``, …."""
        return replace(self.call, verdict=verdict)


def ask(
    model: TextModel,
    request: Request,
    *,
    agent: str,
    on_text: Callable[[str], None] | None = None,
    enough: Callable[[str], bool] | None = None,
) -> Answer:
    """Call a model and record the call.

    Args:
        model: who is asked.
        request: what is asked.
        agent: who asks, such as ``writer``.
        on_text: gets each piece of text as it comes.
        enough: gets the whole text so far after each piece; True closes the stream, which stops
            the engine. It may raise: the stream is closed then too.

    Raises:
        UnsupportedRequest, PromptTooLong, ModelFailed: as ``TextModel.stream`` does.
    """
    started = time.monotonic()
    text, usage, cached = "", None, 0
    with closing(_closable(model.stream(request))) as pieces:
        for piece in pieces:
            text += piece.text
            usage = piece.usage or usage
            cached = piece.cached or cached
            if on_text is not None and piece.text:
                on_text(piece.text)
            if usage is None and enough is not None and enough(text):
                break
    usage = usage or _counted(model, request.prompt, text, cached)
    return Answer(
        text=text,
        usage=usage,
        call=Call(
            agent=agent,
            model=model.name,
            prompt=readable(request.prompt),
            reply=text,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            seed=request.seed,
            seconds=time.monotonic() - started,
        ),
    )


def readable(prompt: Prompt) -> str:
    """A prompt as a person reads it: one ``<role>`` line before each turn of a chat."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"<{message.role}>\n{message.content}" for message in prompt)


def _closable(pieces: Iterator[Piece]) -> Generator[Piece]:
    """The stream itself when it can be closed, which stops its engine; else a generator around it."""
    return pieces if isinstance(pieces, Generator) else (piece for piece in pieces)


def _counted(model: TextModel, prompt: Prompt, text: str, cached: int) -> Usage:
    """The usage of a stream that was closed before it told: counted afterwards."""
    return Usage(
        prompt_tokens=model.count_tokens(prompt),
        completion_tokens=model.count_tokens(text) if text else 0,
        cached_tokens=cached,
        finish="cancelled",
    )
