"""How the starter's prose holds up over thousands of words, beside the same model left alone.

Stories are written by the product as a person gets them, and raw texts of the same length by one chat turn
with a repetition penalty of 1.1, in the same run. Repetition (rep-4, rep-8, distinct-2 over lower-cased
words) is told at fixed lengths; first-draw figures are of the writer's first request of each step, drawn
whole, before any sentence is refused. Likeness is MiniLM's, of each paragraph with its plan and with the
premise; the raw text, in as many equal parts, is held to the same plans and premise. Prints one JSON line.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from storyloom.app.beginning import Beginning
from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.events import Listener, Stage
from storyloom.app.recurrence import Recurrence
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.generators.llama_cpp import LlamaCppModel
from storyloom.generators.weights import pull_starter
from storyloom.memory.generation import Message, Piece, Request, Sampling, collect
from storyloom.memory.names import cast
from storyloom.memory.ports import Embedder
from storyloom.memory.recall import RecallRule
from storyloom.memory.repetition import distinct, rep
from storyloom.memory.story import Step
from storyloom.memory.text import count_words, joined, words
from storyloom.storage.database import Database

ROOT = Path(__file__).resolve().parents[2]
PREMISES = (
    "Ada Quill, who mends nets on a cold island, finds a sealed bottle with a letter to her in the hand of "
    "her dead father. She tells nobody but Jonas, the ferryman.",
    "In a desert city where water is money, a young clerk named Idris learns that the great reservoir has "
    "been empty for a year, and that his aunt Samira signed the books.",
    "Two rival clockmakers, Otto and Lena, must build one clock together before the winter fair, or lose "
    "their workshops to the guild.",
)
RAW = Sampling(temperature=0.8, repetition_penalty=1.1, repetition_window=64)
RAW_SYSTEM = "You are a novelist who writes clear, vivid prose, past tense, third person."
_RAW_TOKENS = 1500
Figures = dict[str, Any]


class Recorder(LlamaCppModel):
    """Keeps the request that follows a mark: the writer's first of each step."""

    marked = False

    def __init__(self, path: Path, threads: int | None) -> None:
        super().__init__(path, name="starter", threads=threads)
        self.firsts: list[Request] = []

    def stream(self, request: Request) -> Iterator[Piece]:
        if self.marked:
            self.firsts.append(request)
            self.marked = False
        return super().stream(request)


@dataclass
class Marker(Listener):
    """Marks the model when the writer's turn comes, and keeps why draws were thrown away."""

    model: Recorder
    reasons: list[str] = field(default_factory=list)

    def on_stage(self, stage: Stage, depth: int) -> None:  # noqa: ARG002  (Listener's signature)
        self.model.marked = stage == "writing"

    def on_redraw(self, reason: str) -> None:
        self.reasons.append(reason)


@dataclass(frozen=True)
class Tale:
    """A story as it was written, and the writer's first draws."""

    premise: str
    steps: list[Step]
    firsts: list[str]
    reasons: list[str]

    @property
    def paragraphs(self) -> list[str]:
        return [step.paragraph for step in self.steps]


def write(model: Recorder, embedder: Embedder, premise: str, seed: int, length: int, show: bool) -> Tale:
    """One story of so many words, through the product's own use cases."""
    marker = Marker(model)
    model.firsts.clear()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        studio = studio_of(model, embedder, database, Path(folder))
        story = studio.begin(Beginning(premise=premise, seed=seed), marker).story
        steps: list[Step] = []
        while sum(count_words(step.paragraph) for step in steps) < length:
            steps.extend(studio.write(story.id, marker))
            if show:
                _print_step(steps[-1])
        database.close()
    return Tale(premise, steps, [_whole(model, request) for request in model.firsts], marker.reasons)


def raw_text(model: LlamaCppModel, premise: str, seed: int, length: int) -> str:
    """The model left alone in one chat turn, taken up again each time it stops."""
    text = ""
    for call in range(8 * length):
        left = length - count_words(text)
        if left <= 0:
            break
        request = Request(
            prompt=(
                Message("system", RAW_SYSTEM),
                Message("user", f"Write a long story of {length} words.\n\nWhat it is about: {premise}"),
                *([Message("assistant", text)] if text else []),
            ),
            max_tokens=min(_RAW_TOKENS, 2 * left + 8),
            seed=seed + call,
            sampling=RAW,
        )
        text = f"{text}{collect(model.stream(request)).text}".rstrip() + "\n\n"
    return text


def repetition(text: str, lengths: Sequence[int]) -> Figures:
    """rep-4, rep-8 and distinct-2, in per cent but the last, at each length that the text reaches."""
    tokens = words(text)
    return {
        str(length): {
            "rep4": round(100 * rep(tokens[:length], 4), 2),
            "rep8": round(100 * rep(tokens[:length], 8), 2),
            "distinct2": round(distinct(tokens[:length], 2), 3),
        }
        for length in lengths
        if len(tokens) >= 0.95 * length
    }


def likeness(embedder: Embedder, parts: Sequence[str], tale: Tale) -> Figures:
    """Mean likeness of each part with the plan of its place and with the premise, whole and by quarter."""
    vectors = embedder.embed(parts)
    plans = embedder.embed([step.plan for step in tale.steps])
    premise = embedder.embed([tale.premise])[0]
    return {
        "plan": _by_quarter([dot(own, plan) for own, plan in zip(vectors, plans, strict=True)]),
        "premise": _by_quarter([dot(own, premise) for own in vectors]),
        "named": round(fmean(any(name in part for name in cast([tale.premise])) for part in parts), 2),
    }


def equal_parts(text: str, count: int) -> list[str]:
    """The text in so many parts of as many words each."""
    run = text.split()
    return [" ".join(run[len(run) * part // count : len(run) * (part + 1) // count]) for part in range(count)]


def shares(tale: Tale) -> Figures:
    """Origins of paragraphs, of plans offered and of memory sentences; what a step cost."""
    steps = tale.steps
    return {
        "paragraphs": _origins(step.paragraph_origin for step in steps),
        "plans": _origins(plan.origin for step in steps for plan in step.plans),
        "memory": _origins(step.memory_origin for step in steps),
        "seconds_a_step": round(fmean(step.seconds for step in steps), 2),
        "words_a_step": round(fmean(count_words(step.paragraph) for step in steps), 1),
        "redraws_a_step": round(len(tale.reasons) / len(steps), 2),
        "reasons": dict(Counter(tale.reasons)),
    }


def run(length: int, seeds: Sequence[int], threads: int | None = None, *, show: bool = False) -> Figures:
    """All figures: a story a premise and seed, in turn."""
    path = pull_starter(ROOT / "build" / "models", lambda _done, _total: None)
    embedder = MiniLMEmbedder(threads=1)
    model = Recorder(path, threads)
    lengths = (length // 2, length)
    each: list[Figures] = []
    for number, seed in enumerate(seeds):
        premise = PREMISES[number % len(PREMISES)]
        tale = write(model, embedder, premise, seed, length, show)
        raw = raw_text(model, premise, seed, length)
        each.append(
            {
                "premise": premise,
                "seed": seed,
                "steps": len(tale.steps),
                "ours": repetition(joined(tale.paragraphs), lengths),
                "first_draw": repetition(joined(tale.firsts), lengths),
                "raw": repetition(raw, lengths),
                "likeness": likeness(embedder, tale.paragraphs, tale),
                "raw_likeness": likeness(embedder, equal_parts(raw, len(tale.steps)), tale),
                **shares(tale),
            }
        )
        print(json.dumps(each[-1]), file=sys.stderr)
    model.close()
    return {
        "median": {kind: _median(each, kind, lengths) for kind in ("ours", "first_draw", "raw")},
        "each": each,
    }


def studio_of(model: Recorder, embedder: Embedder, database: Database, folder: Path) -> Studio:
    """The product's use cases over a model and a database, with the starter's profile."""
    load: Callable[[str], Recorder] = lambda _spec: model  # noqa: E731  (a name would say no more)
    castings = Castings(
        load=load,
        embedder=embedder,
        templates=Templates(folder / "templates"),
        writer="starter",
        others={},
        profile=None,
    )
    return Studio(
        shelf=Shelf(database, "local"),
        recurrence=Recurrence(database=database, embedder=embedder, rule=RecallRule()),
        castings=castings,
        embedding=Embedding(database, embedder),
        language="en",
        trash=folder / "trash",
        presets=folder / "presets",
    )


def _whole(model: LlamaCppModel, request: Request) -> str:
    """A draw that nobody stops, its opening included."""
    last = request.prompt[-1]
    begun = last.content if isinstance(last, Message) and last.role == "assistant" else ""
    return begun + collect(model.stream(request)).text


def _by_quarter(values: Sequence[float]) -> Figures:
    count = len(values)
    quarters = [values[count * part // 4 : count * (part + 1) // 4] for part in range(4)]
    return {
        "mean": round(fmean(values), 3),
        "quarters": [round(fmean(quarter), 3) for quarter in quarters if quarter],
    }


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    """Likeness of two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def _origins(found: Iterator[str]) -> dict[str, float]:
    counts = Counter(str(origin) for origin in found)
    return {origin: round(count / counts.total(), 3) for origin, count in counts.most_common()}


def _median(each: Sequence[Figures], kind: str, lengths: Sequence[int]) -> Figures:
    """Of the texts that reach a length; a length that none reaches is left out."""
    tables = {str(length): [figures[kind].get(str(length)) for figures in each] for length in lengths}
    reached = {length: [table for table in found if table] for length, found in tables.items()}
    return {
        length: {name: round(median(table[name] for table in found), 3) for name in found[0]}
        for length, found in reached.items()
        if found
    }


def _print_step(step: Step) -> None:
    print(f"[{step.depth}] {step.plan}\n\n{step.paragraph}\n", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=4000, help="length of each story")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one story each")
    parser.add_argument("--threads", type=int, default=None, help="threads of the engine")
    parser.add_argument("--show", action="store_true", help="print the stories on stderr as they are written")
    given = parser.parse_args()
    figures = run(given.words, given.seeds, given.threads, show=given.show)
    print(json.dumps({"bench": "prose", "words": given.words, **figures}))


if __name__ == "__main__":
    main()
