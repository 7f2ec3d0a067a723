"""Structured answers: by schema where the engine can, mended where it can't, saved in parts at last.

Knows shapes (pydantic models) and text models, and nothing of stories.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Set
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from storyloom.generators.salvage import Salvaged, salvage
from storyloom.memory.errors import UnsupportedRequest
from storyloom.memory.generation import Piece, Prompt, Reply, Request, Usage
from storyloom.memory.ports import TextModel

T = TypeVar("T", bound=BaseModel)

# A model that only adds white space has lost its way: inside JSON that is always allowed, so neither
# a grammar nor a stop string ends it.
_MOST_BLANKS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call as it was made, and the raw answer. ``seconds`` is wall-clock time."""

    request: Request
    reply: Reply
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Structured(Generic[T]):
    """The best answer of a bounded number of attempts; parts of different attempts are never mixed.

    Attributes:
        value: the whole answer, or None while required fields are missing.
        parts: the valid value of each field that could be used, by name.
        missing: the required fields that could not.
        repaired: the answer had to be mended.
        asked: every call, in order.
    """

    value: T | None
    parts: Mapping[str, Any]
    missing: tuple[str, ...]
    repaired: bool
    asked: tuple[Asked, ...]


def ask(
    model: TextModel,
    request: Request,
    shape: type[T],
    *,
    attempts: int = 2,
    needed: Collection[str] | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Structured[T]:
    """Ask for an answer of the given shape.

    Args:
        model: who is asked. Its engine gets the schema when its features hold ``schema``; the prompt
            must describe the shape in any case.
        request: the call; its own ``schema`` is replaced, and attempts after the first have seeds
            derived from its seed.
        shape: a pydantic model that isn't frozen; field names match whatever their case and spaces,
            and a ``validation_alias`` gives further names.
        attempts: most calls made.
        needed: fields without which it is asked again; by default all that are required.
        on_text: gets each raw piece of every attempt. It may raise: the stream is closed then.

    Raises:
        UnsupportedRequest, PromptTooLong, ModelFailed: as ``TextModel.stream`` does.
    """
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, not {attempts}")
    wanted = set(_required(shape) if needed is None else needed)
    schema = strict_schema(shape) if "schema" in model.features else None
    asked: list[Asked] = []
    best: Salvaged | None = None
    for attempt in range(attempts):
        attempted = replace(request, schema=schema, seed=derived_seed(request.seed, attempt))
        asked.append(_call(model, attempted, on_text))
        got = salvage(asked[-1].reply.text, shape)
        if best is None or _worth(got, wanted) > _worth(best, wanted):
            best = got
        if wanted.isdisjoint(best.missing):
            break
    assert best is not None
    return Structured(
        value=_whole(best, shape),
        parts=best.parts,
        missing=best.missing,
        repaired=best.repaired,
        asked=tuple(asked),
    )


def strict_schema(shape: type[BaseModel]) -> dict[str, Any]:
    """The shape's JSON schema in the strict form that engines take: nothing optional, nothing more.

    The order of fields is kept: a model writes them in that order.
    """
    strict: dict[str, Any] = _strict(shape.model_json_schema())
    return strict


def derived_seed(seed: int | None, attempt: int) -> int | None:
    """The seed of a later attempt: below 2**31 and far from its neighbours'; the first keeps its own."""
    if seed is None or attempt == 0:
        return seed
    digest = hashlib.blake2b(f"attempt:{seed}:{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Within "properties" and "$defs" keys are names, not keywords.
    strict = {
        key: {name: _strict(inner) for name, inner in value.items()}
        if key in {"properties", "$defs"}
        else _strict(value)
        for key, value in schema.items()
        if key not in {"title", "default"}
    }
    if "properties" in strict:
        strict |= {"additionalProperties": False, "required": list(strict["properties"])}
    return strict


def _call(model: TextModel, request: Request, on_text: Callable[[str], None] | None) -> Asked:
    """Make the call; an engine that has schemas but not this one's, or not now, is asked without."""
    started = time.monotonic()
    try:
        reply = _read(model, request, on_text)
    except UnsupportedRequest:
        if request.schema is None:
            raise
        request = replace(request, schema=None)
        reply = _read(model, request, on_text)
    return Asked(request=request, reply=reply, seconds=time.monotonic() - started)


def _read(model: TextModel, request: Request, on_text: Callable[[str], None] | None) -> Reply:
    """Read the stream to its end, or until nothing but white space comes."""
    texts: list[str] = []
    usage: Usage | None = None
    blanks = 0
    with closing(_closable(model.stream(request))) as pieces:
        for piece in pieces:
            texts.append(piece.text)
            usage = piece.usage or usage
            if on_text is not None and piece.text:
                on_text(piece.text)
            blanks = blanks + len(piece.text) if not piece.text.strip() else 0
            if usage is None and blanks > _MOST_BLANKS:
                break
    text = "".join(texts)
    return Reply(text, usage or _counted(model, request.prompt, text))


def _closable(pieces: Iterator[Piece]) -> Generator[Piece]:
    """The stream itself when closing it stops the engine; else a generator around it."""
    return pieces if isinstance(pieces, Generator) else (piece for piece in pieces)


def _counted(model: TextModel, prompt: Prompt, text: str) -> Usage:
    """The usage of a stream that was closed before it told."""
    return Usage(
        prompt_tokens=model.count_tokens(prompt),
        completion_tokens=model.count_tokens(text) if text else 0,
        finish="cancelled",
    )


def _required(shape: type[BaseModel]) -> list[str]:
    return [name for name, field in shape.model_fields.items() if field.is_required()]


def _worth(answer: Salvaged, wanted: Set[str]) -> tuple[int, int, bool]:
    """What makes one answer better than another: needed fields first, then any, then a clean form."""
    return len(wanted & answer.parts.keys()), len(answer.parts), not answer.repaired


def _whole(answer: Salvaged, shape: type[T]) -> T | None:
    if answer.missing:
        return None
    try:
        return shape.model_validate(dict(answer.parts), by_alias=True, by_name=True)
    except ValidationError:  # a rule across fields
        return None
