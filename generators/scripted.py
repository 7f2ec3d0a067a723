"""A text model that reads its replies from a file: for tests and demonstrations, deterministic.

A text file holds replies parted by lines of ``---``, given in order and then from the start again.
A JSON file holds either such a list or rules::

    {"replies": ["One.", "Two."], "loop": false}
    {"rules": [{"match": "part of a prompt", "replies": ["Paragraph {n}."]}],
     "default": ["Something else."], "context_tokens": 2048, "delay_seconds": 0.01}

The first rule whose ``match`` stands in the prompt gives the reply; each rule goes through its own
replies in turn, and may have a ``delay_seconds`` of its own. In a reply ``{n}`` is the number of the call
(from 1) and ``{seed}`` the request's seed. A reply ``{"error": "text"}`` fails the call. Tokens are words:
each run of letters between white space is one.
"""

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from storyloom.memory.errors import InvalidSetting, ModelFailed, PromptTooLong
from storyloom.memory.generation import Finish, Piece, Prompt, Request, Sampling, Usage

_DEFAULT_CONTEXT_TOKENS = 8192
_SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)
_WORD_WITH_SPACE = re.compile(r"\s*\S+|\s+$")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Error(_Strict):
    error: str


_Replies = Annotated[list[str | _Error], Field(min_length=1)]


class _Rule(_Strict):
    match: str
    replies: _Replies
    delay_seconds: float | None = Field(default=None, ge=0.0)


class _Script(_Strict):
    """The file's content. ``replies`` and ``default`` are two names of one thing, for lists and for rules."""

    rules: list[_Rule] = []
    replies: _Replies | None = None
    default: _Replies | None = None
    loop: bool = True
    context_tokens: int = Field(default=_DEFAULT_CONTEXT_TOKENS, gt=0)
    delay_seconds: float = Field(default=0.0, ge=0.0)


class ScriptedModel:
    """Replies from a file, in order. Accepts every sampler and schema, and heeds none of them."""

    def __init__(self, path: Path, *, name: str | None = None, context_tokens: int | None = None) -> None:
        """Read the file.

        Raises:
            InvalidSetting: the file can't be read, or isn't in the form that the module tells.
        """
        self._path = path
        self._script = _read(path)
        self._name = name or f"scripted:{path}"
        self._context_tokens = context_tokens or self._script.context_tokens
        self._lock = threading.Lock()
        self._calls = 0
        self._turns = {rule.match: _turns(rule.replies, self._script.loop) for rule in self._script.rules}
        fallback = self._script.default or self._script.replies
        self._fallback = _turns(fallback, self._script.loop) if fallback else iter(())

    @property
    def name(self) -> str:
        """The SPEC it was made from."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """How many words prompt and reply may hold together."""
        return self._context_tokens

    @property
    def parameters(self) -> int | None:
        """None: there are no weights."""
        return None

    @property
    def features(self) -> frozenset[str]:
        """Everything: a script doesn't care how it is asked."""
        return frozenset({"schema", "prefill", "completion", *Sampling.__dataclass_fields__})

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the words; a chat's roles count for nothing."""
        return len(_plain(prompt).split())

    def stream(self, request: Request) -> Iterator[Piece]:
        """Give the next reply word by word, cut at ``stop`` and ``max_tokens``.

        Raises:
            PromptTooLong: prompt and ``max_tokens`` don't fit ``context_tokens``.
            ModelFailed: the script says so, or has no reply left for this prompt.
        """
        prompt = _plain(request.prompt)
        prompt_tokens = len(prompt.split())
        if prompt_tokens + request.max_tokens > self._context_tokens:
            raise PromptTooLong(
                f"The prompt has {prompt_tokens} tokens and {request.max_tokens} more were asked for, but "
                f"{self._name} holds {self._context_tokens}. Shorten the prompt or write fewer tokens."
            )
        rule = next((rule for rule in self._script.rules if rule.match in prompt), None)
        reply = self._next_reply(rule, request.seed)
        own = rule.delay_seconds if rule else None
        delay = self._script.delay_seconds if own is None else own
        return self._speak(reply, request, prompt_tokens, delay)

    def close(self) -> None:
        """Nothing to free."""

    def _next_reply(self, rule: _Rule | None, seed: int | None) -> str:
        with self._lock:
            self._calls += 1
            number = self._calls
            reply = next(self._turns[rule.match] if rule else self._fallback, None)
        if reply is None:
            raise ModelFailed(f"The script {self._path} has no reply left for this prompt. Add one to it.")
        if isinstance(reply, _Error):
            raise ModelFailed(reply.error)
        return reply.replace("{n}", str(number)).replace("{seed}", str(seed))

    @staticmethod
    def _speak(reply: str, request: Request, prompt_tokens: int, delay: float) -> Iterator[Piece]:
        ends = [at for at in (reply.find(stop) for stop in request.stop if stop) if at >= 0]
        words = _WORD_WITH_SPACE.findall(reply[: min(ends)] if ends else reply)
        finish: Finish = "length" if len(words) > request.max_tokens else "stop"
        written = words[: request.max_tokens]
        for word in written:
            if delay:
                time.sleep(delay)
            yield Piece(word)
        usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=len(written), finish=finish)
        yield Piece("", usage)


def _plain(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(message.content for message in prompt)


def _turns(replies: list[str | _Error], loop: bool) -> Iterator[str | _Error]:
    return itertools.cycle(replies) if loop else iter(replies)


def _read(path: Path) -> _Script:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            replies = [part.strip() for part in _SEPARATOR.split(text)]
            return _Script.model_validate({"replies": [reply for reply in replies if reply]})
        script = _Script.model_validate(json.loads(text))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidSetting(f"The script {path} can't be read: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidSetting(f"The script {path} is malformed at {place!r}: {first['msg']}.") from error
    if not (script.rules or script.replies or script.default):
        raise InvalidSetting(
            f"The script {path} holds no replies. Give it `replies`, or `rules` and `default`."
        )
    if script.replies and script.default:
        raise InvalidSetting(f"The script {path} has both `replies` and `default`. Keep one of them.")
    return script
