import math

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from storyloom.generators.langchain_embeddings import LangChainEmbedder, StoryloomEmbeddings
from storyloom.memory.errors import ModelFailed, ModelUnavailable
from tests.stand_ins import WordEmbedder


class Fixed(Embeddings):
    """Gives what it was given, and treats queries in a way of its own."""

    def __init__(self, vectors: list[list[float]] | Exception, model: object = "") -> None:
        self.vectors = vectors
        self.model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:  # noqa: ARG002  (LangChain's signature)
        if isinstance(self.vectors, Exception):
            raise self.vectors
        return self.vectors

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[-1]


def test_vectors_are_brought_to_unit_length() -> None:
    embedder = LangChainEmbedder(DeterministicFakeEmbedding(size=6))
    first, second = embedder.embed(["lamp", "bell"])
    assert math.hypot(*first) == pytest.approx(1)
    assert first != second
    assert embedder.embed(["bell"]) == [second]
    assert embedder.embed_query("lamp") == first
    assert embedder.embed([]) == []
    assert embedder.dimensions == 6


def test_a_vector_without_length_stays() -> None:
    embedder = LangChainEmbedder(Fixed([[0, 0], [3, 4]]))
    assert embedder.embed(["", "lamp"]) == [[0.0, 0.0], [0.6, 0.8]]
    assert embedder.embed_query("lamp") == [0.6, 0.8]


@pytest.mark.parametrize(
    ("embeddings", "name"),
    [
        (Fixed([], model="all-MiniLM"), "langchain:Fixed:all-MiniLM"),
        (Fixed([], model=object()), "langchain:Fixed"),
        (DeterministicFakeEmbedding(size=2), "langchain:DeterministicFakeEmbedding"),
    ],
)
def test_the_name_tells_weights_apart(embeddings: Embeddings, name: str) -> None:
    assert LangChainEmbedder(embeddings).name == name
    assert LangChainEmbedder(embeddings, name="mine").name == "mine"


def test_what_fails_is_told() -> None:
    with pytest.raises(ModelFailed, match="gave 1 vectors for 2 texts"):
        LangChainEmbedder(Fixed([[1.0]])).embed(["a", "b"])
    broken = LangChainEmbedder(Fixed(RuntimeError("quota")))
    with pytest.raises(ModelFailed, match="RuntimeError: quota"):
        broken.embed(["a"])
    with pytest.raises(ModelFailed, match="RuntimeError: quota"):
        broken.embed_query("a")
    ours = LangChainEmbedder(Fixed(ModelUnavailable("No weights.")))
    with pytest.raises(ModelUnavailable):
        ours.embed(["a"])
    with pytest.raises(ModelUnavailable):
        ours.embed_query("a")


def test_there_and_back_again() -> None:
    own = WordEmbedder()
    embeddings = StoryloomEmbeddings(own)
    assert embeddings.embed_documents(["lamp"]) == own.embed(["lamp"])
    there = LangChainEmbedder(embeddings)
    assert there.name == own.name
    back = there.embed(["a lamp"])[0]
    assert back == pytest.approx(embeddings.embed_query("a lamp"))
