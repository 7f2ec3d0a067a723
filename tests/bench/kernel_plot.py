"""Draws the kernels' benchmark: milliseconds by length, a panel a kernel.

As a program it draws a CSV that another machine wrote:
``python -m tests.bench.kernel_plot docs/benchmarks/kernels.csv``.
"""

import argparse
import csv
from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

COLUMNS = 3
STYLES = ("-", "--", ":", "-.")
# By kernel, then by model and contestant: tokens and milliseconds.
Panels = dict[str, dict[tuple[str, str], list[tuple[int, float]]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    path = parser.parse_args().csv
    with path.open(newline="", encoding="utf-8") as file:
        plot(path.with_suffix(".svg"), list(csv.DictReader(file)))


def plot(path: Path, rows: list[dict[str, Any]]) -> None:
    """Draw the rows of a GPU where there are some, else those of the CPU; says so where it can't.

    Args:
        path: the SVG to write.
        rows: of the benchmark, from memory or from its CSV.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        print(
            f"{path.name} isn't drawn: matplotlib isn't installed. Install it with: pip install "
            f"'matplotlib>=3.10,<4', then run: python -m tests.bench.kernel_plot {path.with_suffix('.csv')}"
        )
        return
    device = device_of(rows)
    drawn = panels(row for row in rows if row["device"] == device)
    # Text stays text, and the same figures make the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kernels"}):
        height = -(-len(drawn) // COLUMNS)
        figure = Figure(figsize=(5 * COLUMNS, 3.2 * height), layout="constrained")
        axes = figure.subplots(height, COLUMNS, squeeze=False).flatten()
        for axis, (name, lines) in zip(axes, drawn.items(), strict=False):
            _draw(axis, name, lines)
        for axis in axes[len(drawn) :]:
            axis.remove()
        claim = ", where it only tests the harness: no speed is claimed" if device == "cpu" else ""
        figure.suptitle(f"Kernels on {device}{claim}")
        figure.savefig(path, metadata={"Date": None})


def device_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """Whose rows are drawn: the last GPU's, or the CPU's where no GPU ran."""
    devices = [str(row["device"]) for row in rows]
    return next((device for device in reversed(devices) if device != "cpu"), "cpu")


def panels(rows: Iterable[Mapping[str, Any]]) -> Panels:
    """Forward and backward together where a kernel has both; lengths rise."""
    by_pass: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        by_pass.setdefault(str(row["kernel"]), {}).setdefault(str(row["pass"]), []).append(row)
    drawn: Panels = {}
    for kernel, passes in sorted(by_pass.items()):
        passed = "forward+backward" if "forward+backward" in passes else "forward"
        lines = drawn.setdefault(f"{kernel}, {passed}", {})
        for row in sorted(passes[passed], key=lambda row: int(row["length"])):
            line = lines.setdefault((str(row["model"]), str(row["contestant"])), [])
            line.append((int(row["length"]), float(row["ms"])))
    return drawn


def _draw(axis: Any, name: str, lines: dict[tuple[str, str], list[tuple[int, float]]]) -> None:
    """A colour a contestant, a style a model."""
    from matplotlib.ticker import LogLocator, NullLocator

    models = dict(zip(dict.fromkeys(model for model, _ in lines), cycle(STYLES), strict=False))
    colours = {name: f"C{index}" for index, name in enumerate(dict.fromkeys(name for _, name in lines))}
    for (model, contestant), points in lines.items():
        axis.loglog(*zip(*points, strict=True), models[model], color=colours[contestant], marker="o")
    for contestant, colour in colours.items():
        axis.plot([], [], color=colour, label=contestant)
    for model, style in models.items():
        axis.plot([], [], style, color="grey", label=model)
    axis.legend(fontsize=6)
    lengths = sorted({length for points in lines.values() for length, _ in points})
    axis.set_xticks(lengths, labels=[f"{length:,}" for length in lengths])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set(title=name, xlabel="tokens", ylabel="ms")


if __name__ == "__main__":
    main()
