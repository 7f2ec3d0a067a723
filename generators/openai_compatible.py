"""Any OpenAI-compatible server as a text model: llama-server, vLLM, Ollama, LM Studio, or a service.

What a server can be asked depends on what it is: llama-server (every sampler, exact counting, prefill) and
vLLM (some samplers, exact counting, prefill) are recognised by their list of models; of any other only
what OpenAI's own interface has is asked. Special tokens written in a prompt's text are read by the server as
it sees fit: llama-server takes them for control tokens.
"""

from collections.abc import Iterator
from typing import Any

from storyloom.generators.encodable import encodable
from storyloom.generators.estimate import estimate_tokens
from storyloom.generators.openai_sampling import parameters, samplers
from storyloom.generators.openai_server import OpenAIServer, ServerFacts
from storyloom.generators.openai_stream import read_stream
from storyloom.memory.errors import ModelFailed, PromptTooLong, UnsupportedRequest
from storyloom.memory.generation import Message, Piece, Prompt, Request

_UNKNOWN_CONTEXT = 4096
_SEEDS = 2**32 - 1  # llama-server takes 32 bits, and the highest means "draw one"
_MOST_STOPS = 4  # OpenAI's limit; further ones are watched for here


class OpenAICompatibleModel:
    """One model of one server. Nothing is asked of the server before the first use.

    Args:
        model: the server's name for it.
        base_url: such as ``http://127.0.0.1:8080/v1``.
        name: the SPEC that it was made from.
        api_key: sent as a bearer token, or None.
        context_tokens: a bound on the context; by default what the server tells, else 4096.
        timeout_seconds: longest silence of the server.
        retries: how many more times a request is sent, before its first token, to a server that is down,
            busy (429) or failing (5xx).
        backoff_seconds: the first pause between two tries; it doubles each time.

    Raises:
        InvalidSetting: the address or the key can't be used.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        name: str,
        api_key: str | None,
        context_tokens: int | None = None,
        timeout_seconds: float = 120,
        retries: int = 3,
        backoff_seconds: float = 0.5,
    ):
        self._model = model
        self._name = name
        self._context_tokens = context_tokens
        self._server = OpenAIServer(
            base_url,
            api_key=api_key,
            timeout_seconds=timeout_seconds,
            retries=retries,
            backoff_seconds=backoff_seconds,
        )

    @property
    def name(self) -> str:
        """The SPEC it was made from."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """The smaller of the setting and what the server tells; 4096 when neither is known."""
        known = [size for size in (self._context_tokens, self._facts().context_tokens) if size]
        return min(known, default=_UNKNOWN_CONTEXT)

    @property
    def parameters(self) -> int | None:
        """How many weights it has; only llama-server tells."""
        return self._facts().parameters

    @property
    def features(self) -> frozenset[str]:
        """``schema``, ``completion``, the server's samplers; ``prefill`` and ``exact_count`` where known."""
        kind = self._facts().kind
        extra = set() if kind == "other" else {"prefill", "exact_count"}
        return samplers(kind) | {"schema", "completion"} | extra

    def stream(self, request: Request) -> Iterator[Piece]:
        """Write, piece by piece; closing the iterator closes the connection, which stops the server.

        Raises:
            ModelUnavailable: the server is down, refuses the key, or doesn't know the model.
            UnsupportedRequest: the server lacks something that the request asks for.
            PromptTooLong: prompt and ``max_tokens`` don't fit ``context_tokens``.
            ModelFailed: the server is busy, silent, breaks off or answers rubbish.
        """
        prompt_tokens = self.count_tokens(request.prompt)
        if prompt_tokens + request.max_tokens > self.context_tokens:
            raise PromptTooLong(
                f"The prompt has {prompt_tokens} tokens and {request.max_tokens} are to be written, but "
                f"{self._name} holds {self.context_tokens} in all. Shorten the prompt, or ask for less text."
            )
        path = "completions" if isinstance(request.prompt, str) else "chat/completions"
        with self._server.stream(path, self._body(request)) as response:
            kind = response.headers.get("content-type", "")
            if "text/event-stream" not in kind:
                raise ModelFailed(
                    f"The server of {self._name} doesn't stream its answer: it sent {kind or 'nothing'}. "
                    "Check the address after the @ of openai:MODEL@BASE_URL."
                )
            yield from read_stream(response, request, model=self._name, prompt_tokens=prompt_tokens)

    def count_tokens(self, prompt: Prompt) -> int:
        """How many tokens the prompt has, the chat template's own included.

        Exact with llama-server and vLLM. Elsewhere (``features`` lacks ``exact_count``) the estimate of
        ``estimate.py``, which is rather too high.

        Raises:
            ModelUnavailable: the server can't be reached.
        """
        kind = self._facts().kind
        if kind == "llama.cpp":
            return self._count_by_llama_server(prompt)
        if kind == "vllm":
            return self._count_by_vllm(prompt)
        return estimate_tokens(prompt)

    def close(self) -> None:
        """Close all connections; calling it twice is harmless."""
        self._server.close()

    def _facts(self) -> ServerFacts:
        return self._server.facts(self._model)

    def _body(self, request: Request) -> dict[str, Any]:
        """The request as the server reads it."""
        kind = self._facts().kind
        body = parameters(request.sampling, kind, model=self._name, context_tokens=self.context_tokens)
        body |= {
            "model": self._model,
            "max_tokens": request.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._prompt(request.prompt),
        }
        if request.seed is not None:
            body["seed"] = request.seed % _SEEDS
        if request.stop:
            body["stop"] = list(request.stop if kind != "other" else request.stop[:_MOST_STOPS])
        if request.schema is not None:
            schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
            if kind == "llama.cpp" and isinstance(request.prompt, str):
                # llama-server heeds response_format only in chats.
                body["json_schema"] = dict(request.schema)
        return body

    def _prompt(self, prompt: Prompt) -> dict[str, Any]:
        """The prompt's part of a body; for vLLM also whether the last turn goes on."""
        if isinstance(prompt, str):
            return {"prompt": encodable(prompt)}
        kind = self._facts().kind
        if prompt and prompt[-1] == Message("assistant", ""):
            prompt = prompt[:-1]  # asks for nothing more than an answer
        part: dict[str, Any] = {
            "messages": [{"role": m.role, "content": encodable(m.content)} for m in prompt]
        }
        if prompt and prompt[-1].role == "assistant":
            if kind == "other":
                raise UnsupportedRequest(
                    f"The server of {self._name} isn't known to go on from a begun answer. Leave the "
                    "beginning out, or use llama-server or vLLM."
                )
            if kind == "vllm":
                part |= {"continue_final_message": True, "add_generation_prompt": False}
        return part

    def _count_by_llama_server(self, prompt: Prompt) -> int:
        if not isinstance(prompt, str):
            prompt = str(self._server.post("apply-template", self._prompt(prompt)).get("prompt", ""))
        body = {"content": encodable(prompt), "add_special": True, "parse_special": True}
        tokens = self._server.post("tokenize", body).get("tokens")
        return self._counted(len(tokens) if isinstance(tokens, list) else None)

    def _count_by_vllm(self, prompt: Prompt) -> int:
        count = self._server.post("tokenize", {"model": self._model, **self._prompt(prompt)}).get("count")
        return self._counted(count)

    def _counted(self, count: object) -> int:
        if not isinstance(count, int):
            raise ModelFailed(f"The server of {self._name} doesn't tell how many tokens a prompt has.")
        return count
