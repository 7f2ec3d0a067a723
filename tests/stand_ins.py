"""Stand-ins that need no weights: a model that writes at once, and an embedder that knows words."""

import hashlib
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from storyloom.memory.errors import StateRefused
from storyloom.memory.generation import Piece, Prompt, Request, Sampling, Usage
from storyloom.memory.text import words

_STARTS = ("b", "d", "f", "gr", "h", "k", "l", "m", "n", "p", "qu", "r", "st", "t", "v", "w")
_MIDDLES = ("a", "en", "or", "il", "ust", "ea", "ing", "o")
_ENDS = ("der", "ling", "eth", "on", "ward", "ly", "mouth", "stead", "er", "le")
_TOKENS_A_SENTENCE = 16


def sentence(dice: random.Random) -> str:
    """A sentence about Mara in words that hardly come twice."""
    fresh = (dice.choice(_STARTS) + dice.choice(_MIDDLES) + dice.choice(_ENDS) for _ in range(11))
    return f"Mara {' '.join(fresh)}."


class InstantModel:
    """Writes sentences about Mara at once; equal seeds and prompts give equal text. Tokens are words."""

    name = "instant"
    context_tokens = 8192
    parameters = 135_000_000
    features = frozenset({"prefill", "completion", *Sampling.__dataclass_fields__})

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def stream(self, request: Request) -> Iterator[Piece]:
        """As many sentences as fit, a piece each."""
        self.requests.append(request)
        digest = hashlib.blake2b(repr((request.seed, request.prompt)).encode(), digest_size=8).digest()
        dice = random.Random(int.from_bytes(digest, "big"))
        for _ in range(max(1, request.max_tokens // _TOKENS_A_SENTENCE)):
            yield Piece(" " + sentence(dice))
        yield Piece(
            "",
            Usage(prompt_tokens=self.count_tokens(request.prompt), completion_tokens=request.max_tokens),
        )

    def count_tokens(self, prompt: Prompt) -> int:
        """Words, blanks between them."""
        texts = (prompt,) if isinstance(prompt, str) else (message.content for message in prompt)
        return sum(len(text.split()) for text in texts)

    def close(self) -> None:
        """Nothing to free."""


class RecollectingModel(InstantModel):
    """Writes at once too, and has a neural memory: whatever it has read, word for word.

    Args:
        fingerprint: a state begins with it; one of another model doesn't.

    Attributes:
        read: the texts that it was given to read, oldest first.
    """

    features = InstantModel.features | {"state"}

    def __init__(self, fingerprint: str = "recollecting") -> None:
        super().__init__()
        self.fingerprint = fingerprint
        self.read: list[str] = []

    def stream(self, request: Request) -> Iterator[Piece]:
        """Another text for each state."""
        if request.state is not None:
            self.check_state(request.state)
            request = replace(request, seed=zlib.crc32(request.state, request.seed or 0))
        yield from super().stream(request)

    def remember(self, text: str, state: bytes | None = None) -> bytes:
        """Add a line."""
        if state is not None:
            self.check_state(state)
        self.read.append(text)
        return (state or self.fingerprint.encode()) + f"\n{text}".encode()

    def check_state(self, state: bytes) -> None:
        """Refuse what begins otherwise."""
        if not state.startswith(self.fingerprint.encode()):
            raise StateRefused("This memory is damaged.")


class WordEmbedder:
    """Texts that share words are alike: each word is a coordinate."""

    name = "words"
    dimensions = 64

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A unit vector a text."""
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        for word in words(text):
            vector[hashlib.blake2b(word.encode(), digest_size=2).digest()[0] % self.dimensions] += 1.0
        length = sum(value * value for value in vector) ** 0.5
        return [value / length for value in vector] if length else vector
