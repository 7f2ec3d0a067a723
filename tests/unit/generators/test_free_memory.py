"""How much memory keys and values may fill."""

from pathlib import Path

import pytest
import torch

from storyloom.generators import free_memory
from storyloom.generators.free_memory import cells_for, free_bytes, within_free_memory


@pytest.mark.parametrize(
    ("free", "cells"),
    [(0, 1000), (4 * 1000 * 10, 1000), (4 * 2500 * 10, 2500), (10**9, 8000)],
)
def test_a_whole_context_for_each_slot_if_there_is_room(free: int, cells: int) -> None:
    assert cells_for(10, context_tokens=1000, slots=8, free=free) == cells


def test_free_memory_is_the_smaller_of_the_machines_and_the_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, container = tmp_path / "meminfo", tmp_path / "memory.max"
    monkeypatch.setattr(free_memory, "_FREE", machine)
    monkeypatch.setattr(free_memory, "_LIMIT", container)
    assert free_bytes() == 0
    machine.write_text("MemTotal:       9000 kB\nMemAvailable:   5000 kB\n")
    assert free_bytes() == 5000 * 1024
    container.write_text("max\n")
    assert free_bytes() == 5000 * 1024
    container.write_text("2048000\n")
    assert free_bytes() == 2048000


def test_more_than_is_free_is_refused_and_only_in_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "free_bytes", lambda: 2**28)
    with within_free_memory():
        assert torch.zeros(2**26, dtype=torch.uint8).numel() == 2**26
        with pytest.raises(RuntimeError, match="memory"):
            torch.zeros(2**29, dtype=torch.uint8)
    assert torch.zeros(2**29, dtype=torch.uint8).numel() == 2**29


def test_where_nobody_tells_what_is_free_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "free_bytes", lambda: 0)
    with within_free_memory():
        assert torch.zeros(2**29, dtype=torch.uint8).numel() == 2**29
