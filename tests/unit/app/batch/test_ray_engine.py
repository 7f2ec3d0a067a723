from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from storyloom.app.batch import ray_engine
from storyloom.app.batch.ray_engine import RayEngine, RayPlan
from storyloom.app.settings import load_settings
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.orders import Batch

BATCH = Batch(id="ba7c4", owner="local", name="lamps", created_at=datetime(2025, 1, 2, tzinfo=UTC))


def test_more_gpus_than_the_machine_has_are_refused_before_anything_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    machine = SimpleNamespace(
        init=lambda **_options: done.append("init"),
        shutdown=lambda: done.append("shutdown"),
        cluster_resources=lambda: {"CPU": 8.0, "GPU": 1.0},
        exceptions=SimpleNamespace(RayError=RuntimeError),
        _private=SimpleNamespace(worker=SimpleNamespace()),
    )
    monkeypatch.setattr(ray_engine, "_imported", lambda: machine)
    plan = RayPlan(workers=3, stories=1, gpus=0.5)
    crew = RayEngine(load_settings(), ["starter"], plan, on_notice=lambda _text: None)
    with pytest.raises(
        InvalidSetting, match=r"3 workers with 0.5 GPUs each need 1.5, and this machine has 1\."
    ):
        crew.start(BATCH)
    assert done == ["init", "shutdown"]
    assert not crew.working()
