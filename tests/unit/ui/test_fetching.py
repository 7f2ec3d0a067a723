import io
import sys
from pathlib import Path

import pytest

from storyloom.app import weights
from storyloom.app.settings import Settings, load_settings
from storyloom.ui.fetching import OnProgress, fetch_missing


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was fetched, by a fetch that only counts."""
    names: list[str] = []

    def pull(settings: Settings, name: str, on_progress: OnProgress) -> Path:
        names.append(name)
        on_progress(50, 100)
        on_progress(100, 100)
        return settings.models_dir / f"{name}.gguf"

    monkeypatch.setattr(weights, "pull", pull)
    return names


def test_what_is_missing_is_fetched_once(pulled: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fetch_missing(load_settings(), ["starter", "starter", "gguf:x.gguf"])
    assert pulled == ["starter"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "starter.gguf" in err


def test_a_terminal_gets_a_bar(pulled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    fetch_missing(load_settings(), ["starter"])
    assert pulled == ["starter"]
    assert "100/100 bytes" in terminal.getvalue()
