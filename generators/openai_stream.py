"""Reads the server-sent events of an OpenAI-compatible server's answer."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from storyloom.generators.openai_errors import said_in
from storyloom.generators.stops import StopFilter
from storyloom.memory.errors import ModelFailed
from storyloom.memory.generation import Finish, Piece, Request, Usage


def read_stream(
    response: httpx.Response, request: Request, *, model: str, prompt_tokens: int
) -> Iterator[Piece]:
    """The text as it comes, then the usage.

    Args:
        response: an open answer whose text is still unread.
        request: what was asked; its stop strings are watched for here too.
        model: named in errors.
        prompt_tokens: told in the usage when the server doesn't count.

    Raises:
        ModelFailed: the answer breaks off, or is not what the interface says.
    """
    yield from _Reading(model, request, prompt_tokens).pieces(response)


class _Reading:
    """Reads one streamed answer."""

    def __init__(self, name: str, request: Request, prompt_tokens: int):
        self._name = name
        self._prompt_tokens = prompt_tokens
        self._stops = StopFilter(request.stop)
        self._finish: Finish | None = None
        self._usage: dict[str, Any] = {}
        self._chunks = 0

    def pieces(self, response: httpx.Response) -> Iterator[Piece]:
        """The text as it comes, then the usage."""
        for event in self._events(response):
            if text := self._stops.feed(self._take(event)):
                yield Piece(text)
            if self._stops.stopped:
                self._finish = "stop"
                break
        if self._finish is None:
            raise ModelFailed(
                f"The server of {self._name} broke off in the middle of its answer. Ask again, and look into "
                "its log if it happens again."
            )
        yield Piece(self._stops.flush(), self._counts())

    def _events(self, response: httpx.Response) -> Iterator[dict[str, Any]]:
        """The JSON objects of the event stream, up to ``[DONE]``."""
        for line in response.iter_lines():
            field, _, value = line.partition(":")
            if field == "error":
                raise self._broken(f"error{said_in(_parsed(value)) or value}")
            if field != "data" or not value.strip():
                continue
            if value.strip() == "[DONE]":
                return
            event = _parsed(value)
            if not isinstance(event, dict):
                raise self._broken("no JSON object where one is due")
            if "error" in event:
                raise self._broken(f"error{said_in(event)}")
            yield event

    def _take(self, event: dict[str, Any]) -> str:
        """Note what an event tells, and return its text."""
        if isinstance(event.get("usage"), dict):
            self._usage = event["usage"]
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return ""
        choice = choices[0]
        reason = choice.get("finish_reason")
        if reason == "content_filter":
            raise self._broken("the server's content filter cut the text")
        if reason is not None:
            self._finish = "length" if reason == "length" else "stop"
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
        if not isinstance(text, str):
            return ""
        self._chunks += bool(text)
        return text

    def _counts(self) -> Usage:
        """The server's counts; without them, our count of the prompt and the number of pieces."""
        details = self._usage.get("prompt_tokens_details")
        return Usage(
            prompt_tokens=_count(self._usage.get("prompt_tokens")) or self._prompt_tokens,
            completion_tokens=_count(self._usage.get("completion_tokens")) or self._chunks,
            cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else 0,
            finish=self._finish or "stop",
        )

    def _broken(self, what: str) -> ModelFailed:
        return ModelFailed(
            f"The server of {self._name} sent an unusable answer: {what}. Ask again, or look into its log."
        )


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
