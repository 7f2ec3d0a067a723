"""How much memory keys and values may fill."""

from pathlib import Path

import pytest

from storyloom.generators import free_memory
from storyloom.generators.free_memory import cells_for, free_bytes


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
