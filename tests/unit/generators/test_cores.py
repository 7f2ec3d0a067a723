import os
from pathlib import Path

import pytest

from storyloom.generators import cores
from storyloom.generators.cores import calm_openmp, physical_cores


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four logical processors on two cores, without a quota."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3}, raising=False)
    for cpu in range(4):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
    monkeypatch.setattr(cores, "_CPUS", tmp_path)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    return tmp_path


def test_two_threads_of_a_core_count_once(machine: Path) -> None:
    assert machine.exists()
    assert physical_cores() == 2


def test_an_unknown_machine_counts_its_processors(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_CPUS", machine / "none")
    assert physical_cores() == 4


@pytest.mark.parametrize(
    ("quota", "threads"),
    [("max 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("900000 100000", 2), ("x", 2)],
)
def test_a_quota_limits_the_threads(machine: Path, quota: str, threads: int) -> None:
    (machine / "cpu.max").write_text(quota)
    assert physical_cores() == threads


def test_waiting_threads_spin_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", environment := {"HOME": "/root"})
    calm_openmp()
    assert environment == {"HOME": "/root", "GOMP_SPINCOUNT": "10000", "OMP_WAIT_POLICY": "active"}


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_a_person_set_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(os, "environ", environment := {name: "5"})
    calm_openmp()
    assert environment == {name: "5"}
