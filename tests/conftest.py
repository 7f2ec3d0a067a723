"""What every test shares: a data folder of its own, and the starter's weights fetched once."""

import os
from pathlib import Path

import pytest

from storyloom.generators.cores import calm_openmp

ROOT = Path(__file__).resolve().parent.parent

# Set before any library reads it: no test may look for a hub, and waiting threads sleep soon.
calm_openmp()
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_ANALYTICS_ENABLED="False")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh data folder, so that no test sees a person's stories."""
    folder = tmp_path / "home"
    monkeypatch.setenv("STORYLOOM_HOME", str(folder))
    for name in [name for name in os.environ if name.startswith("STORYLOOM_") and name != "STORYLOOM_HOME"]:
        monkeypatch.delenv(name)
    # Tests run side by side, and two threads of an engine wait for each other beside another busy process.
    monkeypatch.setenv("STORYLOOM_THREADS", "1")
    return folder


@pytest.fixture(scope="session")
def starter_weights() -> Path:
    """The starter's weights, fetched once into the git-ignored build folder and kept there."""
    from storyloom.generators.weights import pull_starter

    return pull_starter(ROOT / "build" / "models", lambda _done, _total: None)
