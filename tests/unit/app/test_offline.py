import os
from pathlib import Path

import pytest

from storyloom.app.offline import is_hub_id, stay_offline


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables is set, and what a test sets is undone."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_nothing_is_asked_of_the_hub_for_local_models(tmp_path: Path) -> None:
    stay_offline(["starter", "gguf:model.gguf", f"hf:{tmp_path}", "openai:m@http://127.0.0.1:1/v1"])
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == os.environ["DO_NOT_TRACK"] == "1"


def test_a_hub_id_is_a_wish_to_ask_the_hub() -> None:
    stay_offline(["starter", "hf:owner/repository"])
    assert "HF_HUB_OFFLINE" not in os.environ
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_a_hub_id_is_what_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "weights.gguf").touch()
    assert not is_hub_id(f"hf:{tmp_path / 'weights.gguf'}")
    assert is_hub_id("hf:owner/repository")
    assert not is_hub_id("starter")
