"""``storyloom models convert``: a family's model out of a LLaMA's files, or one clear error and nothing."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storyloom.memory.errors import StoreUnavailable

if TYPE_CHECKING:
    from torch import Tensor

TEXT = "The keeper lit the lamp. The lamp burned all night, and the keeper slept.\n"
SMALL = ("--set", "memory_chunk=8", "--set", "memory_layers=[1]")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_model import make_tokenizer, save_model

    folder = tmp_path_factory.mktemp("llama")
    save_model(make_tokenizer(), folder)
    return folder


def loaded(folder: Path) -> Any:
    """A model, its tokenizer and its ends."""
    from storyloom.generators.hf_loading import load_source

    return load_source(str(folder))


def scores(source: Any, text: str) -> "Tensor":
    """The logits of a text's tokens."""
    import torch

    with torch.inference_mode():
        found: torch.Tensor = source.model(
            input_ids=source.tokenizer(text, return_tensors="pt").input_ids
        ).logits
    return found


def test_a_folder_is_converted_and_says_what_it_said(cli: Any, llama: Path, tmp_path: Path) -> None:
    made = tmp_path / "new" / "titans"
    told = cli.json("models", "convert", f"hf:{llama}", str(made), "--to", "titans", *SMALL)
    assert told["spec"] == f"hf:{made}"
    assert told["layers"] == [1]
    assert told["new_parameters"] > 0
    before, after = loaded(llama), loaded(made)
    assert after.model.config.model_type == "storyloom_titans"
    assert after.model.config.memory_chunk == 8
    assert (scores(before, TEXT) - scores(after, TEXT)).abs().max() < 1e-3
    assert after.tokenizer.chat_template == before.tokenizer.chat_template
    assert after.ends == before.ends
    assert [path.name for path in made.parent.iterdir()] == ["titans"]


def test_a_converted_model_may_read_longer_texts(cli: Any, llama: Path, tmp_path: Path) -> None:
    made = tmp_path / "titans"
    cli("models", "convert", f"hf:{llama}", str(made), "--to", "titans", *SMALL, "--rope", "yarn:4")
    config = json.loads((made / "config.json").read_text(encoding="utf-8"))
    assert config["max_position_embeddings"] == 4 * 512
    assert config["rope_parameters"]["rope_type"] == "yarn"
    assert config["rope_parameters"]["original_max_position_embeddings"] == 512


def test_seeds_draw_different_memories(cli: Any, llama: Path, tmp_path: Path) -> None:
    weights = {}
    for name, seed in (("a", "1"), ("again", "1"), ("b", "2")):
        cli(
            "models", "convert", f"hf:{llama}", str(tmp_path / name), "--to", "titans", *SMALL, "--seed", seed
        )
        weights[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert weights["a"] == weights["again"] != weights["b"]


def test_a_converted_model_writes_what_its_source_writes(cli: Any, llama: Path, tmp_path: Path) -> None:
    made = tmp_path / "titans"
    cli("models", "convert", f"hf:{llama}", str(made), "--to", "titans", *SMALL)
    from storyloom.generators.hugging_face import HuggingFaceModel
    from storyloom.memory.generation import Request, collect

    texts = []
    for folder in (llama, made):
        model = HuggingFaceModel(str(folder), name=f"hf:{folder}", threads=1)
        texts.append(collect(model.stream(Request(prompt=TEXT, max_tokens=12, seed=4))).text)
        model.close()
    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--to", "gru"), "There is no family 'gru'. Choose one of titans"),
        (
            ("--to", "titans", "--set", "memory_heads=5"),
            "memory_heads is 5; it must divide the hidden size 32",
        ),
        (("--to", "titans", "--set", "memory_chunk=0"), "memory_chunk is 0; it must be from 1 to 64"),
        (("--to", "titans", "--set", "memory_chunk=soon"), "titans can't be made so"),
        (("--to", "titans", "--set", "memory_layers=[9]"), "name at least one layer from 0 to 1"),
        (("--to", "titans", "--set", "colour=red"), "titans has no option colour. It has"),
        (("--to", "titans", "--set", "memory_chunk"), "'memory_chunk' sets nothing. Write FIELD=VALUE"),
        (("--to", "titans", "--rope", "ntk:4"), "'ntk:4' names no way to a longer context"),
    ],
)
def test_what_cannot_be_is_told(
    cli: Any, llama: Path, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = cli("models", "convert", f"hf:{llama}", str(tmp_path / "made"), *arguments, code=1)
    assert told in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(cli: Any, llama: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    done = cli("models", "convert", f"hf:{llama}", str(made), "--to", "titans", code=1)
    assert "exists already" in done.stderr
    assert list(made.iterdir()) == []


def test_another_kind_of_model_is_refused(cli: Any, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from tests.tiny_model import make_tokenizer

    source = tmp_path / "gpt2"
    tokenizer = make_tokenizer()
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(source)
    tokenizer.save_pretrained(source)
    done = cli("models", "convert", f"hf:{source}", str(tmp_path / "made"), "--to", "titans", code=1)
    assert "only models of the LLaMA family can be converted" in " ".join(done.stderr.split())
    assert not (tmp_path / "made").exists()


def test_a_pickle_is_refused(cli: Any, llama: Path, tmp_path: Path) -> None:
    source = tmp_path / "pickled"
    source.mkdir()
    for path in llama.iterdir():
        if path.suffix != ".safetensors":
            (source / path.name).write_bytes(path.read_bytes())
    import torch

    torch.save({}, source / "pytorch_model.bin")
    done = cli("models", "convert", f"hf:{source}", str(tmp_path / "made"), "--to", "titans", code=1)
    assert "safetensors" in done.stderr
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("spec", ["openai:big@http://127.0.0.1:1/v1", "scripted:x.json"])
def test_a_model_whose_weights_are_elsewhere_is_refused(cli: Any, tmp_path: Path, spec: str) -> None:
    done = cli("models", "convert", spec, str(tmp_path / "made"), "--to", "titans", code=1)
    assert "its weights aren't here" in " ".join(done.stderr.split())


def test_a_full_disk_leaves_nothing(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from storyloom.generators import conversion

    def full(*_arguments: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(conversion, "_describe", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        conversion.convert(
            str(llama), "titans", tmp_path / "made", options=json.loads('{"memory_layers": [0]}')
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
def test_the_starter_is_converted_and_says_what_it_said(
    cli: Any, home: Path, tmp_path: Path, starter_weights: Path
) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / starter_weights.name).symlink_to(starter_weights)
    made = tmp_path / "titans"
    told = cli.json("models", "convert", "starter", str(made), "--to", "titans")
    assert told["new_parameters"] > 1_000_000
    prose = "The lamp had burned for ninety years before anyone asked who lit it. " * 20
    before, after = loaded(starter_weights), loaded(made)
    said = scores(before, prose)
    assert (said - scores(after, prose)).abs().max() < 1e-3

    # A hybrid too, whose state's window is shorter than the text: here, where the starter is loaded.
    assert said.shape[1] > 64
    from storyloom.generators.longcontext.convert import converted

    hybrid = converted(before.model, "hybrid", {"hybrid_state_window": 64, "hybrid_chunk": 32})
    assert hybrid.config.memory_layers == [2, 6, 10, 15, 19, 23, 27]
    assert (said - scores(replace(before, model=hybrid), prose)).abs().max() < 1e-3
