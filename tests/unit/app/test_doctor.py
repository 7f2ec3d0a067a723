import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

from storyloom.app import doctor
from storyloom.app.doctor import Finding, examine
from storyloom.app.settings import load_settings
from storyloom.generators.weights import starter_path
from storyloom.memory.errors import ModelUnavailable


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch isn't loaded to find that there is no GPU."""
    monkeypatch.setattr(doctor, "gpu_name", lambda: None)


def found(name: str) -> Finding:
    return next(finding for finding in examine(load_settings()) if finding.name == name)


def test_a_fresh_machine_is_well() -> None:
    states = {finding.name: finding.state for finding in examine(load_settings())}
    assert states.pop("starter") == "warning"
    assert set(states.values()) == {"ok"}
    assert {"python", "storyloom", "xllamacpp", "torch", "device", "data folder", "database", "pip"} <= set(
        states
    )


def test_damaged_weights_are_broken_only_for_those_who_use_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "models").mkdir(parents=True)
    starter_path(home / "models").write_bytes(b"half of it")
    assert found("starter").state == "broken"
    assert "models pull starter" in found("starter").text
    monkeypatch.setenv("STORYLOOM_MODEL", "gguf:other.gguf")
    assert found("starter").state == "warning"


def test_a_damaged_database_is_broken(home: Path) -> None:
    home.mkdir()
    (home / "storyloom.db").write_bytes(b"no database" * 500)
    assert found("database").state == "broken"


def test_a_folder_that_cannot_be_written_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STORYLOOM_HOME", str(tmp_path / "file"))
    assert found("data folder").state == "broken"
    assert "STORYLOOM_HOME" in found("data folder").text


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "gradio":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    def broken() -> str | None:
        raise ModelUnavailable("torch can't be loaded. Install it again.")

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(doctor, "gpu_name", broken)
    assert found("gradio").state == "broken"
    assert "pip install gradio" in found("gradio").text
    assert found("pip").state == "warning"
    assert found("device").state == "broken"
