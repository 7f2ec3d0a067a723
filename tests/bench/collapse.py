"""Whether a hybrid's state collapses far beyond the lengths that it was trained on, and what keeps it whole.

Small hybrids are trained from nothing on texts of 128 tokens that all begin with an empty state: none ever
has to forget. Then they read held-out novels as one text of 65,536 tokens each: as they are, and with each
of Stuffed Mamba's three remedies (arXiv 2410.07145), none of which needs training.

- ``slow``: Mamba at all four layers, its decays beginning a thousand times slower than Mamba-2 draws them.
- ``slow, a window beside``: Mamba at three of them, the last attending to a window of 64 tokens.
- ``usual``: Mamba at all four, its decays as Mamba-2 draws them.

``make bench NAME=collapse DATA=../shared/data``. The models are kept in ``--models``: a second run only
reads. Prints one JSON line.
"""

import argparse
import json
import math
import os
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.corpus import Corpus
from storyloom.generators.longcontext.evaluation.perplexity import partners, read_books
from storyloom.generators.longcontext.evaluation.statistics import interval
from storyloom.generators.longcontext.training.loop import train
from storyloom.generators.longcontext.training.plan import Plan
from tests.bench.longcontext_arms import pieces
from tests.bench.longcontext_base import CONFIG, corpus

ROOT = Path(__file__).resolve().parents[2]
_SEGMENT = 128
_LAYERS = 4
SMALL: dict[str, Any] = {**CONFIG, "num_hidden_layers": _LAYERS, "num_key_value_heads": 4}
_CHUNK = 64
_BEGIN = 1 / 4  # where in a book its text begins
REMEDIES: dict[str, dict[str, Any]] = {
    "none": {},
    "insertion of 0.9, decay of 1.5": {"hybrid_insertion_scale": 0.9, "hybrid_decay_scale": 1.5},
    "insertion of 0.9, decay of 300": {"hybrid_insertion_scale": 0.9, "hybrid_decay_scale": 300.0},
    "cap of 2": {"hybrid_state_cap": 2.0, "hybrid_chunk": _CHUNK},
    "window of 512": {"hybrid_state_window": 512, "hybrid_chunk": _CHUNK},
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A hybrid.

    Attributes:
        slower: what Mamba-2's decays are divided by at first.
        mamba: at how many of the layers it is; the others attend to a window.
    """

    slower: float
    mamba: int = _LAYERS


KINDS = {"slow": Kind(1000), "slow, a window beside": Kind(1000, _LAYERS - 1), "usual": Kind(1)}


def main() -> None:
    """Measure every remedy on every kind and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("DATA"))
    parser.add_argument("--models", default=str(ROOT / "build" / "collapse"))
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--length", type=int, default=65_536)
    parser.add_argument("--tokens", type=int, default=400_000, help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    chosen = parser.parse_args()
    if not chosen.data:
        sys.exit("Name the folder with train/ and novels/: make bench NAME=collapse DATA=PATH")
    torch.set_num_threads(1)
    kept = Path(chosen.models)
    train_books, held = (corpus(Path(chosen.data) / name, kept) for name in ("train", "novels"))
    ids = _texts(held, chosen.length)
    told = {}
    for kind in chosen.kinds:
        folders = [_trained(kind, seed, chosen.tokens, train_books, kept) for seed in chosen.seeds]
        told[kind] = {name: _measured(name, folders, ids) for name in REMEDIES}
    print(json.dumps({"unit": "nats a token", "books": len(ids), "seeds": chosen.seeds, **told}))


def _trained(kind: str, seed: int, tokens: int, books: Corpus, kept: Path) -> Path:
    """A hybrid's folder; it is trained once."""
    folder = kept / f"{kind.replace(', ', '-').replace(' ', '-')}-{tokens}-{seed}"
    if not folder.is_dir():
        _say(f"{folder.name} is trained")
        model = _made(KINDS[kind], seed)
        train(model, pieces(books, _SEGMENT), _plan(tokens, seed))
        model.save_pretrained(folder)
    return folder


def _made(kind: Kind, seed: int) -> Any:
    torch.manual_seed(seed)
    llama = LlamaForCausalLM(LlamaConfig(**SMALL))
    layers = list(range(kind.mamba))
    options = {"memory_layers": layers, "hybrid_mode": "replace", "sliding_window": 64}
    model: Any = converted(llama, "hybrid", options, seed=seed)
    with torch.no_grad():
        for index in layers:
            model.model.layers[index].branch.A_log.sub_(math.log(kind.slower))
    return model


def _plan(tokens: int, seed: int) -> Plan:
    return Plan(
        tokens=tokens,
        lengths=(_SEGMENT,),
        rows=16,
        learning_rate=2e-3,
        backbone="full",
        backbone_rate=2e-3,
        optimizer="muon",
        seed=seed,
    )


def _texts(held: Corpus, length: int) -> torch.Tensor:
    parts = []
    for index in range(len(held)):
        book = held.book(index)
        begin = min(int(_BEGIN * len(book)), len(book) - length - 1)
        parts.append(np.asarray(book[begin : begin + length + 1], dtype=np.int64))
    return torch.from_numpy(np.stack(parts))


def _measured(name: str, folders: list[Path], ids: torch.Tensor) -> list[dict[str, Any]]:
    """The loss by position, the mean over seeds, with its interval over books."""
    losses = []
    for folder in folders:
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **REMEDIES[name])
        found = read_books(
            model.eval(), ids, segment=4096, way="continuous", controls=(), partner=partners(len(ids), 0)
        )
        losses.append(found["on"])
    mean = np.mean(losses, axis=0)
    length = ids.shape[1] - 1
    edges = [0, *(2**power for power in range(7, 17) if 2**power < length), length]
    stretches = [
        {"from": start, "to": end, **_rounded(interval(mean[:, start:end].mean(1), 0).as_json())}
        for start, end in pairwise(edges)
    ]
    _say(f"{folders[0].name} and its like, {name}: {[one['mean'] for one in stretches]}")
    return stretches


def _rounded(told: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in told.items()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
