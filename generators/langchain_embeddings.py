"""Both ways between Storyloom and LangChain: our embedders as embeddings, embeddings as our embedders."""

import math
from collections.abc import Sequence

from langchain_core.embeddings import Embeddings

from storyloom.memory.errors import ModelFailed, StoryloomError
from storyloom.memory.ports import Embedder

# Where embeddings of other makers say which weights they use.
_NAMES = ("model", "model_name")


class StoryloomEmbeddings(Embeddings):
    """An embedder of ours as LangChain embeddings; queries and documents are treated alike.

    Args:
        embedder: safe to call from several threads, as LangChain's asynchronous calls need it.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One unit vector a text, in order."""
        return self.embedder.embed(texts)

    def embed_query(self, text: str) -> list[float]:
        """The text's unit vector."""
        return self.embedder.embed([text])[0]


class LangChainEmbedder:
    """LangChain embeddings as an embedder of ours: their vectors are brought to unit length.

    Args:
        embeddings: any embeddings; their calls must be safe from several threads.
        name: tells these weights from others. By default the class's name and its model's, where it has
            one; for our own embedder, that one's name.
    """

    def __init__(self, embeddings: Embeddings, *, name: str | None = None) -> None:
        self._embeddings = embeddings
        self._name = name or _name(embeddings)
        self._dimensions = 0

    @property
    def name(self) -> str:
        """What was given, else made of the class's name."""
        return self._name

    @property
    def dimensions(self) -> int:
        """Length of every vector; the first time, a query is embedded to know it."""
        if not self._dimensions:
            self._dimensions = len(self.embed_query(""))
        return self._dimensions

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector a text, in order; an empty list gives an empty list.

        Raises:
            ModelFailed: the embeddings raised an error, or gave something else than a vector a text.
        """
        if not texts:
            return []
        try:
            vectors = self._embeddings.embed_documents(list(texts))
        except StoryloomError:
            raise
        except Exception as error:
            raise self._failed(error) from error
        if len(vectors) != len(texts):
            raise ModelFailed(
                f"The embeddings {self._name} gave {len(vectors)} vectors for {len(texts)} texts. "
                "Look into their settings, or use others."
            )
        return [unit(vector) for vector in vectors]

    def embed_query(self, text: str) -> list[float]:
        """The unit vector of a text that is looked for: some embeddings treat it in a way of its own.

        Raises:
            ModelFailed: the embeddings raised an error.
        """
        try:
            return unit(self._embeddings.embed_query(text))
        except StoryloomError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> ModelFailed:
        return ModelFailed(
            f"The embeddings {self._name} failed with {type(error).__name__}: {str(error)[:300]}. "
            "Look into their settings, then ask again."
        )


def _name(embeddings: Embeddings) -> str:
    if isinstance(embeddings, StoryloomEmbeddings):
        return embeddings.embedder.name
    models = (getattr(embeddings, name, None) for name in _NAMES)
    model = next((model for model in models if isinstance(model, str) and model), "")
    return ":".join(filter(None, ("langchain", type(embeddings).__name__, model)))


def unit(vector: Sequence[float]) -> list[float]:
    """The vector with length 1; one of length 0 stays as it is."""
    length = math.hypot(*vector)
    return [float(number) / length for number in vector] if length else [float(number) for number in vector]
