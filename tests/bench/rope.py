"""What a longer RoPE costs and gives, untrained: the starter's loss by position with each way and without.

``make bench NAME=rope DATA=FOLDER`` reads the beginnings of the first BOOKS .txt files of FOLDER (2), each
TOKENS long (half as long again as the starter was trained with), in bfloat16 on THREADS threads (1). The ways
are those in WAYS, by default none and all, each given FACTOR (2). Losses are in nats a token, by parts of
PART tokens (2,048), of the same tokens for all; the first lines of a book, where libraries put their notices,
are left out. Prints one JSON line.
"""

import copy
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from storyloom.generators.hf_loading import load_source
from storyloom.generators.hf_rope import extend, settle
from storyloom.generators.rope import parse_rope
from storyloom.generators.weights import pull_starter

ROOT = Path(__file__).resolve().parents[2]
BOOKS = int(os.environ.get("BOOKS", "2"))
FACTOR = float(os.environ.get("FACTOR", "2"))
PART = int(os.environ.get("PART", "2048"))
THREADS = int(os.environ.get("THREADS", "1"))
WAYS = os.environ.get("WAYS", "none,linear,dynamic,yarn,abf,truncated").split(",")
_NOTICES = 3000  # characters
_AT_ONCE = 1024


def read(model: Any, ids: torch.Tensor) -> list[float]:
    """The loss of each token but the first, [1, tokens]."""
    settle(model, ids.shape[1])
    cache = DynamicCache()
    losses: list[float] = []
    with torch.inference_mode():
        for start in range(0, ids.shape[1] - 1, _AT_ONCE):
            some = ids[:, start : start + _AT_ONCE]
            logits = model(input_ids=some, past_key_values=cache).logits[0].float()
            after = ids[0, start + 1 : start + 1 + _AT_ONCE]
            losses += cross_entropy(logits[: len(after)], after, reduction="none").tolist()
    return losses


def parts(losses: Sequence[float]) -> list[float]:
    """Means of equal parts; the first part lacks its first token."""
    return [statistics.fmean(losses[max(0, at - 1) : at + PART - 1]) for at in range(0, len(losses), PART)]


def run(folder: Path) -> dict[str, Any]:
    torch.set_num_threads(THREADS)
    path = pull_starter(ROOT / "build" / "models", lambda _done, _total: None)
    source = load_source(str(path))
    plain: Any = source.model
    for weight in plain.parameters():  # not the model, whose frequencies must stay exact
        weight.data = weight.data.to(torch.bfloat16)
    tokenizer: Any = source.tokenizer
    trained = int(plain.config.max_position_embeddings)
    tokens = int(os.environ.get("TOKENS", trained * 3 // 2))
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.txt"))}
    books: dict[str, torch.Tensor] = {}
    for name, text in texts.items():
        ids = tokenizer(text[_NOTICES : _NOTICES + 8 * tokens], return_tensors="pt").input_ids[:, :tokens]
        if ids.shape[1] == tokens and len(books) < BOOKS:
            books[name] = ids
    result: dict[str, Any] = {}
    for way in WAYS:
        model = copy.deepcopy(plain)
        if way != "none":
            extend(model, parse_rope(f"{way}:{FACTOR}"))
        found = []
        for name, ids in books.items():
            found.append(parts(read(model, ids)))
            print(way, name, [round(loss, 3) for loss in found[-1]], file=sys.stderr, flush=True)
        result[way] = [round(statistics.fmean(losses), 3) for losses in zip(*found, strict=True)]
    return {
        "bench": "rope",
        "trained": trained,
        "tokens": tokens,
        "part": PART,
        "factor": FACTOR,
        "books": list(books),
        "loss_by_part": result,
    }


def main() -> None:
    folder = Path(os.environ.get("DATA") or "nowhere")
    if not list(folder.glob("*.txt")):
        print(f"Skipped: there is no novel (.txt) in {folder}. DATA=FOLDER names a folder of novels.")
        return
    print(json.dumps(run(folder)))


if __name__ == "__main__":
    main()
