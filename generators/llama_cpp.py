"""llama.cpp as a text model: ``starter`` and ``gguf:PATH``. Knows no story and no settings."""

import functools
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from storyloom.generators.cores import calm_openmp, physical_cores
from storyloom.generators.encodable import encodable
from storyloom.generators.free_memory import cells_for
from storyloom.generators.gguf_format import GgufHead, read_head
from storyloom.generators.gguf_rope import engine_settings
from storyloom.generators.llama_sampling import completion_body
from storyloom.generators.llama_server import Chunk, LlamaServer, Room, free_engine_bytes
from storyloom.generators.pump import Emit, pump
from storyloom.generators.rope import Rope
from storyloom.memory.errors import InvalidSetting, ModelFailed, PromptTooLong
from storyloom.memory.generation import Message, Piece, Prompt, Request, Sampling, Usage

_DEFAULT_CONTEXT_TOKENS = 8192
_COUNTS_KEPT = 512
# For beginnings of prompts beyond those in the slots: some 80 of the starter's, of 1,000 tokens.
_MOST_KEPT_BYTES = 2 << 30


class LlamaCppModel:
    """A GGUF model in this process. It is loaded at the first use, or by ``load``.

    A request may use the whole context, and all slots may do so at once where memory has room for that. In
    reproducible mode one runs at a time and reads its whole prompt again, and equal requests give equal text.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        context_tokens: int | None = None,
        slots: int = 4,
        threads: int | None = None,
        reproducible: bool = False,
        rope: Rope | None = None,
    ) -> None:
        """Remember what to load; nothing is read yet.

        Args:
            path: the GGUF file.
            name: the SPEC it was made from.
            context_tokens: None for what the model was trained with, at most 8,192.
            slots: how many requests may run at once.
            threads: None for one a physical core.
            reproducible: equal requests give equal text, at the cost of the prefix cache.
            rope: how it shall read longer texts than it was trained with; None for as it is.
        """
        calm_openmp()
        self._path = path
        self._name = name
        self._asked_context = context_tokens
        self._slots = 1 if reproducible else slots
        self._threads = threads or physical_cores()
        self._reproducible = reproducible
        self._rope = rope
        self._lock = threading.Lock()
        self._server: LlamaServer | None = None
        self._room: Room | None = None
        # Stands in a rendered chat for the opening of a control token that is only text.
        self._mark = f"\ue000{secrets.token_hex(8)}"
        self._token_ids = functools.lru_cache(_COUNTS_KEPT)(self._tokenize)

    @property
    def name(self) -> str:
        """The SPEC it was made from."""
        return self._name

    @functools.cached_property
    def _head(self) -> GgufHead:
        return read_head(self._path)

    @functools.cached_property
    def context_tokens(self) -> int:
        """How many tokens one request may hold, prompt and completion together."""
        trained = self._head.training_context or _DEFAULT_CONTEXT_TOKENS
        most = self._rope.longer(trained) if self._rope else trained
        if self._asked_context is None:
            return min(most, _DEFAULT_CONTEXT_TOKENS)
        if not 0 < self._asked_context <= most:
            raise InvalidSetting(
                f"A context of {self._asked_context} tokens was asked for, but {self._path.name} was trained "
                f"with {trained}. Ask for a number from 1 to {most}."
            )
        return self._asked_context

    @property
    def parameters(self) -> int | None:
        """How many weights the file holds."""
        return self._head.parameters

    @property
    def features(self) -> frozenset[str]:
        """Everything that can be asked: llama.cpp has all of the samplers."""
        return frozenset({"schema", "prefill", "completion", *Sampling.__dataclass_fields__})

    def load(self) -> None:
        """Load the model now, if it isn't yet.

        Raises:
            ModelUnavailable: the file is missing or damaged, or llama.cpp can't be loaded.
            InvalidSetting: the context asked for is longer than the model's, or its RoPE can't be changed so.
        """
        self._loaded()

    def close(self) -> None:
        """Free the model once the streams in flight have ended; another use loads it again."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens as the engine does, the chat template's included."""
        return len(self._token_ids(prompt))

    def stream(self, request: Request) -> Iterator[Piece]:
        """Write, piece by piece; closing the iterator stops the engine.

        Raises:
            UnsupportedRequest: an impossible combination of samplers, or a schema that can't be followed.
            PromptTooLong: prompt and ``max_tokens`` don't fit ``context_tokens``.
            ModelFailed: the engine broke off.
        """
        body = completion_body(request)
        prompt = self._token_ids(request.prompt)
        tokens = len(prompt) + request.max_tokens
        if tokens > self.context_tokens:
            raise PromptTooLong(
                f"The prompt has {len(prompt)} tokens and {request.max_tokens} more were asked for, but "
                f"{self._name} holds {self.context_tokens} together. Shorten the prompt, write fewer tokens "
                "at once, or use a model with a longer context."
            )
        windows = {"repeat_last_n", "dry_penalty_last_n"}
        body.update({key: self.context_tokens for key in windows if body.get(key, -1) < 0})
        return pump(functools.partial(self._write, {**body, "prompt": list(prompt)}, tokens))

    def _write(self, body: dict[str, Any], tokens: int, emit: Emit) -> None:
        """Run one request to its end, in the pump's thread."""
        server, room = self._loaded()
        ended = False
        cached: int | None = None

        def on_chunk(chunk: Chunk) -> bool:
            nonlocal ended, cached
            cached = chunk.get("prompt_progress", {}).get("cache", cached)
            piece = _piece(chunk, cached)
            if piece.text:
                cached = None  # it has been told
            ended = ended or piece.usage is not None
            return emit(piece)

        with room.hold(tokens, stopped=lambda: emit(Piece(""))) as held:
            if held:
                server.complete(body, on_chunk)
        if not ended and not emit(Piece("")):
            raise ModelFailed(
                f"llama.cpp stopped before {self._name} had ended its text. Run the command again."
            )

    def _loaded(self) -> tuple[LlamaServer, Room]:
        with self._lock:
            if self._server is None or self._room is None:
                weights = self._head.tensor_data_at
                free = max(0, free_engine_bytes() - weights)
                cells = cells_for(self._head.cell_bytes, self.context_tokens, self._slots, free)
                self._server = LlamaServer(
                    self._path,
                    cells=cells,
                    shared=cells < self._slots * self.context_tokens,
                    slots=self._slots,
                    threads=self._threads,
                    kept_bytes=None if self._reproducible else min(_MOST_KEPT_BYTES, free // 8),
                    rope=engine_settings(self._head, self._rope, self._name) if self._rope else None,
                )
                self._room = Room(slots=self._slots, tokens=cells)
            return self._server, self._room

    def _tokenize(self, prompt: Prompt) -> tuple[int, ...]:
        server, _ = self._loaded()
        if isinstance(prompt, str):
            return tuple(server.tokenize(encodable(prompt), begin=True, special=False))
        rendered = server.render([self._turn(message) for message in _without_empty_prefill(prompt)])
        if self._mark not in rendered:
            return tuple(server.tokenize(rendered, begin=True, special=True))
        return tuple(self._tokenize_parts(server, rendered))

    def _turn(self, message: Message) -> dict[str, str]:
        """A turn whose text holds no control token: each is broken by a mark behind its first letter."""
        text = encodable(message.content)
        content = self._control.sub(lambda found: found[0][0] + self._mark + found[0][1:], text)
        return {"role": message.role, "content": content}

    def _tokenize_parts(self, server: LlamaServer, rendered: str) -> Iterator[int]:
        """Control tokens of the template by their ids, and what stands between them as plain text.

        llama.cpp parts a text in the same way, so the ids are the ones that it would find itself.
        """
        yield from server.tokenize("", begin=True, special=True)
        ids = self._head.control_tokens()
        at = 0
        for found in [*self._control.finditer(rendered), None]:
            text = rendered[at : found.start() if found else len(rendered)].replace(self._mark, "")
            if text:
                yield from server.tokenize(text, begin=False, special=False)
            if found:
                yield ids[found[0]]
                at = found.end()

    @functools.cached_property
    def _control(self) -> re.Pattern[str]:
        """Finds control tokens in a text, the longest first; nothing where a model has none."""
        texts = sorted(self._head.control_tokens(), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts)) or r"(?!)")


def _without_empty_prefill(messages: Sequence[Message]) -> Sequence[Message]:
    """An empty last turn of the assistant asks for nothing more than its answer."""
    return messages[:-1] if messages and messages[-1] == Message("assistant", "") else messages


def _piece(chunk: Chunk, cached: int | None) -> Piece:
    choices = chunk.get("choices") or [{}]
    text = choices[0].get("text", "")
    usage = chunk.get("usage")
    if usage is None:
        return Piece(text, cached=cached)
    return Piece(
        text,
        Usage(
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
            cached_tokens=usage.get("prompt_tokens_details", {}).get("cached_tokens", 0),
            finish="length" if choices[0].get("finish_reason") == "length" else "stop",
        ),
    )
