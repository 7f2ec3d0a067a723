from pathlib import Path

import pytest

from storyloom.app import weights
from storyloom.app.settings import load_settings
from storyloom.generators.weights import starter_path
from storyloom.memory.errors import InvalidSetting


def test_the_starter_is_missing_only_where_it_is_asked_for() -> None:
    settings = load_settings()
    assert weights.missing(settings, ["gguf:model.gguf", " starter "]) == ["starter"]
    assert weights.missing(settings, ["openai:m@http://127.0.0.1:1/v1"]) == []


def test_what_is_there_is_listed_and_not_missing(home: Path) -> None:
    settings = load_settings()
    path = starter_path(settings.models_dir)
    (home / "models" / "mine").mkdir(parents=True)
    path.write_bytes(b"GGUF")
    (home / "models" / "mine" / "other.gguf").write_bytes(b"GGUF12")
    assert weights.missing(settings, ["starter"]) == []
    assert [(one.name, one.present, one.size) for one in weights.listed(settings)] == [
        ("starter", True, 4),
        ("other", True, 6),
    ]


def test_only_the_starter_can_be_fetched() -> None:
    with pytest.raises(InvalidSetting, match="gguf:PATH"):
        weights.pull(load_settings(), "gpt", lambda _done, _total: None)
