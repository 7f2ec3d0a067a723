"""What is asked of a text model and what comes back. Knows no engine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn. A last turn by the assistant is a prefill: the model goes on from it."""

    role: Role
    content: str


# A chat, or the raw text of a plain completion.
Prompt = tuple[Message, ...] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn. ``None`` means not asked for: the sampler is off.

    Windows and lengths are in tokens. An engine that lacks a sampler that is asked for raises
    ``UnsupportedRequest`` and names it.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repetition_penalty: float | None = None
    repetition_window: int | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_window: int | None = None
    dry_breakers: tuple[str, ...] | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: Literal[1, 2] | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of a model.

    Attributes:
        prompt: chat messages, or a string for plain completion.
        max_tokens: most tokens to write.
        stop: strings that end the text; they are not part of it.
        seed: equal seeds and prompts give equal text where the engine can promise it.
        sampling: how tokens are drawn.
        schema: a JSON schema that the whole text must satisfy, or None.
        state: what the model's neural memory holds before the prompt, by ``RememberingModel.remember``;
            None for nothing.
    """

    prompt: Prompt
    max_tokens: int
    stop: tuple[str, ...] = ()
    seed: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    schema: Mapping[str, Any] | None = None
    state: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call cost. ``cached_tokens`` of ``prompt_tokens`` were not read again."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    finish: Finish = "stop"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of streamed text; the last piece of a stream carries the usage.

    ``cached``, on the first piece, is how many tokens of the prompt were not read again, where the
    engine knows that early: a stream that is closed never gets to its usage.
    """

    text: str
    usage: Usage | None = None
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A stream read to its end."""

    text: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model finds a given text: the natural log-probabilities of its tokens, added up.

    Attributes:
        log_probability: in nats, never above 0.
        tokens: how many tokens the text has.
    """

    log_probability: float
    tokens: int


def collect(pieces: Iterable[Piece]) -> Reply:
    """Read a stream to its end.

    Raises:
        ValueError: the stream broke its contract and ended without usage.
    """
    text: list[str] = []
    usage: Usage | None = None
    for piece in pieces:
        text.append(piece.text)
        usage = piece.usage or usage
    if usage is None:
        raise ValueError("a text model's stream ended without usage")
    return Reply("".join(text), usage)
