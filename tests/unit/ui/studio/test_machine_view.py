import sys
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


def test_who_signed_in_sees_names_of_files_alone(
    house: House, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = House(house.studio.of_owner("tom"), house.writers, has_users=True)
    elsewhere = tmp_model(home, monkeypatch)
    for one, sees in ((house, True), (guest, False)):
        models = machine_view.opened(one, NOWHERE).models or ""
        findings = machine_view.examined(one, NOWHERE).findings or ""
        assert "gguf:" in models
        assert elsewhere.name in models
        assert "storyloom.db" in findings
        for folder in (home, elsewhere.parent, Path(sys.prefix).parent):
            assert (str(folder) in models + findings) == sees


def tmp_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model that writes, in a folder outside the data folder."""
    monkeypatch.setenv("STORYLOOM_MODEL", "gguf:/srv/of the house/lamp.gguf")
    assert home.exists()
    return Path("/srv/of the house/lamp.gguf")


def test_a_failure_names_no_folder_to_who_signed_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_settings: object) -> None:
        raise StoreUnavailable("The database at /srv/lamps/stories.sqlite3 is damaged.")

    monkeypatch.setattr(machine_view, "examine", fail)
    guest = House(house.studio, house.writers, has_users=True)
    assert "The database at stories.sqlite3 is damaged." in (
        machine_view.examined(guest, NOWHERE).notice or ""
    )
    assert "/srv/lamps" in (machine_view.examined(house, NOWHERE).notice or "")


def test_colours_and_keys_are_labelled() -> None:
    assert machine_html.shades().count('<input type="radio" name="shade"') == 3
    assert "<legend>Colours</legend>" in machine_html.shades()
    assert "<kbd>Tab, Shift+Tab</kbd>" in keys()
