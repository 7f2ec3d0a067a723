"""Tokens a second of several stories at once, beside those of the bare engine.

Stories are written by the product with the starter, 1, 2, 4 and 8 at once. Every call of theirs is kept: its
prompt, its sampling and how many tokens were taken of it. Then the same calls go to xllamacpp alone, in a
process of its own, with as many slots, one thread a story, each thread's calls in their order. Both do the
same work, so their ratio is what everything around the engine costs. Prints one JSON line.
"""

import argparse
import json
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storyloom.app.beginning import Beginning
from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.events import Listener
from storyloom.app.recurrence import Recurrence
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.generators.cores import calm_openmp, physical_cores
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.generators.llama_cpp import LlamaCppModel
from storyloom.generators.llama_sampling import completion_body
from storyloom.generators.weights import pull_starter
from storyloom.memory.generation import Piece, Request
from storyloom.memory.recall import RecallRule
from storyloom.storage.database import Database

ROOT = Path(__file__).resolve().parents[2]
CONTEXT_TOKENS = 8192
PREMISES = (
    "A lighthouse keeper named Mara finds a door in the sea.",
    "Old Tom mends clocks in a town where nobody is ever late.",
    "Ines inherits a vineyard and the quarrel that goes with it.",
    "A night train to Lisbon stops where no station is, and Paul gets out.",
    "Captain Reyes brings her ship home with one passenger too many.",
    "The baker Jonas hears the ovens speak before each frost.",
    "Lena counts the birds on an island that the maps have lost.",
    "Two brothers, Karl and Emil, dig a well and find a staircase.",
)


@dataclass(slots=True)
class Call:
    """One call of the model, and how many tokens were taken of it."""

    story: str
    body: dict[str, Any]
    tokens: int = 0
    cached: int = 0


class Recorder(LlamaCppModel):
    """Keeps every call, under the name of the thread that made it."""

    def __init__(self, path: Path, slots: int) -> None:
        super().__init__(path, name="starter", context_tokens=CONTEXT_TOKENS, slots=slots)
        self.calls: list[Call] = []

    def stream(self, request: Request) -> Iterator[Piece]:
        body = {**completion_body(request), "prompt": list(self._token_ids(request.prompt))}
        body.pop("stop", None)
        call = Call(threading.current_thread().name, body)
        self.calls.append(call)
        with closing(super().stream(request)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                call.tokens += bool(piece.text)
                call.cached = piece.cached or call.cached
                yield piece


def at_once(number: int, work: Callable[[int], None]) -> float:
    """Seconds until so many threads have done their work."""
    started = time.perf_counter()
    with ThreadPoolExecutor(number) as pool:
        list(pool.map(work, range(number)))
    return time.perf_counter() - started


def written(path: Path, folder: Path, stories: int, paragraphs: int) -> tuple[list[Call], float]:
    """The product's calls for so many stories at once, and the seconds that they took in all."""
    model, embedder = Recorder(path, stories), MiniLMEmbedder(threads=1)
    database = Database(f"sqlite:///{folder / f'{stories}.db'}")
    castings = Castings(
        load=lambda _spec: model,
        embedder=embedder,
        templates=Templates(folder / "templates"),
        writer="starter",
        others={},
        profile=None,
    )
    embedding = Embedding(database, embedder)
    studio = Studio(
        shelf=Shelf(database, "local"),
        recurrence=Recurrence(database=database, embedder=embedder, rule=RecallRule()),
        castings=castings,
        embedding=embedding,
        language="en",
        trash=folder / "trash",
        presets=folder / "presets",
    )

    def write(number: int) -> None:
        threading.current_thread().name = str(number)
        story = studio.begin(Beginning(premise=PREMISES[number], seed=number), Listener()).story
        for _ in studio.write(story.id, Listener(), paragraphs=paragraphs):
            pass

    embedder.embed(["Loaded before the clock starts."])
    model.load()
    seconds = at_once(stories, write)
    embedding.close()
    castings.close()
    database.close()
    return model.calls, seconds


def replayed(path: Path, calls: list[Call], stories: int) -> float:
    """Seconds that the bare engine takes for the same calls."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel = stories * CONTEXT_TOKENS, stories
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = physical_cores()
    params.warmup, params.verbosity, params.port = False, -1, 0
    server = xllamacpp.Server(params)

    def replay(number: int) -> None:
        for call in calls:
            if call.story == str(number) and call.tokens:
                body = {**call.body, "max_tokens": call.tokens, "ignore_eos": True, "stream": True}
                server.handle_completions(body, lambda _chunk: False)

    return at_once(stories, replay)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stories", type=int, nargs="+", default=[1, 2, 4, 8], choices=range(1, 9))
    parser.add_argument("--paragraphs", type=int, default=2)
    arguments = parser.parse_args()
    calm_openmp()
    path = pull_starter(ROOT / "build" / "models", lambda _done, _total: None)
    figures: dict[str, float] = {}
    for stories in arguments.stories:
        with tempfile.TemporaryDirectory() as folder:
            calls, seconds = written(path, Path(folder), stories, arguments.paragraphs)
        # A process that has loaded torch and a first model gives a second one less.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            bare_seconds = fresh.submit(replayed, path, calls, stories).result()
        tokens = sum(call.tokens for call in calls)
        prompts = sum(len(call.body["prompt"]) for call in calls)
        figures |= {
            f"tokens_per_second_at_{stories}": round(tokens / seconds, 1),
            f"bare_tokens_per_second_at_{stories}": round(tokens / bare_seconds, 1),
            f"ratio_at_{stories}": round(bare_seconds / seconds, 3),
            f"cached_share_at_{stories}": round(sum(call.cached for call in calls) / prompts, 3),
        }
    print(json.dumps({"bench": "throughput", "paragraphs": arguments.paragraphs, **figures}))


if __name__ == "__main__":
    main()
