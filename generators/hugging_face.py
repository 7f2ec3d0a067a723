"""A transformers model as a text model: ``hf:REPO_OR_DIR``, or a GGUF file read by transformers.

On a GPU when there is one, else on the CPU in float32. Several requests are written at once, a row each,
where the model allows it. The samplers are llama.cpp's in llama.cpp's order, all but mirostat.
"""

import functools
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessorList

from storyloom.generators.hf_alone import Alone
from storyloom.generators.hf_loading import load
from storyloom.generators.hf_ready import Ready, made_ready
from storyloom.generators.hf_schema import SchemaConstraint, schema_tokenizer
from storyloom.generators.hf_writing import Task
from storyloom.generators.one_at_a_time import TRANSFORMERS
from storyloom.generators.pump import Emit, pump
from storyloom.generators.rope import Rope
from storyloom.generators.sampling_processors import DRY_BREAKERS, processors
from storyloom.memory.errors import InvalidSetting, ModelFailed, PromptTooLong, UnsupportedRequest
from storyloom.memory.generation import Piece, Prompt, Request, Sampling

if TYPE_CHECKING:
    from storyloom.generators.hf_memory import Memory

_DEFAULT_CONTEXT_TOKENS = 8192
# Stands after every paragraph that is read into a memory, as in the books that a memory is trained on.
_PARAGRAPH_END = "\n\n"
_MISSING = frozenset({"mirostat", "mirostat_tau", "mirostat_eta"})
_FEATURES = (frozenset(Sampling.__dataclass_fields__) - _MISSING) | {
    "schema",
    "prefill",
    "completion",
    "exact_count",
}


class HuggingFaceModel:
    """One model in this process, loaded at the first use or by ``load``.

    Args:
        target: a hub id, a local folder, or the path of a .gguf file.
        name: the SPEC that it was made from.
        context_tokens: None for what the model was trained with, at most 8,192.
        slots: how many requests are written at once; fewer where memory is short, and one where the model's
            memory can't be laid side by side.
        threads: CPU threads of torch, for the whole process, or None to leave them as they are.
        reuse_prefix: keep keys and values between calls, so that an equal beginning of the prompt is not
            read again. It changes sums in their last bits, so that a drawn text may differ.
        rope: how it shall read longer texts than it was trained with; None for as it is.
    """

    def __init__(
        self,
        target: str,
        *,
        name: str,
        context_tokens: int | None = None,
        slots: int = 4,
        threads: int | None = None,
        reuse_prefix: bool = True,
        rope: Rope | None = None,
    ):
        self._target = target
        self._name = name
        self._asked_context = context_tokens
        self._slots = slots
        self._threads = threads
        self._reuse_prefix = reuse_prefix
        self._rope = rope
        self._loading = threading.Lock()
        self._ready: Ready | None = None
        self._load_seconds: float | None = None
        self._breaker_ids = functools.lru_cache(4)(self._find_breakers)
        self._schema_tokenizer = functools.lru_cache(1)(self._make_schema_tokenizer)

    @property
    def name(self) -> str:
        """The SPEC it was made from."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and completion may hold together; loads the model to know it."""
        return self._context(self._get().loaded.trained_context)

    @property
    def parameters(self) -> int | None:
        """How many weights it has; loads the model to know it."""
        return int(self._get().loaded.model.num_parameters())

    @property
    def features(self) -> frozenset[str]:
        """Everything but mirostat, and ``state`` where the model has a memory; loads the model to know it."""
        return _FEATURES if self._get().memory is None else _FEATURES | {"state"}

    @property
    def fingerprint(self) -> str:
        """Names the model by its memory's config and weights; loads it to know them.

        Raises:
            UnsupportedRequest: the model has no memory.
        """
        return self._memory().fingerprint

    @property
    def load_seconds(self) -> float | None:
        """How long loading took, or None while nothing is loaded."""
        return self._load_seconds

    def load(self) -> None:
        """Load the model now, if it isn't yet; several threads may call it.

        Raises:
            ModelUnavailable: missing, damaged, pickled, too large for the memory, or not to be fetched.
            InvalidSetting: the context asked for is longer than the model's, or its RoPE can't be changed so.
        """
        self._get()

    def close(self) -> None:
        """Free the model once the text in flight has ended; another use loads it again."""
        with self._loading:
            if self._ready is not None:
                self._ready.writer.wait()
            self._ready = None
            self._breaker_ids.cache_clear()
            self._schema_tokenizer.cache_clear()

    def count_tokens(self, prompt: Prompt) -> int:
        """Count exactly, the chat template's own tokens included."""
        return len(self._get().prompts.ids(prompt))

    def stream(self, request: Request) -> Iterator[Piece]:
        """Write, piece by piece; closing the iterator stops the model.

        Raises:
            UnsupportedRequest: mirostat, a schema that can't be followed, no token asked for, or a state
                that a model without a memory shall begin with.
            StateRefused: the state is damaged, or of another model or version.
            PromptTooLong: prompt and ``max_tokens`` don't fit ``context_tokens``.
            ModelFailed: the model ran out of memory or broke off.
        """
        asked = [name for name in sorted(_MISSING) if getattr(request.sampling, name) is not None]
        if asked:
            raise UnsupportedRequest(
                f"{self._name} has no {', '.join(asked)}. Leave that out, or use gguf:PATH."
            )
        if request.max_tokens < 1:
            raise UnsupportedRequest(f"{request.max_tokens} tokens were asked for. Ask for at least 1.")
        if request.state is not None:
            self.check_state(request.state)
        ids = self._get().prompts.ids(request.prompt)
        if len(ids) + request.max_tokens > self.context_tokens:
            raise PromptTooLong(
                f"The prompt has {len(ids)} tokens and {request.max_tokens} more were asked for, but "
                f"{self._name} holds {self.context_tokens} together. Shorten the prompt, or write less."
            )
        if not ids:
            raise UnsupportedRequest(
                f"{self._name} can't begin with an empty prompt. Give it a word to go on from."
            )
        return pump(functools.partial(self._write, request, ids))

    def remember(self, text: str, state: bytes | None = None) -> bytes:
        """Read a paragraph into the memory, at position 0 and in the plain form of a book.

        Raises:
            UnsupportedRequest: the model has no memory.
            StateRefused: the state is damaged, or of another model or version.
            ModelFailed: the model ran out of memory.
        """
        self._memory()
        ready = self._get()
        assert isinstance(ready.writer, Alone)
        ids = ready.prompts.text_ids(text + _PARAGRAPH_END)
        try:
            return ready.writer.remember(ids, state)
        except torch.OutOfMemoryError as error:
            raise ModelFailed(
                f"{self._name} ran out of memory while it read {len(ids)} tokens into its own. "
                "Use a smaller model, or one whose memory has a bound."
            ) from error

    def check_state(self, state: bytes) -> None:
        """Refuse a state that the model can't go on with.

        Raises:
            UnsupportedRequest: the model has no memory.
            StateRefused: it is damaged, or of another model or version.
        """
        self._memory().check(state)

    def _memory(self) -> "Memory":
        memory = self._get().memory
        if memory is None:
            raise UnsupportedRequest(
                f"{self._name} has no neural memory. Convert it with `storyloom models convert`, or leave "
                "the state out."
            )
        return memory

    def _write(self, request: Request, ids: list[int], emit: Emit) -> None:
        """Write one request to its end, in the pump's thread."""
        schema = self._schema(request)
        task = Task(request, ids, self._chain(request, schema), schema)
        try:
            self._get().writer.write(task, emit)
        except torch.OutOfMemoryError as error:
            raise ModelFailed(
                f"{self._name} ran out of memory at {len(ids)} tokens. Set a smaller context or fewer slots, "
                "or use a smaller model."
            ) from error

    def _chain(self, request: Request, schema: SchemaConstraint | None) -> LogitsProcessorList:
        """The constraint first, so that the samplers see only what may be written."""
        generator = torch.Generator()
        if request.seed is None:
            generator.seed()
        else:
            generator.manual_seed(request.seed % 2**63)
        breakers = request.sampling.dry_breakers
        wanted = bool(request.sampling.dry_multiplier)
        found = self._breaker_ids(DRY_BREAKERS if breakers is None else breakers) if wanted else frozenset()
        chain = processors(request.sampling, generator, found)
        if schema is not None:
            chain.insert(0, schema)
        return chain

    def _schema(self, request: Request) -> SchemaConstraint | None:
        if request.schema is None:
            return None
        return SchemaConstraint(self._schema_tokenizer(), self._get().vocabulary, request.schema)

    def _make_schema_tokenizer(self) -> Any:
        ready = self._get()
        try:
            return schema_tokenizer(ready.loaded.tokenizer, ready.vocabulary, ready.loaded.ends)
        except ValueError as error:
            raise UnsupportedRequest(
                f"The tokenizer of {self._name} can't be held to a schema ({error}). Use gguf:PATH."
            ) from error

    def _find_breakers(self, texts: tuple[str, ...]) -> frozenset[int]:
        """Every token that holds one of the texts; a text that no single token holds breaks nothing."""
        tokenizer: Any = self._get().loaded.tokenizer
        pieces = tokenizer.batch_decode([[id_] for id_ in range(len(tokenizer))])
        return frozenset(id_ for id_, piece in enumerate(pieces) if any(text in piece for text in texts))

    def _get(self) -> Ready:
        with self._loading:
            if self._ready is None:
                started = time.perf_counter()
                if self._threads is not None:
                    torch.set_num_threads(self._threads)
                with TRANSFORMERS:
                    loaded = load(self._target, rope=self._rope)
                self._ready = made_ready(
                    loaded,
                    name=self._name,
                    context=self._context(loaded.trained_context),
                    slots=self._slots,
                    threads=self._threads,
                    reuse_prefix=self._reuse_prefix,
                )
                self._load_seconds = time.perf_counter() - started
            return self._ready

    def _context(self, trained: int | None) -> int:
        most = trained or _DEFAULT_CONTEXT_TOKENS
        if self._asked_context is None:
            return min(most, _DEFAULT_CONTEXT_TOKENS)
        if not 0 < self._asked_context <= most:
            raise InvalidSetting(
                f"A context of {self._asked_context} tokens was asked for, but {self._name} was made for "
                f"{most}. Ask for a number from 1 to {most}."
            )
        return self._asked_context
