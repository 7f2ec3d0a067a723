import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, index

from storyloom.app import wiring
from storyloom.app.events import Listener
from storyloom.app.langchain import StoryRetriever, StoryStore
from storyloom.app.settings import Settings
from storyloom.generators.langchain_embeddings import StoryloomEmbeddings
from storyloom.memory.errors import InvalidText, StoryNotFound
from tests.stand_ins import WordEmbedder

DOCUMENTATION = Path(__file__).resolve().parents[3] / "docs" / "langchain.md"
BOOK = """# The Lamp

## The cliff

Mara carries oil up the stairs and fills the lamp.

The gulls sleep. Nobody hears the bronze bell under the water.

## The door

A door stands in the sea, green with weed.

Mara walks along the beach and counts her steps.
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the book in it."""
    monkeypatch.setattr(wiring, "MiniLMEmbedder", lambda **_: WordEmbedder())
    monkeypatch.delenv("STORYLOOM_DATABASE_URL", raising=False)
    book = tmp_path / "book.md"
    book.write_text(BOOK)
    with wiring.open_studio(Settings(home=tmp_path)) as studio:
        studio.import_file(book, Listener())
    return tmp_path


def test_a_result_says_where_it_comes_from_and_why(home: Path) -> None:
    with StoryRetriever.open("The Lamp", home=home) as retriever:
        (found,) = retriever.invoke("Who hears the bronze bell?", k=1)
    about = found.metadata
    assert found.page_content == "The gulls sleep. Nobody hears the bronze bell under the water."
    assert (about["depth"], about["kind"], about["chapter"]) == (2, "paragraph", "The cliff")
    assert found.id == about["source"] == f"step:{about['strand']}:2"
    assert about["score"] == pytest.approx(sum(about["parts"].values()), abs=0.001)
    assert about["parts"]["bm25"] > 0


def test_it_finds_what_the_command_line_finds(home: Path) -> None:
    with wiring.open_studio(Settings(home=home)) as studio:
        expected = studio.remembering.search("The Lamp", "the green door and the lamp")
    with StoryRetriever.open("The Lamp", home=home) as retriever:
        found = retriever.invoke("the green door and the lamp")
    assert [(one.page_content, one.metadata["score"]) for one in found] == [
        (item.text, item.score) for item in expected
    ]
    assert found


def test_the_rule_can_be_another(home: Path) -> None:
    with StoryRetriever.open("The Lamp", home=home, rule={"threshold": 50.0}) as retriever:
        assert retriever.invoke("the bronze bell") == []
    with StoryRetriever.open("The Lamp", home=home, rule={"threshold": -50.0}, k=4) as retriever:
        assert len(retriever.invoke("the bronze bell")) == 4


def test_the_storys_own_rule_counts_unless_the_retriever_has_another(home: Path) -> None:
    with wiring.open_studio(Settings(home=home)) as studio:
        studio.settings.change("The Lamp", {"recall.threshold": "5"})
    with StoryRetriever.open("The Lamp", home=home) as retriever:
        assert retriever.invoke("the bronze bell") == []
    with StoryRetriever.open("The Lamp", home=home, rule={"threshold": 0.0, "limit": 1}) as retriever:
        assert len(retriever.invoke("the bronze bell")) == 1
    with pytest.raises(ValueError, match="a recall rule has no treshold"):
        StoryRetriever.open("The Lamp", home=home, rule={"treshold": 0.0})


def test_a_strand_sees_its_own_ancestry(home: Path) -> None:
    with wiring.open_studio(Settings(home=home)) as studio:
        studio.branch("The Lamp", 2, name="early")
    with StoryRetriever.open("The Lamp", home=home, strand="early", rule={"threshold": -50.0}) as retriever:
        found = retriever.invoke("a green door and a lamp", k=4)
    assert sorted(one.metadata["depth"] for one in found) == [1, 2]


def test_a_document_beside_the_story_is_recalled_with_it(home: Path) -> None:
    with StoryStore.open("The Lamp", home=home) as store:
        store.add_texts(["Whales sing beneath the pier in March."], [{"page": 3}], ids=["whales"])
    with StoryRetriever.open("The Lamp", home=home) as retriever:
        (found,) = retriever.invoke("When do whales sing?", k=1)
    assert found.id == "document:whales"
    assert found.metadata["about"] == {"page": 3}
    assert (found.metadata["depth"], found.metadata["chapter"]) == (0, "")
    with wiring.open_studio(Settings(home=home)) as studio:
        assert studio.remembering.search("The Lamp", "When do whales sing?")[0].source == "document:whales"


def test_a_document_travels_with_its_story(home: Path) -> None:
    with StoryStore.open("The Lamp", home=home) as store:
        store.add_documents([Document("Whales sing.", id="whales", metadata={"page": 3})])
    with wiring.open_studio(Settings(home=home)) as studio:
        exported = studio.export("The Lamp", home / "story.json")
        studio.delete("The Lamp")
        studio.import_file(exported, Listener())
    with StoryStore.open("The Lamp", home=home) as store:
        assert store.similarity_search("whales", k=1) == [
            Document("Whales sing.", id="whales", metadata={"page": 3})
        ]


@pytest.fixture
def store(home: Path) -> Any:
    with StoryStore.open("The Lamp", home=home) as opened:
        yield opened


def test_scores_are_cosines_and_relevance_is_between_0_and_1(store: StoryStore) -> None:
    store.add_texts(["red lamp", "green door"], ids=["lamp", "door"])
    (lamp, score), (door, other) = store.similarity_search_with_score("red lamp", k=2)
    assert lamp.id == "lamp"
    assert score == pytest.approx(1)
    assert door.id == "door"
    assert other < 1
    relevant = store.similarity_search_with_relevance_scores("red lamp", k=2, score_threshold=0.9)
    assert [one.id for one, _ in relevant] == ["lamp"]
    assert relevant[0][1] == pytest.approx(1)
    vector = WordEmbedder().embed(["green door"])[0]
    assert store.similarity_search_by_vector([3 * value for value in vector], k=1)[0].id == "door"


def test_a_filter_is_held_against_metadata(store: StoryStore) -> None:
    store.add_texts(["red lamp", "red door"], [{"page": 1}, {"page": 2}], ids=["lamp", "door"])
    assert [one.id for one in store.similarity_search("red lamp", filter={"page": 2})] == ["door"]
    assert store.similarity_search("red lamp", filter={"page": 2, "more": None}) == []
    with pytest.raises(TypeError, match="wrong"):
        store.similarity_search("red lamp", wrong=1)


def test_marginal_relevance_brings_what_is_different(store: StoryStore) -> None:
    assert store.max_marginal_relevance_search("red lamp") == []
    store.add_texts(["red lamp light", "red lamp lights", "red door"], ids=["one", "two", "door"])
    found = store.max_marginal_relevance_search("red lamp light", k=2, lambda_mult=0.1)
    assert [one.id for one in found] == ["one", "door"]
    found = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 1.0}).invoke(
        "red lamp light"
    )
    assert [one.id for one in found] == ["one", "two"]


def test_langchains_indexing_keeps_it_in_step(store: StoryStore) -> None:
    records = InMemoryRecordManager(namespace="notes")
    records.create_schema()
    first = [Document("red lamp", metadata={"source": "a"}), Document("green door", metadata={"source": "b"})]
    settings: dict[str, Any] = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    assert index(first, records, store, **settings)["num_added"] == 2
    result = index(first[:1], records, store, **settings)
    assert (result["num_skipped"], result["num_deleted"]) == (1, 1)
    assert [one.page_content for one in store.similarity_search("door")] == ["red lamp"]


def test_a_store_from_texts_keeps_its_embedding(home: Path) -> None:
    embedding = DeterministicFakeEmbedding(size=6)
    with StoryStore.from_texts(
        ["red lamp", "green door"], embedding, [{"page": 1}, {"page": 2}], story="The Lamp", home=home
    ) as store:
        assert store.embeddings is embedding
        assert store.similarity_search("green door", k=1)[0].metadata == {"page": 2}
    with StoryStore.open("The Lamp", home=home) as own:
        assert isinstance(own.embeddings, StoryloomEmbeddings)
        assert own.similarity_search("red lamp", k=1)[0].metadata == {"page": 1}


def test_mistakes_are_told(home: Path, store: StoryStore) -> None:
    with pytest.raises(ValueError, match="0 ids were given for 1 documents"):
        store.add_documents([Document("a")], ids=[])
    with pytest.raises(InvalidText, match="JSON"):
        StoryStore.from_texts(["a"], store.embeddings, [{"x": {1}}], story="The Lamp", home=home)
    with pytest.raises(StoryNotFound):
        StoryStore.open("nowhere", home=home)
    with pytest.raises(StoryNotFound):
        StoryRetriever.open("nowhere", home=home)


def test_the_examples_of_the_documentation_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORYLOOM_HOME", str(home))
    examples = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, str(DOCUMENTATION), "exec"), {})
    printed = capsys.readouterr().out
    assert "Nobody hears the bronze bell" in printed
    assert printed.endswith("Whales sing beneath the pier in March.\ndocument:whales\n")


def test_nothing_else_loads_langchain() -> None:
    probe = (
        "import sys, storyloom.app.studio, storyloom.app.wiring, storyloom.ui.cli;"
        "print('langchain_core' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
