"""What a token costs behind 65,536 others over its cost behind 2,048, and bytes of memory, family by family.

The starter is made into every family in memory, untrained: what a token costs doesn't depend on what was
learned. All take turns in one run with the starter itself, with full attention and with the same window.
Caches of 2,048 tokens are really read, those of 65,536 filled with drawn keys and values (memories of
constant size stay as read). ``make bench NAME=context_cost``. Prints one JSON line.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from storyloom.generators.hf_loading import load_source
from storyloom.generators.longcontext.baselines import plain
from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.evaluation.cost import measure_cost
from storyloom.generators.weights import pull_starter

ROOT = Path(__file__).resolve().parents[2]
_WINDOW = 1024
FAMILIES: dict[str, dict[str, Any]] = {
    "titans": {"sliding_window": _WINDOW},
    "atlas": {"sliding_window": _WINDOW},
    "lact": {"sliding_window": _WINDOW},
    "hope": {"sliding_window": _WINDOW},
    "hybrid": {"sliding_window": _WINDOW, "hybrid_mode": "replace"},
    "landmark": {},
}


def main() -> None:
    """Measure all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=65_536)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    source = load_source(str(pull_starter(ROOT / "build" / "models", lambda _done, _total: None))).model
    models: dict[str, Any] = {"full attention": plain(source), "window": plain(source, _WINDOW)}
    models |= {name: converted(source, name, FAMILIES[name]) for name in chosen.families}
    costs = measure_cost(
        models,
        lengths=(2048, chosen.length),
        synthetic_above=4096,
        repeats=chosen.repeats,
        tell=lambda what, done, total: print(f"{what}: {done} of {total}", file=sys.stderr, flush=True),
    )
    print(json.dumps(costs.as_json()))


if __name__ == "__main__":
    main()
