"""``models train`` from the command line: slices, signals, kills, bad input."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXT = "The keeper lit the lamp. The lamp burned all night, and the keeper slept.\n"
PLAN = ("--tokens", "3000", "--lengths", "16,32", "--rows", "2", "--rate", "0.01")
SMALL = {"memory_layers": [1], "memory_chunk": 8}
Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a LLaMA, a model with a memory made of it, and two books."""
    from storyloom.generators.conversion import convert
    from tests.tiny_model import make_tokenizer, save_model

    place = tmp_path_factory.mktemp("made")
    save_model(make_tokenizer(), place / "llama")
    convert(str(place / "llama"), "lact", place / "lact", options=SMALL)
    (place / "books").mkdir()
    for name in ("a", "b"):
        (place / "books" / f"{name}.txt").write_text(f"{name}. {TEXT * 12}", encoding="utf-8")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "made")


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_slices_make_what_one_call_makes_and_it_writes(cli: Any, place: Path) -> None:
    shutil.copytree(place / "lact", place / "again")
    text = ("--text", str(place / "books"))
    whole = cli.json("models", "train", str(place / "lact"), *text, *PLAN)
    assert whole["done"]
    assert whole["tokens"] >= whole["total_tokens"] == 3000
    assert whole["plan"]["lengths"] == [16, 32]
    assert whole["spec"] == f"hf:{place / 'lact'}"
    assert Path(whole["plot"]).read_text().startswith("<?xml")

    first = cli.json("models", "train", str(place / "again"), *text, *PLAN, "--minutes", "0")
    assert (first["steps"], first["done"]) == (1, False)
    told = cli("models", "train", str(place / "again"), "--minutes", "0")
    assert f"Go on with: storyloom models train {place / 'again'}" in told.stderr
    last = cli.json("models", "train", str(place / "again"))
    assert (last["steps"], last["loss"], last["done"]) == (whole["steps"], whole["loss"], True)
    assert weights(place / "again") == weights(place / "lact") != weights_of_source(place)
    said = cli("models", "train", str(place / "again"))
    assert "It is trained." in said.stderr

    from storyloom.generators.hugging_face import HuggingFaceModel
    from storyloom.memory.generation import Request, collect

    model = HuggingFaceModel(str(place / "lact"), name="trained", threads=1)
    assert collect(model.stream(Request(prompt=TEXT, max_tokens=4, seed=4))).usage.completion_tokens > 0
    model.close()


def weights_of_source(place: Path) -> bytes:
    from storyloom.generators.conversion import convert

    convert(str(place / "llama"), "lact", place / "fresh", options=SMALL)
    return weights(place / "fresh")


def started(spawn: Spawn, place: Path, steps: int) -> "subprocess.Popen[bytes]":
    """A training in a process of its own, once it has taken so many steps more."""
    process = spawn("models", "train", str(place / "lact"), "--json")
    log = place / "lact" / ".training" / "loss.jsonl"
    before = len(log.read_text().splitlines())
    until = time.monotonic() + 120
    while len(log.read_text().splitlines()) < before + steps:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    return process


def test_a_signal_keeps_what_was_learned_and_a_kill_what_was_kept(
    cli: Any, spawn: Spawn, place: Path
) -> None:
    shutil.copytree(place / "lact", place / "again")
    plan = ("--text", str(place / "books"), *PLAN, "--tokens", "12000")
    cli("models", "train", str(place / "again"), *plan)
    before = weights(place / "lact")

    cli("models", "train", str(place / "lact"), *plan, "--minutes", "0")
    interrupted = started(spawn, place, 3)
    interrupted.send_signal(signal.SIGINT)
    out, err = interrupted.communicate(timeout=120)
    assert interrupted.returncode == 130, err.decode()
    kept = json.loads(out)
    assert kept["steps"] >= 4
    assert not kept["done"]
    assert b"what was learned is kept" in err
    assert b"Traceback" not in err

    killed = started(spawn, place, 3)
    killed.kill()
    killed.communicate(timeout=120)
    assert weights(place / "lact") == before
    assert cli.json("models", "train", str(place / "lact"), "--minutes", "0")["steps"] == kept["steps"] + 1
    assert cli.json("models", "train", str(place / "lact"))["done"]
    assert weights(place / "lact") == weights(place / "again")


def test_lora_leaves_a_model_of_plain_names(cli: Any, place: Path) -> None:
    from safetensors import safe_open

    def names(folder: Path) -> set[str]:
        with safe_open(folder / "model.safetensors", "pt") as file:
            return set(file.keys())

    before = names(place / "lact")
    text = ("--text", str(place / "books"))
    cli("models", "train", str(place / "lact"), *text, *PLAN, "--backbone", "lora", "--optimizer", "muon")
    assert names(place / "lact") == before
    assert "peft" not in (place / "lact" / "config.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--lengths", "512;1024"), "write numbers of tokens with commas between them, such as 512,2048"),
        (("--backbone", "warm"), "backbone is 'warm'; it must be frozen or lora or full"),
        (("--minutes", "-1"), "minutes is -1.0; it must be 0 or more"),
        (("--teacher", "openai:big@http://127.0.0.1:1/v1"), "can't teach, since its weights aren't here"),
        (("--anneal", "0.5"), "Only a landmark LLaMA, or a hybrid that still"),
        (("--text", "none"), "There is no folder none"),
    ],
)
def test_what_cannot_be_is_told(cli: Any, place: Path, arguments: tuple[str, ...], told: str) -> None:
    before = weights(place / "lact")
    done = cli("models", "train", str(place / "lact"), "--text", str(place / "books"), *arguments, code=1)
    assert told in " ".join(done.stderr.split())
    assert weights(place / "lact") == before
    assert not (place / "lact" / "training.json").exists()


def test_a_llama_learns_only_where_it_is_asked_to(cli: Any, place: Path) -> None:
    text = ("--text", str(place / "books"))
    done = cli("models", "train", str(place / "llama"), *text, *PLAN, code=1)
    assert "--backbone full or lora" in " ".join(done.stderr.split())
    assert cli.json("models", "train", str(place / "llama"), *text, *PLAN, "--backbone", "full")["done"]
