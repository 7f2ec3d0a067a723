"""The kernels' benchmark, run as it is meant to be, on the CPU at its smallest."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.kernel_cases import KERNELS
from tests.bench.kernel_plot import device_of, panels, plot
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


def test_the_plot_has_every_kernel(run: tuple[Path, str]) -> None:
    drawn = run[0].with_suffix(".svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    for kernel in KERNELS:
        assert f">{kernel}, forward" in drawn
    assert "no speed is claimed" in drawn


def test_the_pages_quote_what_was_measured() -> None:
    measured = {
        (row["kernel"], row["pass"], row["length"], row["contestant"]): f"{float(row['ms']):.3g}"
        for row in rows_of(ROOT / "docs" / "benchmarks" / "kernels.csv")
        if row["device"] == "cpu"
    }
    quoted = set()
    for page in (ROOT / "docs" / "kernels").glob("*.md"):
        for line in page.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.split("|")[1:-1]]
            if len(cells) == 5 and cells[1].startswith("forward"):
                name, passed, length, reference, loop = cells
                assert measured[name, passed, length, "reference"] == reference, page.name
                assert measured[name, passed, length, "eager loop"] == loop, page.name
                quoted.add(name)
    assert quoted == set(KERNELS)


def made_up(**columns: object) -> dict[str, object]:
    """A row as the CSV gives it back: text in every column."""
    row = {"device": "a GPU", "kernel": "ssd", "model": "1B", "pass": "forward", "contestant": "triton"}
    return {name: str(value) for name, value in (row | {"length": 64, "ms": 1} | columns).items()}


def test_a_panel_holds_the_passes_together_in_order_of_length() -> None:
    rows = [made_up(length=2048, ms=3, **{"pass": "forward+backward"}), made_up(length=128)]
    rows += [made_up(length=512, ms=2, **{"pass": "forward+backward"}), made_up(kernel="gather_decode", ms=4)]
    assert panels(rows) == {
        "gather_decode, forward": {("1B", "triton"): [(64, 4.0)]},
        "ssd, forward+backward": {("1B", "triton"): [(512, 2.0), (2048, 3.0)]},
    }


def test_the_last_gpus_rows_are_drawn_and_the_cpus_only_alone(tmp_path: Path) -> None:
    rows = [made_up(device="an older GPU"), made_up(), made_up(device="cpu", kernel="lact")]
    assert device_of(rows) == "a GPU"
    plot(tmp_path / "kernels.svg", rows)
    drawn = (tmp_path / "kernels.svg").read_text(encoding="utf-8")
    assert ">ssd, forward" in drawn
    assert ">lact" not in drawn
    assert "no speed is claimed" not in drawn


def test_without_matplotlib_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plot(tmp_path / "kernels.svg", [made_up()])
    assert "kernels.svg isn't drawn: matplotlib isn't installed. Install it with" in capsys.readouterr().out
    assert not (tmp_path / "kernels.svg").exists()
