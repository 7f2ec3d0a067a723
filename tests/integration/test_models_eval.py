"""``storyloom models eval``: every suite on a tiny model, its numbers and its charts, or one clear error."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

WORDS = ["the", "keeper", "lit", "a", "lamp", "burned", "all", "night", "and", "slept", "by", "sea", "door"]
SHORT = ("--length", "400", "--segment", "128", "--tries", "1")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_model import make_tokenizer, save_model

    folder = tmp_path_factory.mktemp("llama")
    save_model(make_tokenizer(), folder)
    return folder


@pytest.fixture(scope="module")
def lact(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a memory, as it was converted."""
    from storyloom.generators.conversion import convert

    folder = tmp_path_factory.mktemp("models") / "lact"
    convert(str(llama), "lact", folder, options={"memory_chunk": 8, "sliding_window": 64})
    return folder


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("books")
    for number in range(3):
        chance = random.Random(number)
        words = " ".join(chance.choice(WORDS) for _ in range(500))
        (folder / f"{number}.txt").write_text(words, encoding="utf-8")
    (folder / "short.txt").write_text("the keeper slept", encoding="utf-8")
    return folder


def test_perplexity_is_measured_and_drawn(cli: Any, lact: Path, books: Path, tmp_path: Path) -> None:
    plot = tmp_path / "new" / "loss.svg"
    arguments = ("models", "eval", str(lact), "--suite", "perplexity", "--text", str(books), *SHORT)
    told = cli.json(*arguments, "--plot", str(plot))
    assert told["family"] == "storyloom_lact"
    assert told["model"] == f"hf:{lact}"
    assert told["books"] == ["0.txt", "1.txt", "2.txt"]
    found = told["perplexity"]
    assert (found["way"], found["length"], found["segment"], found["books"]) == ("segmented", 400, 128, 3)
    assert [(bucket["from"], bucket["to"]) for bucket in found["buckets"]] == [
        (0, 128),
        (128, 256),
        (256, 400),
    ]
    # It was never trained: its memory says nothing.
    zero = {"mean": 0, "low": 0, "high": 0}
    assert found["behind_first_segment"]["difference"] == {"on-zeroed": zero, "on-shuffled": zero}
    assert found["whole"]["loss"]["on"]["mean"] > 0
    assert told["plots"] == {"perplexity": str(plot)}
    assert "<svg" in plot.read_text(encoding="utf-8")
    again = cli.json(*arguments, "--plot", str(plot))
    assert again == told


def test_the_loss_is_that_of_the_source(cli: Any, llama: Path, books: Path) -> None:
    """A window of all there is, one segment: what the LLaMA itself says."""
    import torch

    from storyloom.generators.hf_loading import load_source

    source = load_source(str(llama))
    losses = []
    for path in sorted(books.glob("[0-9].txt")):
        ids = source.tokenizer(path.read_text(encoding="utf-8"), return_tensors="pt").input_ids[:, :301]
        with torch.inference_mode():
            losses.append(float(source.model(input_ids=ids, labels=ids).loss))
    told = cli.json(
        "models", "eval", f"hf:{llama}", "--suite", "perplexity", "--text", str(books), "--length", "300"
    )
    found = told["perplexity"]["whole"]
    assert found["loss"].keys() == {"on"}
    assert found["difference"] == {}
    assert found["loss"]["on"]["mean"] == pytest.approx(sum(losses) / 3, abs=1e-4)


def test_all_suites_print_tables(cli: Any, lact: Path, books: Path, home: Path) -> None:
    done = cli("models", "eval", str(lact), "--text", str(books), *SHORT, "--continuous")
    for told in (
        "continuous, 3 books",
        "on-shuffled",
        "passkey",
        "key–values",
        "others less same",
        "window of 64",
    ):
        assert told in done.stdout
    charts = sorted(path.name for path in (home / "evaluations").iterdir())
    assert charts == [f"lact-{suite}.svg" for suite in ("cost", "needles", "nouns", "perplexity")]
    assert str(home / "evaluations" / "lact-cost.svg") in done.stdout
    assert "segments read: 0 of 4" in done.stderr


def test_needles_and_cost_need_no_text(cli: Any, llama: Path, tmp_path: Path) -> None:
    plot = tmp_path / "needles.svg"
    told = cli.json("models", "eval", str(llama), "--suite", "needles", *SHORT, "--plot", str(plot))
    assert {spot["kind"] for spot in told["needles"]["spots"]} == {"passkey", "key_values"}
    assert {spot["length"] for spot in told["needles"]["spots"]} == {400}
    assert all(0 <= spot["exact"]["mean"] <= 1 for spot in told["needles"]["spots"])
    told = cli.json("models", "eval", str(llama), "--suite", "cost", "--length", "128")
    costs = told["cost"]["costs"]
    assert {cost["model"] for cost in costs} == {"model", "window of 2048"}
    assert [cost["length"] for cost in costs if cost["model"] == "model"] == [64, 128]
    assert json.dumps(told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--suite", "taste", "--text", "{books}"), "There is no suite 'taste'. Choose of perplexity"),
        (("--suite", "perplexity"), "Perplexity is measured on books. Name a folder"),
        (("--text", "{books}/nowhere"), "There is no folder"),
        (("--text", "{empty}"), "holds no .txt file"),
        (("--text", "{books}", "--length", "90000"), "Of 4 books 0 have more than 90,000 tokens"),
        (("--text", "{books}", "--books", "1", "--length", "100"), "--books is 1;"),
        (("--text", "{books}", "--length", "0"), "length is 0; it must be at least 1"),
        (("--text", "{books}", "--seed", "-1"), "seed is -1"),
        (("--suite", "needles", "--length", "50"), "needs at least"),
        (("--suite", "cost", "--plot", "{empty}/chart.png"), "isn't an SVG file"),
        (("--suite", "cost", "--plot", "{books}/0.txt/chart.svg"), "can't be written"),
    ],
)
def test_what_cannot_be_is_told(
    cli: Any, lact: Path, books: Path, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    given = [one.format(books=books, empty=tmp_path) for one in arguments]
    done = cli("models", "eval", str(lact), *given, code=1)
    assert told in " ".join(done.stderr.split())
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("{empty}", "can't be loaded"),
        ("{empty}/nowhere", "names no model"),
        ("hf:{empty}/nowhere", "There is no folder"),
        ("openai:big@http://127.0.0.1:1/v1", "its weights aren't here"),
    ],
)
def test_what_is_no_model_is_told(cli: Any, tmp_path: Path, model: str, told: str) -> None:
    done = cli("models", "eval", model.format(empty=tmp_path), "--suite", "cost", code=1)
    assert told in " ".join(done.stderr.split())


def test_another_kind_of_model_is_refused(cli: Any, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from tests.tiny_model import make_tokenizer

    tokenizer = make_tokenizer()
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    done = cli("models", "eval", str(tmp_path / "gpt2"), "--suite", "cost", code=1)
    assert "neither a long-context model nor a LLaMA" in " ".join(done.stderr.split())


def test_too_little_memory_is_told(cli: Any, lact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from storyloom.generators import evaluation

    def full(*_arguments: Any, **_given: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(evaluation, "measure_cost", full)
    done = cli("models", "eval", str(lact), "--suite", "cost", code=1)
    assert "too small for this. Ask for a shorter --length" in " ".join(done.stderr.split())


@pytest.mark.model
def test_the_starter_is_measured(cli: Any, home: Path, starter_weights: Path, tmp_path: Path) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / starter_weights.name).symlink_to(starter_weights)
    plot = tmp_path / "nouns.svg"
    told = cli.json(
        "models", "eval", "starter", "--suite", "nouns", "--length", "64", "--tries", "3", "--plot", str(plot)
    )
    # It holds a list verbatim within its attention, as the paper found of models its size.
    lists = [one for one in told["nouns"]["lists"] if one["size"] == 5]
    assert lists
    assert all(one["verbatim"]["low"] > 1 for one in lists)
