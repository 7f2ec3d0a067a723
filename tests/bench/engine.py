"""What Storyloom costs on top of llama.cpp, and what an embedder in the same process costs it.

Tokens per second of ``LlamaCppModel.stream`` over those of a bare ``xllamacpp.Server`` with the same prompts,
seeds, threads and samplers, in whole calls that read a fresh prompt, by turns (goal: 0.95 or more); and those
of the engine after MiniLM has embedded in this process over before (goal: 1, less noise). One model is loaded
at a time, and ratios are medians over neighbours in time, so that a busy machine slows both.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

from storyloom.generators.cores import calm_openmp, physical_cores
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.generators.llama_cpp import LlamaCppModel
from storyloom.generators.weights import pull_starter
from storyloom.memory.generation import Request, Sampling

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 8
CONTEXT_TOKENS, TEXT_TOKENS = 2048, 128
WARM_UP = "Once upon a time"
SENTENCES = (
    "The keeper wound the lamp and listened to the sea. ",
    "Nobody in the village would speak of the second door. ",
    "Rain had washed the road away, and the letter with it. ",
)


def prompt(number: int) -> str:
    """About 250 tokens that no other number shares a beginning with."""
    return f"Chapter {number}. " + "".join(SENTENCES[(number + at) % 3] for at in range(20))


def bare_speed(path: Path, number: int) -> float:
    """Tokens per second of one call to llama.cpp as its own documentation uses it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel = CONTEXT_TOKENS, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = physical_cores()
    params.verbosity, params.port = -1, 0
    server = xllamacpp.Server(params)
    body: dict[str, Any] = {"max_tokens": TEXT_TOKENS, "seed": number, "stream": True}
    body |= {"temperature": 0.8, "min_p": 0.05, "top_k": 0, "top_p": 1.0}
    chunks: list[dict[str, Any]] = []

    def note(chunk: dict[str, Any]) -> bool:
        chunks.append(chunk)
        return False

    server.handle_completions({**body, "prompt": WARM_UP, "max_tokens": 4}, note)
    started = time.perf_counter()
    server.handle_completions({**body, "prompt": prompt(number)}, note)
    return float(chunks[-1]["usage"]["completion_tokens"]) / (time.perf_counter() - started)


def our_speed(path: Path, number: int) -> float:
    """Tokens per second of one call through Storyloom."""
    model = LlamaCppModel(path, name="starter", context_tokens=CONTEXT_TOKENS)
    try:
        list(model.stream(Request(prompt=WARM_UP, max_tokens=4)))
        return speed(model, number)
    finally:
        model.close()


def speed(model: LlamaCppModel, number: int) -> float:
    """Tokens per second of one call, the reading of its prompt included."""
    sampling = Sampling(temperature=0.8, min_p=0.05)
    request = Request(prompt=prompt(number), max_tokens=TEXT_TOKENS, seed=number, sampling=sampling)
    started = time.perf_counter()
    *_, last = model.stream(request)
    assert last.usage is not None
    return last.usage.completion_tokens / (time.perf_counter() - started)


def run() -> dict[str, Any]:
    """Time both; figures as the module tells."""
    calm_openmp()
    path = pull_starter(ROOT / "build" / "models", lambda _done, _total: None)
    ours, bare = [], []
    for number in range(ROUNDS):
        # Who goes first takes turns too.
        if number % 2:
            ours.append(our_speed(path, number))
            bare.append(bare_speed(path, number))
        else:
            bare.append(bare_speed(path, number))
            ours.append(our_speed(path, number))
    model = LlamaCppModel(path, name="starter", context_tokens=CONTEXT_TOKENS)
    before = [speed(model, number) for number in range(ROUNDS)]
    embedder = MiniLMEmbedder(threads=1)
    after = []
    for number in range(ROUNDS, 2 * ROUNDS):
        embedder.embed([prompt(number)] * 4)
        after.append(speed(model, number))
    model.close()
    return {
        "bench": "engine",
        "rounds": ROUNDS,
        "threads": physical_cores(),
        "tokens_per_second": round(statistics.median(ours), 1),
        "bare_tokens_per_second": round(statistics.median(bare), 1),
        "ratio_to_bare": round(statistics.median(a / b for a, b in zip(ours, bare, strict=True)), 3),
        "before_embedding_tokens_per_second": round(statistics.median(before), 1),
        "after_embedding_tokens_per_second": round(statistics.median(after), 1),
        "ratio_after_embedding": round(statistics.median(after) / statistics.median(before), 3),
    }


if __name__ == "__main__":
    print(json.dumps(run()))
