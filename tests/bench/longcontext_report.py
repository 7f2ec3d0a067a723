"""The experiment's figures, as a table and pictures: means over seeds, intervals over books."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storyloom.generators.longcontext.charts import line_chart
from storyloom.generators.longcontext.evaluation.perplexity import CONTROLS, ON
from storyloom.generators.longcontext.evaluation.statistics import Interval, interval
from tests.bench.longcontext_arms import ARMS, BESIDE, SEGMENT, TOKENS, WINDOW, Result

EDGES = (0, 64, 256, 512, 1024, 2048, 4096)
_SEED = 0  # of the intervals


def figures(results: Sequence[Result]) -> dict[str, Any]:
    """Every arm's losses in nats a token, as a document."""
    by_arm = {arm: [one for one in results if one.arm == arm] for arm in ARMS}
    return {
        "unit": "nats a token",
        "tokens": TOKENS,
        "window": WINDOW,
        "segment": SEGMENT,
        "arms": {
            arm: _figures(found, by_arm[BESIDE.get(arm, "window")]) for arm, found in by_arm.items() if found
        },
    }


def write_report(told: dict[str, Any], books: Sequence[str], folder: Path) -> None:
    """The tables and pictures behind ``docs/experiments/small_models.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    # Less the window's: books differ from each other by ten times what arms do.
    lines = {
        arm: [(_middle(place), *_point(place["less_window"])) for place in found["continuous"]]
        for arm, found in told["arms"].items()
        if arm != "window" and found["whole"]["less_window"]
    }
    chart = line_chart(
        "Loss less that of its window alone, one long text",
        "tokens before",
        "nats a token",
        lines,
        logarithmic=True,
    )
    (folder / "small_models_position.svg").write_text(chart, encoding="utf-8")
    controls = {
        arm: [(_middle(place), *_point(place["difference"]["shuffled"])) for place in found["segmented"]]
        for arm, found in told["arms"].items()
        if found["segmented"]
    }
    chart = line_chart(
        "With the book's own memory less with another's",
        "tokens before",
        "nats a token",
        controls,
        logarithmic=True,
    )
    (folder / "small_models_memory.svg").write_text(chart, encoding="utf-8")
    (folder / "small_models_tables.md").write_text(_tables(told, books), encoding="utf-8")


def _figures(found: Sequence[Result], window: Sequence[Result]) -> dict[str, Any]:
    continuous = _mean([one.continuous for one in found])
    memories = {memory: _mean([one.segmented[memory] for one in found]) for memory in found[0].segmented}
    whole: dict[str, Any] = {"loss": _told(continuous.mean(1)), "less_window": None}
    beside = {one.seed: one.continuous for one in window}
    pairs = [one.continuous - beside[one.seed] for one in found if one.seed in beside]
    apart = _mean(pairs) if pairs else None
    if apart is not None:
        whole["less_window"] = _told(apart.mean(1))
    return {
        "seeds": [one.seed for one in found],
        "parameters": found[0].parameters,
        "train_seconds": [round(one.train_seconds, 1) for one in found],
        "train_loss": [round(one.train_loss, 4) for one in found],
        "whole": whole,
        "by_seed": [round(float(one.continuous.mean()), 4) for one in found],
        "continuous": [
            {
                "from": start,
                "to": end,
                "loss": _told(continuous[:, start:end].mean(1)),
                "less_window": None if apart is None else _told(apart[:, start:end].mean(1)),
            }
            for start, end in pairwise(EDGES)
        ],
        "segmented": _segmented(memories),
        "memory": {
            control: {
                "mean": _told((memories[ON] - memories[control])[:, SEGMENT:].mean(1)),
                "by_seed": [
                    round(float((one.segmented[ON] - one.segmented[control])[:, SEGMENT:].mean()), 4)
                    for one in found
                ],
            }
            for control in CONTROLS
            if memories
        },
    }


def _segmented(memories: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    if not memories:
        return []
    return [
        {
            "from": start,
            "to": end,
            "loss": _told(memories[ON][:, start:end].mean(1)),
            "difference": {
                control: _told((memories[ON] - memories[control])[:, start:end].mean(1))
                for control in CONTROLS
            },
        }
        for start, end in pairwise(EDGES)
        if start >= SEGMENT
    ]


def _mean(losses: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Over seeds; [books, tokens]."""
    found: NDArray[Any] = np.mean([one.astype(np.float64) for one in losses], axis=0)
    return found


def _told(by_book: NDArray[Any]) -> dict[str, float | None]:
    found: Interval = interval(by_book, _SEED)
    return {name: None if value is None else round(value, 4) for name, value in found.as_json().items()}


def _middle(place: dict[str, Any]) -> float:
    return float(place["from"] + place["to"]) / 2


def _point(told: dict[str, Any]) -> tuple[float, float, float]:
    return told["mean"], told["low"], told["high"]


def _tables(told: dict[str, Any], books: Sequence[str]) -> str:
    """Both tables in Markdown."""
    rows = [
        f"Held-out books: {', '.join(name.removesuffix('.txt') for name in books)}.",
        "",
        "| arm | weights | training, core seconds | loss | less its window's | by seed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for arm, found in told["arms"].items():
        seconds = min(found["train_seconds"])
        seeds = " ".join(f"{one:.3f}" for one in found["by_seed"])
        whole = found["whole"]
        rows.append(
            f"| {arm} | {found['parameters'] / 1e6:.2f} M | {seconds:.0f} | {_cell(whole['loss'])} "
            f"| {_cell(whole['less_window'])} | {seeds} |"
        )
    rows += ["", "| family | on − zeroed | on − shuffled | shuffled, by seed |", "| --- | --- | --- | --- |"]
    for arm, found in told["arms"].items():
        if found["memory"]:
            zeroed, shuffled = (found["memory"][control] for control in CONTROLS)
            seeds = " ".join(f"{one:+.4f}" for one in shuffled["by_seed"])
            rows.append(f"| {arm} | {_cell(zeroed['mean'])} | {_cell(shuffled['mean'])} | {seeds} |")
    return "\n".join([*rows, ""])


def _cell(told: dict[str, float] | None) -> str:
    if told is None:
        return "–"
    return f"{told['mean']:.4f} ({told['low']:.4f} to {told['high']:.4f})"
