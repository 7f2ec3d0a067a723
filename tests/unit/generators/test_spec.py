from pathlib import Path

import gguf
import numpy as np
import pytest

from storyloom.generators.llama_cpp import LlamaCppModel
from storyloom.generators.openai_compatible import OpenAICompatibleModel
from storyloom.generators.rope import parse_rope
from storyloom.generators.scripted import ScriptedModel
from storyloom.generators.spec import load_model, parse_spec
from storyloom.generators.weights import starter_path
from storyloom.memory.errors import InvalidSetting, ModelUnavailable


@pytest.mark.parametrize(
    ("text", "kind", "target", "base_url"),
    [
        ("starter", "starter", "", ""),
        (" starter ", "starter", "", ""),
        ("gguf:/models/a b.gguf", "gguf", "/models/a b.gguf", ""),
        ("gguf:C:\\models\\a.gguf", "gguf", "C:\\models\\a.gguf", ""),
        ("hf:owner/name", "hf", "owner/name", ""),
        ("hf:./folder/file.gguf", "hf", "./folder/file.gguf", ""),
        ("openai:gpt@https://example.org/v1", "openai", "gpt", "https://example.org/v1"),
        ("openai:a/b:c@d@http://u@h:80/v1", "openai", "a/b:c@d", "http://u@h:80/v1"),
        ("scripted:story.json", "scripted", "story.json", ""),
    ],
)
def test_every_form_is_read(text: str, kind: str, target: str, base_url: str) -> None:
    spec = parse_spec(text)
    assert (spec.kind, spec.target, spec.base_url) == (kind, target, base_url)
    assert spec.text == text.strip()


@pytest.mark.parametrize(
    "text", ["", "Starter", "starter:", "starter:x", "gguf:", "gguf: ", "/a/b.gguf", "hf", "llama:x"]
)
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(InvalidSetting, match="gguf:PATH, hf:REPO_OR_DIR"):
        parse_spec(text)


@pytest.mark.parametrize(
    "text",
    [
        "openai:gpt",
        "openai:gpt@",
        "openai:@http://h/v1",
        "openai:gpt@ftp://h",
        "openai:g@http://",
        "openai:g@http://[::1",
    ],
)
def test_a_server_needs_a_model_and_an_address(text: str) -> None:
    with pytest.raises(InvalidSetting, match="openai:MODEL@BASE_URL"):
        parse_spec(text)


def test_a_missing_starter_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="storyloom models pull starter"):
        load_model(parse_spec("starter"), models_dir=tmp_path)


def test_the_starter_is_a_llama_cpp_model(tmp_path: Path) -> None:
    starter_path(tmp_path).write_bytes(b"GGUF")
    model = load_model(parse_spec("starter"), models_dir=tmp_path, context_tokens=512)
    assert isinstance(model, LlamaCppModel)
    assert model.name == "starter"


def test_a_gguf_file_is_looked_for_when_it_is_used(tmp_path: Path) -> None:
    model = load_model(parse_spec(f"gguf:{tmp_path}/none.gguf"), models_dir=tmp_path)
    with pytest.raises(ModelUnavailable, match=r"none\.gguf"):
        model.count_tokens("text")


def save_gguf(path: Path, context_tokens: int) -> Path:
    """A file whose head can be read."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context_tokens)
    writer.add_tensor("one", np.zeros((3, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_models_in_this_process_may_read_longer(tmp_path: Path, folder: Path) -> None:
    file = save_gguf(tmp_path / "small.gguf", context_tokens=512)
    for text in (f"hf:{folder}", f"gguf:{file}"):
        for way in ("yarn:4", "linear:4", "abf:4"):
            rope = parse_rope(way)
            model = load_model(parse_spec(text), models_dir=tmp_path, context_tokens=2048, rope=rope)
            assert model.context_tokens == 2048
        model = load_model(parse_spec(text), models_dir=tmp_path, context_tokens=2048)
        with pytest.raises(InvalidSetting, match="from 1 to 512"):
            _ = model.context_tokens


def test_a_script_is_read_at_once(tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text("One.", encoding="utf-8")
    spec = parse_spec(f"scripted:{script}")
    model = load_model(spec, models_dir=tmp_path, context_tokens=99)
    assert isinstance(model, ScriptedModel)
    assert (model.name, model.context_tokens) == (spec.text, 99)


def test_a_server_is_not_asked_before_it_is_used(tmp_path: Path) -> None:
    spec = parse_spec("openai:m@http://127.0.0.1:9/v1")
    model = load_model(spec, models_dir=tmp_path, context_tokens=2048, api_key="k")
    assert isinstance(model, OpenAICompatibleModel)
    assert model.name == spec.text
    model.close()


def test_a_repository_is_a_transformers_model(tmp_path: Path) -> None:
    from storyloom.generators.hugging_face import HuggingFaceModel

    model = load_model(parse_spec("hf:owner/name"), models_dir=tmp_path, context_tokens=128, threads=1)
    assert isinstance(model, HuggingFaceModel)
    assert model.name == "hf:owner/name"
