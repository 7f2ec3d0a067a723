"""How long recall takes at 73,000 passages, and how much memory a novel of a million words takes to bring in.

The passages are made of words as frequent as English ones (Zipf's law, the joining words first) and random
unit vectors, so that nothing but time is measured. Queries are of a question's length and of a step's; the
embedder's time isn't in them. Beside them, in the same run: FTS5's own ranking of the same words, and the
same vectors' nearest by one NumPy product. The ingest is the product's own, manuscript to embedded story
with MiniLM; memory is the process's resident set, above what the loaded embedder needs for a batch.
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from storyloom.app.embedding import Embedding
from storyloom.app.events import Listener
from storyloom.app.manuscripts import add_manuscript
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.memory.function_words import function_words
from storyloom.memory.recall import RecallRule, choose
from storyloom.memory.recall_query import Query, next_step, question
from storyloom.memory.story import Passage, Segment
from storyloom.storage.database import Database
from storyloom.storage.formats import read_manuscript
from tests.bench.recalled_story import STRAND, begin, new_story, new_strand

_DIMENSIONS = 384
_PASSAGE_WORDS = 60
_QUESTION_WORDS = 16
_PLAN_WORDS = 30
_LIMIT = 12
_A_CHAPTER = 60  # paragraphs
_PAGE = os.sysconf("SC_PAGE_SIZE")
Numbers = NDArray[np.float32]


class Words:
    """Text of given words, the joining ones before them, as frequent as English ones.

    Args:
        vocabulary: the words that carry meaning, the most frequent first.
        seed: of what is drawn.
    """

    def __init__(self, vocabulary: Iterable[str], seed: int) -> None:
        self._dice = np.random.default_rng(seed)
        self._words = np.array([*sorted(function_words("en")), *vocabulary])
        ranks = 1 / np.arange(1, len(self._words) + 1)
        self._chances = ranks / ranks.sum()

    def text(self, count: int) -> str:
        """That many words, a full stop after every fifteenth."""
        drawn = self._dice.choice(self._words, size=count, p=self._chances).tolist()
        return ". ".join(" ".join(drawn[start : start + 15]) for start in range(0, count, 15)) + "."

    def vectors(self, count: int) -> Numbers:
        """Unit vectors, shape (count, 384)."""
        drawn = self._dice.standard_normal((count, _DIMENSIONS), dtype=np.float32)
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        return drawn


class PeakMemory:
    """Watches the resident set while a block runs; ``grown`` is its greatest growth in bytes."""

    def __enter__(self) -> "PeakMemory":
        self._start = self._peak = _resident()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    @property
    def grown(self) -> int:
        return self._peak - self._start

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self._peak = max(self._peak, _resident())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE


def fill(database: Database, words: Words, count: int) -> None:
    """One story with so many passages, and no steps: search asks for none."""
    begin(database)
    for start in range(0, count, 1_000):
        vectors = words.vectors(1_000)
        with database.unit_of_work() as work:
            work.passages.add(
                [
                    Passage(
                        strand_id=STRAND,
                        depth=start + row + 1,
                        text=words.text(_PASSAGE_WORDS),
                        vector=tuple(vectors[row].tolist()),
                        embedder="bench",
                    )
                    for row in range(min(1_000, count - start))
                ]
            )
            work.commit()


def query_figures(folder: Path, count: int, queries: int) -> dict[str, Any]:
    """Milliseconds of each kind of query."""
    words = Words((f"w{number}" for number in range(30_000)), 1)
    database = Database(f"sqlite:///{folder / 'queries.sqlite3'}")
    started = time.perf_counter()
    fill(database, words, count)
    filled = time.perf_counter() - started
    asked = [question(words.text(_QUESTION_WORDS)) for _ in range(queries)]
    steps = [next_step(words.text(_PLAN_WORDS), words.text(_PASSAGE_WORDS)) for _ in range(queries)]
    vectors = words.vectors(queries)
    matrix = words.vectors(count)
    figures: dict[str, Any] = {"passages": count, "fill_seconds": round(filled, 1)}
    started = time.perf_counter()
    _hybrid(database, asked[0], vectors[0], count)
    figures["first_query_ms"] = round(1000 * (time.perf_counter() - started), 1)
    figures["question"] = _times(lambda row: _hybrid(database, asked[row], vectors[row], count), queries)
    figures["step"] = _times(lambda row: _hybrid(database, steps[row], vectors[row], count), queries)
    figures["raw_fts5_question"] = _times(lambda row: _raw_fts5(database, asked[row]), queries)
    figures["raw_fts5_step"] = _times(lambda row: _raw_fts5(database, steps[row]), queries)
    figures["raw_numpy"] = _times(lambda row: _raw_numpy(matrix, vectors[row]), queries)
    database.close()
    return figures


def _hybrid(database: Database, query: Query, vector: Numbers, count: int) -> int:
    with database.unit_of_work(write=False) as work:
        found = work.passages.search(
            terms=query.terms,
            vector=vector.tolist(),
            embedder="bench",
            segments=(Segment(STRAND, count),),
            before=count,
            limit=_LIMIT,
        )
    return len(choose(found, RecallRule()))


def _raw_fts5(database: Database, query: Query) -> int:
    expression = " OR ".join(f'"{term}"' for term in query.terms)
    statement = text(f"SELECT rowid FROM passage_fts WHERE passage_fts MATCH :q ORDER BY rank LIMIT {_LIMIT}")
    with database._engine.connect() as connection:
        return len(connection.execute(statement, {"q": expression}).all())


def _raw_numpy(matrix: Numbers, vector: Numbers) -> int:
    return len(np.argpartition(-(matrix @ vector), _LIMIT)[:_LIMIT])


def _times(call: Callable[[int], int], queries: int) -> dict[str, float]:
    taken: list[float] = []
    for row in range(queries):
        started = time.perf_counter()
        call(row)
        taken.append(1000 * (time.perf_counter() - started))
    return {"p50_ms": round(median(taken), 1), "p95_ms": round(quantiles(taken, n=20)[-1], 1)}


def ingest_figures(folder: Path, count: int) -> dict[str, Any]:
    """Seconds and memory of a manuscript of so many words, to the last vector."""
    embedder = MiniLMEmbedder()
    words = Words(_known_words(embedder), 2)
    novel = folder / "novel.txt"
    novel.write_text("\n\n".join(_manuscript(words, count)), "utf-8")
    embedder.embed([words.text(150)] * 64)
    database = Database(f"sqlite:///{folder / 'ingest.sqlite3'}")
    story, strand = new_story(), new_strand()
    started = time.perf_counter()
    with PeakMemory() as memory:
        manuscript = read_manuscript(novel)
        with database.unit_of_work() as work:
            add_manuscript(work, manuscript, story, strand)
            work.commit()
        read = time.perf_counter() - started
        made = Embedding(database, embedder).fill(strand, Listener())
    taken = time.perf_counter() - started
    database.close()
    return {
        "words": count,
        "passages": made,
        "seconds": round(taken, 1),
        "seconds_before_embedding": round(read, 1),
        "peak_growth_mb": round(memory.grown / 2**20),
    }


def _known_words(embedder: MiniLMEmbedder) -> list[str]:
    """Whole words of the embedder's vocabulary: invented ones would be four times as many tokens."""
    embedder.load()
    return sorted(word for word in embedder._model.tokenizer.get_vocab() if word.isalpha() and len(word) > 2)


def _manuscript(words: Words, count: int) -> Iterator[str]:
    for number in range(count // _PASSAGE_WORDS):
        if number % _A_CHAPTER == 0:
            yield f"Chapter {number // _A_CHAPTER + 1}"
        yield words.text(_PASSAGE_WORDS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=73_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--words", type=int, default=1_000_000, help="words of the manuscript; 0: no ingest")
    asked = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        figures: dict[str, Any] = {"bench": "recall_speed"}
        if asked.words:  # first, while the process is small
            figures["ingest"] = ingest_figures(Path(folder), asked.words)
        figures |= query_figures(Path(folder), asked.passages, asked.queries)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
