"""The documents beside a story as LangChain's vector store."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from storyloom.app.documents import Library, Likeness
from storyloom.app.settings import load_settings
from storyloom.app.shelf import Shelf
from storyloom.app.wiring import open_memory
from storyloom.generators.langchain_embeddings import LangChainEmbedder, StoryloomEmbeddings, unit
from storyloom.memory import story as values


class Opened:
    """What may hold a database of its own."""

    _opened: ExitStack

    def close(self) -> None:
        """Close what ``open`` opened; calling it twice is harmless."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class StoryStore(Opened, VectorStore):
    """The documents beside a story as a vector store; the story's own recall finds them too.

    Scores are cosines. Every search takes ``filter``: a mapping that the ``metadata`` of what is found
    must hold. Metadata is kept as JSON, and texts without control characters.

    Args:
        shelf: whose stories.
        story: the story's id, the beginning of it, or its title.
        embedding: makes the vectors. With another than Storyloom's own, the story's recall finds documents
            by their words only, until it makes vectors of its own; the store then makes its vectors anew.
        name: tells the embedding's weights from others; by default its class's name and its model's.

    Raises:
        StoryNotFound: the reference names no story, or more than one.
    """

    def __init__(self, shelf: Shelf, story: str, embedding: Embeddings, *, name: str | None = None) -> None:
        self._embedding = embedding
        self._embedder = LangChainEmbedder(embedding, name=name)
        self._library = Library(shelf, self._embedder, story)
        self._opened = ExitStack()

    @classmethod
    def open(
        cls,
        story: str,
        *,
        home: str | Path | None = None,
        embedding: Embeddings | None = None,
        name: str | None = None,
    ) -> Self:
        """A store with a database of its own, for a ``with`` statement or until ``close``.

        Args:
            story: the story's id, the beginning of it, or its title.
            home: the data folder; by default as the command line's.
            embedding: makes the vectors; by default Storyloom's own embedder.
            name: as for the class.

        Raises:
            StoryNotFound: the reference names no story, or more than one.
            StoreUnavailable: the database can't be opened.
        """
        with ExitStack() as stack:
            shelf, embedder = stack.enter_context(open_memory(load_settings(home=home)))
            made = cls(shelf, story, embedding or StoryloomEmbeddings(embedder), name=name)
            made._opened = stack.pop_all()
        return made

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Open a store and keep texts in it; ``kwargs`` are those of ``open``, ``story`` among them."""
        store = cls.open(embedding=embedding, **kwargs)
        try:
            store.add_texts(texts, metadatas, ids=ids)
        except BaseException:
            store.close()
            raise
        return store

    @property
    def embeddings(self) -> Embeddings:
        """What makes the vectors."""
        return self._embedding

    def add_documents(
        self,
        documents: list[Document],
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,  # noqa: ARG002  (LangChain's indexing names a batch size)
    ) -> list[str]:
        """Keep documents, all or none; each takes the place of the one with its id.

        Args:
            documents: what is kept. One without an id gets one.
            ids: ids to use instead of the documents' own.
            **kwargs: of no effect.

        Returns:
            The ids, in order.

        Raises:
            InvalidText: an id or metadata can't be kept.
            ValueError: there aren't as many ids as documents.
        """
        given = [document.id for document in documents] if ids is None else ids
        if len(given) != len(documents):
            raise ValueError(f"{len(given)} ids were given for {len(documents)} documents")
        named = [(id_ or uuid.uuid4().hex, document) for id_, document in zip(given, documents, strict=True)]
        self._library.put([(id_, document.page_content, document.metadata) for id_, document in named])
        return [id_ for id_, _ in named]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:  # noqa: ARG002  (LangChain's)
        """Remove the documents of these ids, or all without any; one that isn't there is no error."""
        self._library.remove(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of these ids, in their order; those that aren't there are left out."""
        return [_kept(document) for document in self._library.get(ids)]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The documents likest to a text, best first."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with their cosines."""
        return [
            (_kept(found.document), found.score)
            for found in self._nearest(self._embedder.embed_query(query), k, **kwargs)
        ]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """The documents likest to a vector of this store's embedding."""
        return [_kept(found.document) for found in self._nearest(unit(embedding), k, **kwargs)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Of the ``fetch_k`` likest documents ``k`` that are like the query and unlike each other.

        Maximal marginal relevance (Carbonell and Goldstein, 1998); ``lambda_mult`` is the weight of
        likeness to the query, from 0 to 1.
        """
        vector = self._embedder.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """The same for a vector of this store's embedding."""
        found = self._nearest(unit(embedding), fetch_k, **kwargs)
        vectors = [list(one.vector) for one in found]
        chosen = maximal_marginal_relevance(np.array(embedding), vectors, lambda_mult, k) if found else []
        return [_kept(found[place].document) for place in chosen]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Between 0 and 1; texts that point away from each other count as having nothing to do with it."""
        return lambda cosine: min(max(cosine, 0.0), 1.0)

    def _nearest(
        self,
        vector: Sequence[float],
        k: int,
        *,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Likeness]:
        asked = dict(filter or {})

        def wanted(document: values.Document) -> bool:
            return all(name in document.about and document.about[name] == asked[name] for name in asked)

        return self._library.nearest(vector, k, wanted)


def _kept(document: values.Document) -> Document:
    return Document(id=document.id, page_content=document.text, metadata=dict(document.about))
