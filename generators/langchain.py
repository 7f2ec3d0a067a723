"""Both ways between Storyloom and LangChain: our engines as chat models, chat models as our engines."""

from collections.abc import Iterator
from dataclasses import fields, replace
from operator import itemgetter
from typing import Annotated, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import BaseLanguageModel, LangSmithParams
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, Field, SkipValidation

from storyloom.generators.estimate import estimate_tokens
from storyloom.generators.langchain_messages import (
    from_langchain,
    schema_in,
    to_chunk,
    to_langchain,
    usage_from,
)
from storyloom.generators.stops import StopFilter
from storyloom.memory.errors import ModelFailed, PromptTooLong, StoryloomError, UnsupportedRequest
from storyloom.memory.generation import Finish, Piece, Prompt, Request, Sampling
from storyloom.memory.ports import TextModel

_SAMPLERS = frozenset(field.name for field in fields(Sampling))


class StoryloomChatModel(BaseChatModel):
    """A text model of ours as a LangChain chat model.

    Besides ``stop``, a call takes ``max_tokens``, ``seed``, ``response_format`` (OpenAI's, with a JSON
    schema) and every field of ``Sampling`` by name; each stands in for the one given here. Tools are not
    supported.
    A last message by the model itself is a prefill where the engine has that.
    """

    text_model: Annotated[TextModel, SkipValidation] = Field(exclude=True)
    max_tokens: int = 512
    temperature: float | None = None
    sampling: Sampling = Field(default_factory=Sampling)
    seed: int | None = None
    stop: list[str] | None = None

    @property
    def model_name(self) -> str:
        """The engine's SPEC."""
        return self.text_model.name

    @property
    def _llm_type(self) -> str:
        return "storyloom"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What LangChain tells its cache two models apart by."""
        return {
            "model": self.model_name,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "sampling": self.sampling,
            "seed": self.seed,
            "stop": self.stop,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return super()._get_ls_params(stop=stop or self.stop, **kwargs) | {"ls_provider": "storyloom"}

    def get_num_tokens(self, text: str) -> int:
        """Count a text by the engine."""
        return self.text_model.count_tokens(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Any = None) -> int:
        """Count a chat by the engine, its template's own tokens included.

        Raises:
            UnsupportedRequest: there are tools, or messages that hold anything but text.
        """
        if tools:
            raise UnsupportedRequest(f"{self.model_name} can't be given tools.")
        return self.text_model.count_tokens(from_langchain(messages))

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Answers in the schema's form, which the engine is held to token by token.

        Args:
            schema: a JSON schema, an OpenAI tool, a TypedDict or a pydantic model.
            include_raw: return raw message, parsed value and error instead of the parsed value alone.
            **kwargs: ``method`` and ``strict`` are taken and change nothing: the text is always constrained.
        """
        if unknown := set(kwargs) - {"method", "strict"}:
            raise ValueError(f"with_structured_output has no {', '.join(sorted(unknown))}")
        form = {"type": "json_schema", "json_schema": {"schema": convert_to_json_schema(schema)}}
        bound = self.bind(
            response_format=form,
            ls_structured_output_format={"kwargs": {"method": "json_schema"}, "schema": schema},
        )
        parser: BaseOutputParser[Any] = JsonOutputParser()
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=schema)
        if not include_raw:
            return bound | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        ).with_fallbacks([RunnablePassthrough.assign(parsed=lambda _: None)], exception_key="parsing_error")
        return RunnableMap(raw=bound) | parsed

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for piece in self.text_model.stream(self._request(messages, stop, kwargs)):
            chunk = ChatGenerationChunk(message=to_chunk(piece, self.model_name))
            if run_manager and piece.text:
                run_manager.on_llm_new_token(piece.text, chunk=chunk)
            yield chunk

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Request:
        given = {name: value for name, value in options.items() if value is not None}
        samplers = {name: given.pop(name) for name in _SAMPLERS & set(given)}
        if self.temperature is not None:
            samplers.setdefault("temperature", self.temperature)
        request = Request(
            prompt=from_langchain(messages),
            max_tokens=given.pop("max_tokens", self.max_tokens),
            stop=tuple((self.stop or []) if stop is None else stop),
            seed=given.pop("seed", self.seed),
            sampling=replace(self.sampling, **samplers),
            schema=schema_in(given.pop("response_format", None)),
        )
        if given:
            raise UnsupportedRequest(f"{self.model_name} can't be given {', '.join(sorted(given))}.")
        return request


class LangChainTextModel:
    """A LangChain chat model as a text model of ours.

    How tokens are drawn is set where the chat model is made; a call can change only what ``accepts`` names.
    Tokens are counted by the chat model where its class brings a way of its own, else estimated (LangChain's
    own fallback, GPT-2's tokenizer, would be fetched from a hub): ``features`` has no ``exact_count``.

    Args:
        chat_model: any chat model; its calls must be safe from several threads.
        context_tokens: how many tokens prompt and completion may hold together.
        name: told in errors and kept with what it writes; by default its class's name.
        accepts: keyword arguments that a call of it takes: fields of ``Sampling``, ``seed``, ``max_tokens``,
            ``schema`` (as OpenAI's ``response_format``) and ``prefill`` (it goes on from a begun text).
    """

    def __init__(
        self,
        chat_model: BaseChatModel,
        *,
        context_tokens: int,
        name: str | None = None,
        accepts: frozenset[str] = frozenset({"max_tokens"}),
    ):
        self._chat_model = chat_model
        self._context_tokens = context_tokens
        self._name = name or f"langchain:{type(chat_model).__name__}"
        self._accepts = accepts

    @property
    def name(self) -> str:
        """What was given, else the class's name."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """What was given."""
        return self._context_tokens

    @property
    def parameters(self) -> int | None:
        """None: LangChain doesn't tell."""
        return None

    @property
    def features(self) -> frozenset[str]:
        """What ``accepts`` named; a chat model has no plain completion."""
        return self._accepts & (_SAMPLERS | {"schema", "prefill"})

    def stream(self, request: Request) -> Iterator[Piece]:
        """Write, piece by piece; closing the iterator closes the chat model's stream.

        Raises:
            UnsupportedRequest: a plain completion, or something that ``accepts`` doesn't name.
            PromptTooLong: prompt and ``max_tokens`` don't fit ``context_tokens``.
            ModelFailed: the chat model raised an error.
        """
        options = self._options(request)
        prompt_tokens = self.count_tokens(request.prompt)
        if prompt_tokens + request.max_tokens > self._context_tokens:
            raise PromptTooLong(
                f"The prompt has about {prompt_tokens} tokens and {request.max_tokens} are to be "
                f"written, but {self._name} holds {self._context_tokens} in all. Shorten the "
                "prompt, or ask for less text."
            )
        messages = to_langchain(request.prompt)
        try:
            yield from self._read(self._chat_model.stream(messages, **options), request, prompt_tokens)
        except StoryloomError:
            raise
        except Exception as error:
            raise ModelFailed(
                f"The chat model {self._name} failed with {type(error).__name__}: {str(error)[:300]}. "
                "Look into its settings, then ask again."
            ) from error

    def count_tokens(self, prompt: Prompt) -> int:
        """Count by the chat model if its class can, else estimate, rather too high."""
        kind, base = type(self._chat_model), BaseLanguageModel
        if (
            kind.get_num_tokens_from_messages is base.get_num_tokens_from_messages
            and kind.get_num_tokens is base.get_num_tokens
            and kind.get_token_ids is base.get_token_ids
            and self._chat_model.custom_get_token_ids is None
        ):
            return estimate_tokens(prompt)
        if isinstance(prompt, str):
            return self._chat_model.get_num_tokens(prompt)
        return self._chat_model.get_num_tokens_from_messages(to_langchain(prompt))

    def close(self) -> None:
        """Nothing to free: whoever made the chat model owns it."""

    def _options(self, request: Request) -> dict[str, Any]:
        """The keyword arguments of the call."""
        asked = {name: value for name in _SAMPLERS if (value := getattr(request.sampling, name)) is not None}
        needed = set(asked)
        if isinstance(request.prompt, str):
            needed.add("completion")
        elif request.prompt and request.prompt[-1].role == "assistant":
            needed.add("prefill")
        if request.schema is not None:
            needed.add("schema")
            form = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            asked["response_format"] = {"type": "json_schema", "json_schema": form}
        if missing := sorted(needed - self.features):
            raise UnsupportedRequest(
                f"The chat model {self._name} can't be asked for {', '.join(missing)}. Leave that out, "
                "or use another model."
            )
        optional = {"seed": request.seed, "max_tokens": request.max_tokens}
        asked |= {
            name: value for name, value in optional.items() if name in self._accepts and value is not None
        }
        return asked | ({"stop": list(request.stop)} if request.stop else {})

    def _read(
        self, chunks: Iterator[AIMessageChunk], request: Request, prompt_tokens: int
    ) -> Iterator[Piece]:
        """The text as it comes, cut at a stop string if the chat model didn't; then the usage."""
        stops = StopFilter(request.stop)
        usage: UsageMetadata | None = None
        finish: Finish = "stop"
        count = 0
        for chunk in chunks:
            count += bool(chunk.text)
            usage = chunk.usage_metadata or usage
            if chunk.response_metadata.get("finish_reason") in {"length", "max_tokens"}:
                finish = "length"
            if text := stops.feed(str(chunk.text)):
                yield Piece(text)
            if stops.stopped:
                finish = "stop"
                break
        yield Piece(stops.flush(), usage_from(usage, prompt_tokens, count, finish))
