"""What a training's tests learn: three short books of one voice, and the proof's little LLaMA."""

from typing import Any

import numpy as np
import torch

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.corpus import Corpus
from storyloom.generators.longcontext.training.plan import Plan
from tests.unit.generators.longcontext.proof import VOCABULARY, llama, open_gates

CHUNK = 8
CHUNKED = ("titans", "atlas", "lact")


def corpus(*lengths: int) -> Corpus:
    """Books that say a phrase of seven tokens again and again; each book has its own."""
    lengths = lengths or (150, 90, 41)
    chance = np.random.default_rng(0)
    books = [np.resize(chance.integers(1, VOCABULARY, 7), length).astype(np.uint16) for length in lengths]
    starts = np.cumsum([0, *lengths]).tolist()
    names = tuple(f"{place}.txt" for place in range(len(books)))
    return Corpus(names, tuple(starts), np.concatenate(books), "digest")


def model(family: str = "lact", dtype: torch.dtype = torch.float32, *, opened: bool = True) -> Any:
    """A family's model with a memory in the middle one of three layers, its gate open."""
    options: dict[str, Any] = {"memory_layers": [1], **({"memory_chunk": CHUNK} if family in CHUNKED else {})}
    made = converted(llama(dtype), family, options, seed=1)
    if opened:
        open_gates(made)
    return made


def plan(**fields: Any) -> Plan:
    """Two rows of 16, then of 32 tokens."""
    return Plan(**{"tokens": 700, "lengths": (16, 32), "rows": 2, **fields})


def weights_of(trained: Any) -> dict[str, torch.Tensor]:
    """A copy of a model's weights."""
    return {name: weight.detach().clone() for name, weight in trained.state_dict().items()}
