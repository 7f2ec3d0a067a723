"""Which format should the starter's weights be in? Speed by llama.cpp, loss by transformers, on given text.

``make bench NAME=weights_format DATA=FOLDER`` reads the .txt files of FOLDER; without it only the starter's
own formats are timed, on made-up text. Each model is loaded alone, in turn, several rounds; figures are
medians. Perplexity is of the dequantized weights in float32, on the text's last tenth.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storyloom.generators.cores import calm_openmp, physical_cores
from storyloom.generators.llama_server import LlamaServer
from storyloom.generators.requantize import FormatOf, requantize
from storyloom.generators.weights import pull_original

ROUNDS = int(os.environ.get("ROUNDS", "5"))
PROMPT_TOKENS, TEXT_TOKENS = 900, 100
STEP_PROMPT_TOKENS, STEP_TEXT_TOKENS = 450, 250
PERPLEXITY_WINDOWS, PERPLEXITY_TOKENS = 12, 1024

_EMBEDDING = "token_embd.weight"


def _all(kind: str) -> FormatOf:
    return lambda _name: kind


def _split(embedding: str, layers: str) -> FormatOf:
    return lambda name: embedding if name == _EMBEDDING else layers


FORMATS: dict[str, tuple[FormatOf, str]] = {
    "Q4_0": (_all("Q4_0"), "Q4_0"),
    "Q8_0": (_all("Q8_0"), "Q8_0"),
    "Q4_0+Q8_0 embedding": (_split("Q8_0", "Q4_0"), "Q4_0"),
    "Q8_0+Q4_0 embedding": (_split("Q4_0", "Q8_0"), "Q8_0"),
    "Q8_0, Q4_0 ffn": (lambda name: "Q4_0" if ".ffn_" in name else "Q8_0", "Q8_0"),
    "Q8_0, Q4_0 ffn_up+gate": (lambda n: "Q4_0" if "ffn_up" in n or "ffn_gate" in n else "Q8_0", "Q8_0"),
}


def _texts() -> list[str]:
    folder = os.environ.get("DATA")
    files = sorted(Path(folder).glob("*.txt")) if folder else []
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    return texts or [
        "The rain came down upon the harbour, and nobody spoke of what the ship had brought. " * 2000
    ]


def _timed(path: Path, text: str, round_: int) -> dict[str, float]:
    server = LlamaServer(path, cells=2048, shared=False, slots=1, threads=physical_cores(), kept_bytes=None)
    try:
        start = (round_ * 7919 * 13) % max(1, len(text) - 12_000)
        prompt = server.tokenize(text[start : start + 8_000], begin=True, special=False)[:PROMPT_TOKENS]
        found: dict[str, Any] = {}

        def note(chunk: dict[str, Any]) -> bool:
            found.update(chunk.get("timings", {}))
            return False

        body = {
            "max_tokens": TEXT_TOKENS,
            "ignore_eos": True,
            "temperature": 0.8,
            "seed": 1,
            "cache_prompt": False,
        }
        # The first run pays for reading the file into memory.
        server.complete({**body, "prompt": prompt[:64], "max_tokens": 8}, lambda _chunk: False)
        server.complete({**body, "prompt": prompt}, note)
        return {"prompt": found["prompt_per_second"], "text": found["predicted_per_second"]}
    finally:
        server.close()


def _perplexity(path: Path, texts: list[str]) -> float:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(physical_cores())
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    losses = []
    for window in range(PERPLEXITY_WINDOWS):
        text = texts[window % len(texts)]
        start = int(len(text) * 0.9) + 3000 * (window // len(texts))
        ids = tokenizer(text[start : start + 8 * PERPLEXITY_TOKENS], return_tensors="pt").input_ids
        ids = ids[:, :PERPLEXITY_TOKENS]
        with torch.inference_mode():
            losses.append(float(model(ids, labels=ids).loss))
    return float(torch.tensor(losses).mean().exp())


def _step_seconds(speed: dict[str, float]) -> float:
    return STEP_PROMPT_TOKENS / speed["prompt"] + STEP_TEXT_TOKENS / speed["text"]


def run(progress: Callable[[str], None] = lambda _line: None) -> dict[str, Any]:
    """Time and score every format; one entry a format."""
    calm_openmp()
    texts = _texts()
    with tempfile.TemporaryDirectory() as folder:
        original = pull_original(Path(folder), lambda _done, _total: None)
        paths = {"as shipped": original}
        for name, (format_of, mostly) in FORMATS.items():
            path = Path(folder) / f"{len(paths)}.gguf"
            started = time.perf_counter()
            requantize(original, path, format_of, mostly=mostly)
            progress(f"{name} made in {time.perf_counter() - started:.1f} s")
            paths[name] = path
        speeds: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
        for round_ in range(ROUNDS):
            for name, path in paths.items():
                speeds[name].append(_timed(path, texts[round_ % len(texts)], round_))
                progress(f"round {round_} {name} {speeds[name][-1]}")
        result: dict[str, Any] = {}
        for name, path in paths.items():
            speed = {key: statistics.median(one[key] for one in speeds[name]) for key in ("prompt", "text")}
            result[name] = {
                "prompt_tokens_per_second": round(speed["prompt"], 1),
                "text_tokens_per_second": round(speed["text"], 1),
                "step_seconds": round(_step_seconds(speed), 2),
                "megabytes": round(path.stat().st_size / 1e6, 1),
                "perplexity": round(_perplexity(path, texts), 3),
            }
            progress(f"{name} {result[name]}")
        return {"bench": "weights_format", "rounds": ROUNDS, "formats": result}


if __name__ == "__main__":
    import sys

    print(json.dumps(run(lambda line: print(line, file=sys.stderr))))
