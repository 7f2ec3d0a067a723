"""What the story needs from the outside, as Protocols. Implementations live in other rooms."""

from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

from storyloom.memory.generation import Likelihood, Piece, Prompt, Request

Vector = Sequence[float]


class TextModel(Protocol):
    """Turns a prompt into streamed text. Safe to call from several threads."""

    @property
    def name(self) -> str:
        """The SPEC it was made from, such as ``starter`` or ``openai:MODEL@BASE_URL``."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and completion may hold together."""
        ...

    @property
    def parameters(self) -> int | None:
        """How many weights it has, or None where the engine doesn't tell."""
        ...

    @property
    def features(self) -> frozenset[str]:
        """What can be asked: ``schema``, ``prefill``, ``completion`` and ``Sampling``'s field names.

        A model with ``state`` among them is a ``RememberingModel``.
        """
        ...

    def stream(self, request: Request) -> Iterator[Piece]:
        """Write, piece by piece; closing the iterator stops the engine.

        Raises:
            UnsupportedRequest: the engine lacks something that the request asks for.
            PromptTooLong: prompt and ``max_tokens`` don't fit ``context_tokens``.
            ModelFailed: the engine broke off.
        """
        ...

    def count_tokens(self, prompt: Prompt) -> int:
        """Exact count, the chat template's own tokens included for messages."""
        ...

    def close(self) -> None:
        """Free the engine; calling it twice is harmless."""
        ...


class RememberingModel(TextModel, Protocol):
    """A text model with a neural memory: it reads a text once and goes on from what it keeps of it."""

    @property
    def fingerprint(self) -> str:
        """Names the model by what its memory is made of: a state is of no use to a model with another."""
        ...

    def remember(self, text: str, state: bytes | None = None) -> bytes:
        """Read a text into the memory; the same text and state always give the same bytes.

        Args:
            text: what comes next in the story.
            state: what was read before; None for nothing. It isn't changed.

        Raises:
            StateRefused: the state is damaged, or of another model or version.
            ModelFailed: the model ran out of memory.
        """
        ...

    def check_state(self, state: bytes) -> None:
        """Refuse a state that the model can't go on with.

        Raises:
            StateRefused: it is damaged, or of another model or version.
        """
        ...


class Scorer(Protocol):
    """Tells how likely a model finds a text that is given."""

    @property
    def name(self) -> str:
        """The SPEC of the model that it asks."""
        ...

    def score(self, prompts: Sequence[Prompt], text: str) -> Generator[Likelihood]:
        """How likely the text is after each prompt: one answer a prompt, in their order, as it is known.

        The same tokens are scored after every prompt: those that the text has behind the first of them,
        where that leaves the prompt's own tokens as they are; else those that it has by itself. No end of
        text or of turn is scored. Prompts that share their beginning with the first cost less.

        Closing the generator stops the work.

        Raises:
            ModelUnavailable: the weights can't be loaded.
            ModelFailed: the model broke off.
            PromptTooLong: a prompt and the text don't fit the model's context.
            UnsupportedRequest: prompt or text is empty, or the model can't take it.
        """
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors whose dot product is their likeness."""

    @property
    def name(self) -> str:
        """Names the weights: vectors of different names must never be compared."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of every vector."""
        ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit-length vector a text, in order; an empty list gives an empty list."""
        ...
