"""Our engines as LangChain chat models, and chat models as our engines."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import BaseModel

from storyloom.generators.langchain import LangChainTextModel, StoryloomChatModel
from storyloom.generators.scripted import ScriptedModel
from storyloom.memory.errors import ModelFailed, PromptTooLong, UnsupportedRequest
from storyloom.memory.generation import Message, Piece, Prompt, Request, Sampling, Usage, collect

CHAT = (Message("system", "You are a novelist."), Message("user", "Write."))
TEXT = "The lamp burns on and on."


class Recorder:
    """A text model that notes its requests."""

    def __init__(self, text: str = TEXT):
        self.name = "recorder"
        self.context_tokens = 100
        self.parameters = None
        self.features = frozenset({"schema", "prefill", "temperature", "top_k", "dry_multiplier"})
        self.requests: list[Request] = []
        self.closed = False
        self._text = text

    def stream(self, request: Request) -> Iterator[Piece]:
        self.requests.append(request)
        try:
            for word in self._text.split(" "):
                yield Piece(word + " ")
            yield Piece("", Usage(prompt_tokens=7, completion_tokens=6, cached_tokens=3, finish="length"))
        finally:
            self.closed = True

    def count_tokens(self, prompt: Prompt) -> int:
        return len(prompt)

    def close(self) -> None:
        """Nothing to free."""


class Mood(BaseModel):
    mood: str


@pytest.fixture
def engine() -> Recorder:
    return Recorder()


def test_a_chat_model_gives_text_and_usage(engine: Recorder) -> None:
    answer = StoryloomChatModel(text_model=engine).invoke([SystemMessage("S"), HumanMessage("H")])
    assert answer.content == TEXT + " "
    assert answer.usage_metadata == {
        "input_tokens": 7,
        "output_tokens": 6,
        "total_tokens": 13,
        "input_token_details": {"cache_read": 3},
    }
    assert answer.response_metadata == {"finish_reason": "length", "model_name": "recorder"}
    assert engine.requests[0].prompt == (Message("system", "S"), Message("user", "H"))


def test_settings_and_calls_reach_the_engine(engine: Recorder) -> None:
    chat = StoryloomChatModel(
        text_model=engine, max_tokens=9, temperature=0.3, seed=1, sampling=Sampling(top_k=5), stop=["X"]
    )
    chat.invoke("H")
    chat.invoke("H", stop=["Y"], max_tokens=3, temperature=0.9, seed=2, dry_multiplier=0.8)
    first, second = engine.requests
    assert first == Request(
        prompt=(Message("user", "H"),),
        max_tokens=9,
        stop=("X",),
        seed=1,
        sampling=Sampling(temperature=0.3, top_k=5),
    )
    assert (second.stop, second.max_tokens, second.seed) == (("Y",), 3, 2)
    assert second.sampling == Sampling(temperature=0.9, top_k=5, dry_multiplier=0.8)


def test_a_chat_ends_the_engine_when_its_reader_leaves(engine: Recorder) -> None:
    stream = StoryloomChatModel(text_model=engine).stream("H")
    next(stream)
    assert not engine.closed
    stream.close()  # type: ignore[attr-defined]
    assert engine.closed


def test_structured_output_is_asked_of_the_engine() -> None:
    engine = Recorder('{"mood": "calm"}')
    chat = StoryloomChatModel(text_model=engine)
    assert chat.with_structured_output(Mood).invoke("H") == Mood(mood="calm")
    assert chat.with_structured_output(Mood.model_json_schema()).invoke("H") == {"mood": "calm"}
    for request in engine.requests:
        assert request.schema is not None
        assert request.schema["properties"]["mood"]["type"] == "string"


def test_structured_output_with_its_raw_message() -> None:
    broken = StoryloomChatModel(text_model=Recorder("no object"))
    answer = broken.with_structured_output(Mood, include_raw=True).invoke("H")
    assert isinstance(answer, dict)
    assert answer["raw"].content == "no object "
    assert answer["parsed"] is None
    assert answer["parsing_error"] is not None


def test_what_a_chat_cannot_do_is_an_error(engine: Recorder) -> None:
    chat = StoryloomChatModel(text_model=engine)
    with pytest.raises(UnsupportedRequest, match="tools"):
        chat.invoke("H", tools=[{}])
    with pytest.raises(UnsupportedRequest, match="tools"):
        chat.get_num_tokens_from_messages([HumanMessage("H")], tools=[{}])
    with pytest.raises(UnsupportedRequest, match="json_schema"):
        chat.invoke("H", response_format={"type": "json_object"})
    with pytest.raises(UnsupportedRequest, match="image"):
        chat.invoke([HumanMessage([{"type": "image", "url": "x"}])])
    with pytest.raises(UnsupportedRequest, match="tool"):
        chat.invoke([ToolMessage("result", tool_call_id="1")])
    with pytest.raises(ValueError, match="tone"):
        chat.with_structured_output(Mood, tone="warm")


def test_text_in_blocks_is_text(engine: Recorder) -> None:
    StoryloomChatModel(text_model=engine).invoke([HumanMessage([{"type": "text", "text": "a"}, "b"])])
    assert engine.requests[0].prompt == (Message("user", "ab"),)


def test_tokens_are_counted_by_the_engine(engine: Recorder) -> None:
    chat = StoryloomChatModel(text_model=engine)
    assert chat.get_num_tokens("four") == 4
    assert chat.get_num_tokens_from_messages([HumanMessage("H"), AIMessage("A")]) == 2


def test_the_engine_is_kept_out_of_what_is_stored(engine: Recorder) -> None:
    assert "text_model" not in StoryloomChatModel(text_model=engine).model_dump()


def fake(*replies: str) -> BaseChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage(reply) for reply in replies]))


def test_a_chat_model_of_langchain_is_a_text_model() -> None:
    model = LangChainTextModel(fake(TEXT), context_tokens=500)
    pieces = list(model.stream(Request(prompt=CHAT, max_tokens=50)))
    assert len(pieces) > 3
    assert collect(pieces).text == TEXT
    assert collect(pieces).usage.prompt_tokens == model.count_tokens(CHAT)
    assert (model.name, model.context_tokens, model.parameters) == (
        "langchain:GenericFakeChatModel",
        500,
        None,
    )
    assert model.features == frozenset()


def test_stop_strings_hold_even_where_the_chat_model_ignores_them() -> None:
    model = LangChainTextModel(fake(TEXT), context_tokens=500)
    reply = collect(model.stream(Request(prompt=CHAT, max_tokens=50, stop=("on and",))))
    assert (reply.text, reply.usage.finish) == ("The lamp burns ", "stop")


@pytest.mark.parametrize(
    ("request_", "missing"),
    [
        (Request(prompt="Once", max_tokens=5), "completion"),
        (Request(prompt=(*CHAT, Message("assistant", "The")), max_tokens=5), "prefill"),
        (Request(prompt=CHAT, max_tokens=5, schema={}), "schema"),
        (
            Request(prompt=CHAT, max_tokens=5, sampling=Sampling(temperature=1.0, top_k=2)),
            "temperature, top_k",
        ),
    ],
)
def test_what_was_not_said_to_be_accepted_is_an_error(request_: Request, missing: str) -> None:
    with pytest.raises(UnsupportedRequest, match=missing):
        collect(LangChainTextModel(fake(TEXT), context_tokens=500).stream(request_))


def test_a_prompt_that_cannot_fit_is_refused() -> None:
    with pytest.raises(PromptTooLong, match="20 in all"):
        collect(LangChainTextModel(fake(TEXT), context_tokens=20).stream(Request(prompt=CHAT, max_tokens=10)))


class Failing(GenericFakeChatModel):
    def _stream(self, *_args: Any, **_kwargs: Any) -> Iterator[ChatGenerationChunk]:
        raise KeyError("quota")

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        raise KeyError("quota")


def test_any_error_of_the_chat_model_is_told() -> None:
    model = LangChainTextModel(Failing(messages=iter([])), context_tokens=500, name="theirs")
    with pytest.raises(ModelFailed, match="theirs failed with KeyError: 'quota'"):
        collect(model.stream(Request(prompt=CHAT, max_tokens=5)))


def test_tokens_are_estimated_without_any_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("counting touched the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = LangChainTextModel(fake(TEXT), context_tokens=500)
    assert model.count_tokens("abc") == 1
    assert model.count_tokens(CHAT) == 7 + 2 + 2 * 8 + 3


def test_there_and_back_again(tmp_path: Path) -> None:
    path = tmp_path / "replies.json"
    path.write_text(json.dumps({"replies": [TEXT, "Call {n} with seed {seed}."]}))
    engine = ScriptedModel(path)
    accepts = engine.features | {"seed", "max_tokens"}
    chat = StoryloomChatModel(text_model=engine)
    model = LangChainTextModel(chat, context_tokens=engine.context_tokens, accepts=accepts)
    assert model.features == engine.features - {"completion"}
    assert model.count_tokens(CHAT) == engine.count_tokens(CHAT)
    first = collect(model.stream(Request(prompt=CHAT, max_tokens=3)))
    assert (first.text, first.usage.finish, first.usage.completion_tokens) == ("The lamp burns", "length", 3)
    second = collect(model.stream(Request(prompt=CHAT, max_tokens=20, seed=4, stop=("seed 4.",))))
    assert second.text == "Call 2 with "


def test_there_and_back_again_keeps_every_part_of_a_request() -> None:
    engine = Recorder()
    accepts = engine.features | {"seed", "max_tokens"}
    model = LangChainTextModel(StoryloomChatModel(text_model=engine), context_tokens=100, accepts=accepts)
    request = Request(
        prompt=(*CHAT, Message("assistant", "The")),
        max_tokens=12,
        stop=("!",),
        seed=3,
        sampling=Sampling(temperature=0.5, top_k=4),
        schema={"type": "object"},
    )
    reply = collect(model.stream(request))
    assert engine.requests == [request]
    assert reply.usage == Usage(prompt_tokens=7, completion_tokens=6, cached_tokens=3, finish="length")
