"""The kernels' benchmark, run as it is meant to be, on the CPU at its smallest."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.kernel_cases import KERNELS
from tests.bench.kernels import COLUMNS, ROOT, write

NUMBERS = ("ms", "times_ours", "difference", "bytes", "flops", "gb_per_s", "tflop_per_s", "share_of_copy")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("bench") / "kernels.csv"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.kernels", "--device", "cpu", "--quick", "--out", str(path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return path, done.stdout


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_kernel_has_its_rows(run: tuple[Path, str]) -> None:
    path, said = run
    assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    rows = rows_of(path)
    assert {row["kernel"] for row in rows} == set(KERNELS), said
    assert {row["device"] for row in rows} == {"cpu"}
    assert {row["contestant"] for row in rows} == {"reference", "eager loop"}
    assert "left out" not in said


def test_every_figure_is_finite(run: tuple[Path, str]) -> None:
    for row in rows_of(run[0]):
        for name in NUMBERS:
            assert math.isfinite(float(row[name])), (row["kernel"], name)
        assert float(row["ms"]) > 0
        assert float(row["times_ours"]) > 0


def test_contestants_compute_the_same(run: tuple[Path, str]) -> None:
    for row in rows_of(run[0]):
        assert float(row["difference"]) < 1e-4, row["kernel"]


def test_it_ends_with_one_line_of_json(run: tuple[Path, str]) -> None:
    told = json.loads(run[1].splitlines()[-1])
    assert told["device"] == "cpu"
    assert told["rows"] == len(rows_of(run[0]))
    assert all(math.isfinite(ratio) for ratio in told["times_ours"].values())


def test_other_devices_and_kernels_keep_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "kernels.csv"
    row = dict.fromkeys(COLUMNS, "") | {"device": "cpu", "kernel": "ssd", "ms": "1"}
    write(path, [row, row | {"device": "a GPU"}, row | {"kernel": "lact"}])
    write(path, [row | {"ms": "2"}])
    left = [(one["device"], one["kernel"], one["ms"]) for one in rows_of(path)]
    assert left == [("a GPU", "ssd", "1"), ("cpu", "lact", "1"), ("cpu", "ssd", "2")]
