"""Small models of every family, trained alike on a processor, and what their memory is worth.

A LLaMA of 5.5 million weights is trained on the training novels, then made into every family; each is adapted
for the same number of tokens and read the same stretches of novels that none has seen, three seeds each, with
the memory on, zeroed and shuffled between books. Beside them the LLaMA itself, adapted for as many tokens,
with full attention and with the same window. Every part is kept in ``--out`` as soon as it is there: the same
command goes on after a stop. Several processes may share the work, by ``--arms`` and ``--seeds``;
each writes the report of all results that are there.

``make bench NAME=longcontext DATA=../shared/data``. Prints one JSON line.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import torch

from tests.bench.longcontext_arms import ARMS, Result, run_arm
from tests.bench.longcontext_base import base, corpus
from tests.bench.longcontext_report import figures, write_report

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (0, 1, 2)


def main() -> None:
    """Do what isn't done yet, and say what came of it."""
    chosen = _arguments()
    if not chosen.data:
        sys.exit("Name the folder with train/ and novels/: make bench NAME=longcontext DATA=PATH")
    torch.set_num_threads(chosen.threads)
    data, out = Path(chosen.data), Path(chosen.out)
    out.mkdir(parents=True, exist_ok=True)
    model = base(data, out, _say)
    books, held = corpus(data / "train", out), corpus(data / "novels", out)
    for seed in chosen.seeds:
        for arm in chosen.arms:
            path = _path(out, arm, seed)
            if not path.is_file():
                result = run_arm(arm, seed, model, books, held, out / f"{arm}-{seed}")
                result.save(path)
                _say(f"{arm} {seed}: {result.train_loss:.3f} nats, {result.train_seconds:.0f} s of training")
    paths = [_path(out, arm, seed) for arm in ARMS for seed in SEEDS]
    results = [Result.load(path) for path in paths if path.is_file()]
    told = figures(results)
    write_report(told, held.names, ROOT / "docs" / "experiments")
    print(json.dumps(told))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("DATA"))
    parser.add_argument("--out", default=str(ROOT / "build" / "experiment"))
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _path(out: Path, arm: str, seed: int) -> Path:
    return out / f"{arm}-{seed}.npz"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
