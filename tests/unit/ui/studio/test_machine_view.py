from pathlib import Path

import pytest

from storyloom.app import fitting
from storyloom.app.doctor import Finding
from storyloom.app.settings import load_settings
from storyloom.generators.weights import starter_path
from storyloom.memory.errors import StoreUnavailable
from storyloom.ui.studio import machine_html, machine_view
from storyloom.ui.studio.machine_html import keys
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Enabled

NOWHERE = Place()
HOSTILE = "<script>window.pwned = 1</script>"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a model in it."""
    monkeypatch.setenv("STORYLOOM_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{HOSTILE.replace('/', '')}.gguf").write_bytes(b"GGUF" * 1_000_000)
    return tmp_path


@pytest.mark.usefixtures("home")
def test_models_are_listed_with_what_fits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "free_bytes", lambda: 2_500_000_000)
    shown = machine_view.opened(house, NOWHERE).models or ""
    assert "4 MB · fits the free memory" in shown
    assert "<b>The starter</b><span>not here; writing fetches it · writes new stories</span>" in shown
    assert "2.5 GB of memory are free now." in shown
    assert "<script" not in shown
    monkeypatch.setattr(fitting, "free_bytes", lambda: 1_000_000_000)
    assert "needs more memory" in (machine_view.opened(house, NOWHERE).models or "")


@pytest.mark.usefixtures("home")
def test_nothing_is_said_of_memory_where_nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "free_bytes", lambda: 0)
    shown = machine_html.models(fitting.models_here(load_settings()))
    assert "of memory" not in shown
    assert "free memory" not in shown


def test_a_writer_elsewhere_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYLOOM_MODEL", f"openai:{HOSTILE}@http://127.0.0.1:1/v1")
    starter_path(home / "models").write_bytes(b"GGUF")
    shown = machine_html.models(fitting.models_here(load_settings()))
    assert shown.count("writes new stories") == 1
    assert "<b>openai:&lt;script&gt;" in shown


@pytest.mark.usefixtures("home")
def test_the_doctor_is_asked_and_a_failure_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_view.examining(house, NOWHERE).examine == Enabled(False)
    found = [Finding("python", "ok", "3.11"), Finding("database", "broken", HOSTILE)]
    monkeypatch.setattr(machine_view, "examine", lambda _settings: found)
    shown = machine_view.examined(house, NOWHERE)
    assert '<tr class="broken"><th scope="row">database</th>' in (shown.findings or "")
    assert "<script" not in (shown.findings or "")
    assert shown.examine == Enabled(True)

    def fail(_settings: object) -> None:
        raise StoreUnavailable("The disk is away.")

    monkeypatch.setattr(machine_view, "examine", fail)
    failed = machine_view.examined(house, NOWHERE)
    assert "The disk is away." in (failed.notice or "")
    assert failed.examine == Enabled(True)


def test_colours_and_keys_are_labelled() -> None:
    assert machine_html.shades().count('<input type="radio" name="shade"') == 3
    assert "<legend>Colours</legend>" in machine_html.shades()
    assert "<kbd>Tab, Shift+Tab</kbd>" in keys()
