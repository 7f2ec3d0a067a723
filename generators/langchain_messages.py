"""Translates messages, usage and schemas between Storyloom and LangChain."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata

from storyloom.memory.errors import UnsupportedRequest
from storyloom.memory.generation import Finish, Message, Piece, Prompt, Role, Usage

_ROLES: Mapping[str, Role] = {"system": "system", "human": "user", "ai": "assistant"}
_KINDS: Mapping[Role, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


def usage_from(usage: UsageMetadata | None, prompt_tokens: int, pieces: int, finish: Finish) -> Usage:
    """The chat model's counts; without them, our count of the prompt and the number of pieces."""
    if usage is None:
        return Usage(prompt_tokens=prompt_tokens, completion_tokens=pieces, finish=finish)
    return Usage(
        prompt_tokens=usage["input_tokens"],
        completion_tokens=usage["output_tokens"],
        cached_tokens=usage.get("input_token_details", {}).get("cache_read", 0),
        finish=finish,
    )


def to_chunk(piece: Piece, model_name: str) -> AIMessageChunk:
    """A piece as LangChain streams it; the last one carries the usage."""
    if piece.usage is None:
        return AIMessageChunk(content=piece.text)
    counts = piece.usage
    return AIMessageChunk(
        content=piece.text,
        response_metadata={"finish_reason": counts.finish, "model_name": model_name},
        usage_metadata=UsageMetadata(
            input_tokens=counts.prompt_tokens,
            output_tokens=counts.completion_tokens,
            total_tokens=counts.prompt_tokens + counts.completion_tokens,
            input_token_details={"cache_read": counts.cached_tokens},
        ),
        chunk_position="last",
    )


def from_langchain(messages: list[BaseMessage]) -> tuple[Message, ...]:
    """A chat of LangChain's as ours.

    Raises:
        UnsupportedRequest: a message holds anything but text, or comes from a tool.
    """
    return tuple(_message(message) for message in messages)


def _message(message: BaseMessage) -> Message:
    role = _ROLES.get(message.type)
    blocks = message.content if isinstance(message.content, list) else []
    others = {block.get("type") for block in blocks if isinstance(block, dict)} - {"text"}
    if role is None or others or getattr(message, "tool_calls", None):
        what = ", ".join(sorted(map(str, others))) or message.type
        raise UnsupportedRequest(f"Only system, human and AI messages of text can be given, not {what}.")
    return Message(role, str(message.text))


def to_langchain(prompt: Prompt) -> list[BaseMessage]:
    """A chat of ours as LangChain's; a plain text becomes a person's message."""
    turns = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    return [_KINDS[turn.role](content=turn.content) for turn in turns]


def schema_in(form: Any) -> dict[str, Any] | None:
    """The JSON schema of OpenAI's ``response_format``, or None.

    Raises:
        UnsupportedRequest: it is of another form.
    """
    if form is None:
        return None
    try:
        return dict(form["json_schema"]["schema"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnsupportedRequest("A response_format must be a json_schema that holds its schema.") from error
