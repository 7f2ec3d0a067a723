from pathlib import Path
from typing import Any

import pytest
import torch

from storyloom.generators.longcontext.training import checkpoint
from storyloom.memory.errors import ModelUnavailable, StoreUnavailable

STATE = {"steps": 3, "memory": {"0.read": torch.tensor([4, 5])}, "shelf": {"rows": [[0, 4]]}}


def test_what_was_kept_is_loaded(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    checkpoint.save(tmp_path, STATE)
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found["shelf"] == STATE["shelf"]
    assert found["memory"]["0.read"].tolist() == [4, 5]
    checkpoint.remove(tmp_path)
    assert checkpoint.load(tmp_path) is None


@pytest.mark.parametrize("cut", [0, 10, 300])
def test_a_damaged_one_is_told(tmp_path: Path, cut: int) -> None:
    checkpoint.save(tmp_path, STATE)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelUnavailable, match="is damaged"):
        checkpoint.load(tmp_path)


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    torch.save({"trap": Path("x")}, tmp_path / "checkpoint.pt")
    with pytest.raises(ModelUnavailable, match="UnpicklingError"):
        checkpoint.load(tmp_path)


def test_a_full_disk_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, STATE)

    def full(_state: Any, file: Any) -> None:
        file.write(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        checkpoint.save(tmp_path, {"steps": 4})
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found["steps"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
