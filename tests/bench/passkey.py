"""Whether landmark attention finds a number in a text that is far longer than any it was trained on.

A LLaMA of a million weights learns, on texts of a few hundred tokens, to say again a number that is hidden in
a novel's prose (the pass key of arXiv 2305.16300); it is made into a landmark LLaMA, adapted for a few steps
more, and asked in texts of up to 64k tokens: novels that neither has seen (*prose*), where other numbers may
stand, and the few sentences that the paper's pass key and RULER's first needle are hidden in (*noise*).
Beside it stands the LLaMA itself, attending to everything. The models are kept in ``--out``: a second run
only asks.

``make bench NAME=passkey DATA=../shared/data``. Prints one JSON line.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import storyloom.generators.longcontext.families  # noqa: F401  (registers the families)
from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.corpus import Corpus, read_corpus
from storyloom.generators.longcontext.evaluation.needles import measure_needles
from storyloom.generators.longcontext.needles import Filler, noise, passkey, prose
from storyloom.generators.longcontext.training.log import Logged
from storyloom.generators.longcontext.training.loop import Limits, Training
from storyloom.generators.longcontext.training.plan import Plan
from tests.bench.longcontext_base import CONFIG, tokenizer

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {
    **CONFIG,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 4,
    "max_position_embeddings": 1024,
}
LANDMARK = {"landmark_block": 32, "landmark_top_k": 4, "landmark_local": 2}
LEARN = Plan(
    tokens=8_000_000,
    lengths=(152, 152, 192, 512),
    rows=32,
    backbone="full",
    backbone_rate=3e-3,
    optimizer="muon",
    needles=0.9,
    seed=0,
)
ADAPT = Plan(
    tokens=1_200_000,
    lengths=(256, 1024, 1024),
    rows=7,
    learning_rate=2e-3,
    backbone="full",
    backbone_rate=3e-4,
    needles=0.9,
    anneal=1 / 3,
    seed=1,
)
# What many blocks to choose among have taught stays; the slips in writing the number down become rarer.
SETTLE = Plan(
    tokens=600_000,
    lengths=(512,),
    rows=14,
    learning_rate=5e-4,
    backbone="full",
    backbone_rate=2e-4,
    needles=0.95,
    seed=2,
)
DEPTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
_EVERY = 50  # steps between two words of a training


def main() -> None:
    """Train what isn't trained yet, and ask."""
    chosen = _arguments()
    if not chosen.data:
        sys.exit("Name the folder with train/ and novels/: make bench NAME=passkey DATA=PATH")
    torch.set_num_threads(chosen.threads)
    data, out = Path(chosen.data), Path(chosen.out)
    words = tokenizer(data / "train", out / "tokenizer", digits=True)
    books, held = (read_corpus(data / name, words, out / "tokens") for name in ("train", "novels"))
    torch.manual_seed(0)
    plain = _trained(out / "plain", lambda: LlamaForCausalLM(LlamaConfig(**SMALL)), books, LEARN, words)
    adapted = _trained(out / "landmark", lambda: converted(plain, "landmark", LANDMARK), books, ADAPT, words)
    landmark = _trained(out / "settled", lambda: adapted, books, SETTLE, words)
    told: dict[str, Any] = {"weights": sum(weight.numel() for weight in plain.parameters())}
    hay: dict[str, Callable[[random.Random], Filler]] = {
        "prose": partial(prose, held.tokens),
        "noise": lambda _chance: noise(words),
    }
    for name, model, longest in (("landmark", landmark, chosen.lengths[-1]), ("plain", plain, 4096)):
        lengths = [length for length in chosen.lengths if length <= longest]
        told[name] = {
            kind: [_asked(model, hay[kind], words, length, chosen.tries) for length in lengths]
            for kind in chosen.hay
        }
    print(json.dumps(told))


def _trained(folder: Path, make: Any, books: Corpus, plan: Plan, words: Any) -> Any:
    """A model that was trained by a plan, once."""
    if not (folder / "model.safetensors").is_file():
        training = Training(make(), books, plan, tokenizer=words)
        while not training.done:
            losses: list[float] = []
            training.run(Limits(steps=_EVERY), on_step=partial(_hear, losses))
            _say(f"{folder.name}: {training.tokens:,} tokens, {median(losses):.3f} nats of a step with keys")
        training.finish()
        training.model.save_pretrained(folder)
    found: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return found.eval()


def _hear(losses: list[float], logged: Logged) -> None:
    losses.append(logged.loss)


def _asked(
    model: Any, filler: Callable[[random.Random], Filler], words: Any, length: int, tries: int
) -> dict[str, Any]:
    """How often a model writes the number, in texts of a length."""
    chance = random.Random(length)
    fill = filler(chance)

    def make(length: int, depth: float) -> Any:
        # Some tokens fewer: the number and the question lie anywhere in a block, or across two.
        length -= chance.randrange(LANDMARK["landmark_block"])
        return passkey(words, fill, length=length, depth=depth, chance=chance)

    began = time.process_time()
    found = measure_needles(model, {"passkey": make}, lengths=[length], depths=DEPTHS, tries=tries)
    told = found.lengths[0].as_json()
    told["core_seconds_a_text"] = round((time.process_time() - began) / told["tries"], 2)
    _say(f"{type(model).__name__}, {length:,} tokens: {told['exact']}")
    return told


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("DATA"))
    parser.add_argument("--out", default=str(ROOT / "build" / "passkey"))
    parser.add_argument("--lengths", nargs="+", type=int, default=[512, 2048, 8192, 65_536])
    parser.add_argument("--tries", type=int, default=20, help="texts at each length and depth")
    parser.add_argument("--hay", nargs="+", choices=["prose", "noise"], default=["prose", "noise"])
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
