"""Whether a hybrid's state collapses far beyond the lengths that it was trained on, and what keeps it whole.

Two kinds of the small hybrid read held-out novels as one text of 65,536 tokens each: as they are, and with
each of Stuffed Mamba's three remedies (arXiv 2410.07145), none of which needs training.

- ``usual``: the experiment's (``make bench NAME=longcontext``), whose state is carried through whole books.
- ``slow``: decays that begin a thousand times slower, trained on segments of 256 tokens that all begin with
  an empty state. It never has to forget, as the paper says of models trained on short texts.

``make bench NAME=collapse DATA=../shared/data``. Prints one JSON line.
"""

import argparse
import json
import math
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.evaluation.perplexity import partners, read_books
from storyloom.generators.longcontext.evaluation.statistics import interval
from storyloom.generators.longcontext.training.loop import train
from tests.bench.longcontext_arms import ARMS, BEGIN, SEGMENT, pieces, plan_for
from tests.bench.longcontext_base import base, corpus

ROOT = Path(__file__).resolve().parents[2]
_CHUNK = 64
_SLOWER = 1000.0
REMEDIES: dict[str, dict[str, Any]] = {
    "none": {},
    "insertion and decay": {"hybrid_insertion_scale": 0.9, "hybrid_decay_scale": 1.5},
    "cap": {"hybrid_state_cap": 8.0, "hybrid_chunk": _CHUNK},
    "window of 512": {"hybrid_state_window": 512, "hybrid_chunk": _CHUNK},
}


def main() -> None:
    """Measure every remedy on every seed that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("DATA"))
    parser.add_argument("--models", default=str(ROOT / "build" / "experiment"))
    parser.add_argument("--length", type=int, default=65_536)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    chosen = parser.parse_args()
    kept = Path(chosen.models)
    usual = [kept / f"hybrid-{seed}" for seed in chosen.seeds]
    if not chosen.data or not all(folder.is_dir() for folder in usual):
        sys.exit("Run make bench NAME=longcontext first, and name the folder with novels/ by DATA=PATH.")
    torch.set_num_threads(1)
    slow = [_slow(Path(chosen.data), kept, seed) for seed in chosen.seeds]
    ids = _texts(Path(chosen.data), kept, chosen.length)
    told = {
        kind: {name: _measured(name, folders, ids) for name in REMEDIES}
        for kind, folders in (("usual", usual), ("slow", slow))
    }
    print(json.dumps({"unit": "nats a token", "books": len(ids), "seeds": chosen.seeds, **told}))


def _slow(data: Path, kept: Path, seed: int) -> Path:
    """A hybrid that never had to forget, trained once."""
    folder = kept / f"hybrid-slow-{seed}"
    if not folder.is_dir():
        model: Any = converted(base(data, kept, print), "hybrid", ARMS["hybrid"], seed=seed)
        with torch.no_grad():
            for index in model.config.memory_layers:
                model.model.layers[index].branch.A_log.sub_(math.log(_SLOWER))
        books = corpus(data / "train", kept)
        train(model, pieces(books, SEGMENT), plan_for("hybrid", seed))
        model.save_pretrained(folder)
    return folder


def _texts(data: Path, kept: Path, length: int) -> torch.Tensor:
    held = corpus(data / "novels", kept)
    parts = []
    for index in range(len(held)):
        book = held.book(index)
        begin = min(int(BEGIN * len(book)), len(book) - length - 1)
        parts.append(np.asarray(book[begin : begin + length + 1], dtype=np.int64))
    return torch.from_numpy(np.stack(parts))


def _measured(name: str, folders: list[Path], ids: torch.Tensor) -> list[dict[str, Any]]:
    """The loss by position, the mean over seeds, with its interval over books."""
    losses = []
    for folder in folders:
        print(f"{folder.name}, {name}", file=sys.stderr)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **REMEDIES[name])
        found = read_books(
            model.eval(), ids, segment=4096, way="continuous", controls=(), partner=partners(len(ids), 0)
        )
        losses.append(found["on"])
    mean = np.mean(losses, axis=0)
    edges = [0, *(2**power for power in range(10, 17) if 2**power < ids.shape[1] - 1), ids.shape[1] - 1]
    return [
        {"from": start, "to": end, **_rounded(interval(mean[:, start:end].mean(1), 0).as_json())}
        for start, end in pairwise(edges)
    ]


def _rounded(told: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in told.items()}


if __name__ == "__main__":
    main()
