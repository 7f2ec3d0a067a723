"""What is compared: each family made out of the base model, and the base with full attention or a window."""

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from storyloom.generators.hf_rope import extend
from storyloom.generators.longcontext.baselines import has_memory, plain
from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.corpus import Corpus
from storyloom.generators.longcontext.evaluation.perplexity import CONTROLS, partners, read_books
from storyloom.generators.longcontext.training.loop import train
from storyloom.generators.longcontext.training.plan import Plan
from storyloom.generators.rope import Rope

WINDOW = 8  # The base hardly uses what is further away than 64 tokens: there would be nothing to gain.
SEGMENT = 256
TOKENS = 120_000  # of each arm's training
ANNEAL = 0.5  # of a training, after which a hybrid's attention is silent and landmarks choose the blocks
LENGTH = 4096  # of a held-out book
BEGIN = 1 / 3  # where in the book they begin

_MEMORY: dict[str, Any] = {"memory_layers": [2, 4], "sliding_window": WINDOW}
_LEVELS: dict[str, Any] = {**_MEMORY, "hope_periods": [64, 256], "memory_chunk": 32}
_BLOCKS: dict[str, Any] = {"landmark_block": 16, "landmark_top_k": 4}
ARMS: dict[str, dict[str, Any]] = {
    "full": {},
    "window": {"sliding_window": WINDOW},
    "window-32": {"sliding_window": 32},  # landmark sees 17 to 32 tokens without its landmarks
    "titans": {**_MEMORY, "memory_chunk": 32},
    "atlas": {**_MEMORY, "memory_chunk": 32},
    "lact": {**_MEMORY, "memory_chunk": 16},
    "hope": _LEVELS,
    "hope-32": {**_LEVELS, "sliding_window": 32},  # beside window-32: is there more in it than the last words
    "landmark": {**_BLOCKS, "landmark_local": 2},
    "landmark-own": {**_BLOCKS, "landmark_local": 1},  # as in the paper: 1 to 16 tokens
    "landmark-long": {**_BLOCKS, "landmark_local": 2},  # trained on the lengths that full attention is
    "hybrid": _MEMORY,
    "hybrid-long": _MEMORY,  # as hybrid, its heads remembering from 16 tokens to a whole text at first
}
# The window alone that an arm is held against, where it isn't "window".
BESIDE = {"hope-32": "window-32", "landmark": "window-32", "landmark-long": "window-32"}
# Attention to everything has to see the lengths that it is measured at.
_AS_LONG = ("full", "landmark-long")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one arm and seed.

    Attributes:
        arm: its name.
        seed: of its new weights and its training.
        parameters: how many weights it has.
        train_seconds: what its training took, of one core.
        train_loss: in nats a token, the mean of its last 20 steps.
        continuous: [books, tokens], the loss of each token of one long text.
        segmented: the same by memory, attention beginning anew every segment; empty without a memory.
    """

    arm: str
    seed: int
    parameters: int
    train_seconds: float
    train_loss: float
    continuous: NDArray[np.float32]
    segmented: dict[str, NDArray[np.float32]]

    def save(self, path: Path) -> None:
        """Keep it in a file, which appears whole."""
        told = {name: getattr(self, name) for name in _TOLD}
        partial = path.with_name(f".{path.name}")
        with partial.open("wb") as file:
            arrays: Any = {"told": json.dumps(told), "continuous": self.continuous, **self.segmented}
            np.savez(file, **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Result":
        """Read what ``save`` kept."""
        with np.load(path) as held:
            told = json.loads(str(held["told"]))
            segmented = {name: held[name] for name in held.files if name not in ("told", "continuous")}
            return cls(**told, continuous=held["continuous"], segmented=segmented)


_TOLD = ("arm", "seed", "parameters", "train_seconds", "train_loss")


def run_arm(arm: str, seed: int, base: PreTrainedModel, books: Corpus, held: Corpus, kept: Path) -> Result:
    """Make, train and measure one arm, and keep its model in a folder; the base isn't changed."""
    model = _made(arm, seed, base)
    losses: list[float] = []
    began = time.process_time()
    train(
        model, pieces(books, LENGTH), plan_for(arm, seed), on_step=lambda logged: losses.append(logged.loss)
    )
    seconds = time.process_time() - began
    model.save_pretrained(kept)
    ids = excerpts(held)
    continuous = _measure(model, ids, "continuous", ())["on"]
    return Result(
        arm=arm,
        seed=seed,
        parameters=sum(weight.numel() for weight in model.parameters()),
        train_seconds=seconds,
        train_loss=sum(losses[-20:]) / len(losses[-20:]),
        continuous=continuous,
        segmented=_measure(model, ids, "segmented", CONTROLS) if has_memory(model) else {},
    )


def plan_for(arm: str, seed: int) -> Plan:
    """How an arm is trained."""
    long = arm in _AS_LONG
    return Plan(
        tokens=TOKENS,
        lengths=(512, 1024, 2048, LENGTH) if long else (SEGMENT,),
        rows=1 if long else 4,
        learning_rate=2e-3,
        backbone="full",
        backbone_rate=2e-4,
        anneal=ANNEAL if _family(arm) in ("hybrid", "landmark") else 0.0,
        seed=1000 + seed,
    )


def pieces(books: Corpus, length: int) -> Corpus:
    """Every book in pieces, each a book of its own: many are read, and a memory begins empty in each."""
    starts: list[int] = []
    for index in range(len(books)):
        first, end = books.starts[index], books.starts[index + 1]
        starts += range(first, max(first + 1, end - length + 1), length)
    names = tuple(map(str, range(len(starts))))
    return Corpus(names, (*starts, books.starts[-1]), books.tokens, books.digest)


def excerpts(held: Corpus) -> torch.Tensor:
    """The same stretch of every held-out book, [books, tokens + 1]."""
    parts = []
    for index in range(len(held)):
        book = held.book(index)
        begin = int(BEGIN * len(book))
        parts.append(np.asarray(book[begin : begin + LENGTH + 1], dtype=np.int64))
    return torch.from_numpy(np.stack(parts))


def _family(arm: str) -> str:
    return arm.partition("-")[0]


def _made(arm: str, seed: int, base: PreTrainedModel) -> PreTrainedModel:
    if _family(arm) in ("full", "window"):
        made = plain(copy.deepcopy(base), ARMS[arm].get("sliding_window"))
        if arm == "full":
            extend(made, Rope("abf", LENGTH / base.config.max_position_embeddings))
        return made
    made = converted(base, _family(arm), ARMS[arm], seed=seed)
    if arm == "hybrid-long":
        _reach_further(made)
    return made


@torch.no_grad()
def _reach_further(hybrid: Any) -> None:
    """Let a Mamba's heads begin with decays to 1/e in 16 to ``LENGTH`` tokens, evenly by logarithm."""
    for layer in ARMS["hybrid"]["memory_layers"]:
        branch = hybrid.model.layers[layer].branch
        reaches = torch.linspace(math.log(16), math.log(LENGTH), branch.heads)
        branch.A_log.copy_(-reaches - torch.nn.functional.softplus(branch.dt_bias).log())


def _measure(model: Any, ids: torch.Tensor, way: str, controls: Any) -> dict[str, NDArray[np.float32]]:
    found = read_books(
        model, ids, segment=SEGMENT, way=way, controls=controls, partner=partners(len(ids), seed=0)
    )
    return {memory: losses.astype(np.float32) for memory, losses in found.items()}
