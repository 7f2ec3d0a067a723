"""Measures a model's long context, from its files: the suites of ``longcontext.evaluation`` by name."""

import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from storyloom.generators.cores import physical_cores
from storyloom.generators.free_memory import is_memory_full, within_free_memory
from storyloom.generators.hf_loading import load
from storyloom.generators.longcontext.baselines import check_llama, has_memory, plain
from storyloom.generators.longcontext.corpus import Corpus, read_corpus
from storyloom.generators.longcontext.evaluation.cost import Costs, measure_cost
from storyloom.generators.longcontext.evaluation.drawing import (
    draw_costs,
    draw_needles,
    draw_nouns,
    draw_perplexity,
)
from storyloom.generators.longcontext.evaluation.needles import Needles, measure_needles
from storyloom.generators.longcontext.evaluation.nouns import NounRecall, measure_nouns
from storyloom.generators.longcontext.evaluation.perplexity import (
    CONTROLS,
    Perplexity,
    measure_perplexity,
)
from storyloom.generators.longcontext.evaluation.reading import Tell
from storyloom.generators.longcontext.needles import KINDS, Filler, noise, prose
from storyloom.memory.errors import InvalidSetting, InvalidText, ModelUnavailable

SUITES = ("perplexity", "needles", "nouns", "cost")

_LENGTHS = {"perplexity": 8192, "needles": 4096, "nouns": 4096, "cost": 65_536}
_SHORTEST = {"needles": 512, "nouns": 16, "cost": 64}
_DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_WINDOW = 2048  # of the baseline with a window, where the model has none
_READ_ON_CPU = 4096  # tokens that are really read for timing; a longer cache is filled without

Result = Perplexity | Needles | NounRecall | Costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to measure.

    Attributes:
        suites: of ``SUITES``.
        text: a folder of books; None for none.
        length: tokens of the longest text; None for each suite's own.
        books: how many of them to read at most.
        segment: tokens after which the memory is carried on, or replaced by a control's.
        way: how a book is read; see ``perplexity``.
        tries: texts at each length and depth of needles, and lists of nouns at each length and size.
        seed: of whatever is drawn.
    """

    suites: tuple[str, ...] = SUITES
    text: Path | None = None
    length: int | None = None
    books: int = 8
    segment: int = 2048
    way: str = "segmented"
    tries: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            InvalidSetting: a suite that isn't known, a number out of its range, or no books to be read.
        """
        for suite in self.suites:
            if suite not in SUITES:
                raise InvalidSetting(f"There is no suite {suite!r}. Choose of {', '.join(SUITES)}, or all.")
        numbers = {"length": self.length, "segment": self.segment, "tries": self.tries, "books": self.books}
        for name, value in numbers.items():
            if value is not None and value < 1:
                raise InvalidSetting(f"{name} is {value}; it must be at least 1.")
        if self.seed < 0:
            raise InvalidSetting(f"seed is {self.seed}; it must be 0 or more.")
        if "perplexity" in self.suites and self.text is None:
            raise InvalidSetting("Perplexity is measured on books. Name a folder of .txt files by --text.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured.

    Attributes:
        family: the model's type.
        parameters: how many weights it has.
        books: the files that perplexity read.
        results: by suite.
        charts: SVG documents by suite.
    """

    family: str
    parameters: int
    books: tuple[str, ...]
    results: dict[str, Result]
    charts: dict[str, str]


def evaluate(target: str, asked: Asked, *, cache: Path | None, threads: int | None, tell: Tell) -> Evaluation:
    """Load a model and measure it.

    Args:
        target: a hub id, a local folder or the path of a .gguf file, of one of the families or a LLaMA.
        asked: what to measure.
        cache: a folder to keep the books' tokens in; None for none.
        threads: None for one a physical core.
        tell: hears how far it is; it may raise to end it.

    Raises:
        InvalidSetting: the model is another, or what was asked can't be.
        InvalidText: no text in the folder, or none that is long enough.
        ModelUnavailable: the model can't be loaded, or the memory is too small for what was asked.
    """
    torch.set_num_threads(threads or physical_cores())
    loaded = load(target)
    check_llama(loaded.model, target)
    corpus = None if asked.text is None else read_corpus(asked.text.expanduser(), loaded.tokenizer, cache)
    bench = _Bench(loaded.model, loaded.tokenizer, corpus, asked, tell)
    bound = within_free_memory() if loaded.model.device.type == "cpu" else nullcontext()
    try:
        with bound:
            results = {suite: bench.measure(suite) for suite in asked.suites}
    except (MemoryError, RuntimeError) as error:
        if not is_memory_full(error):
            raise
        raise ModelUnavailable(
            f"The memory of {loaded.model.device} is too small for this. Ask for a shorter --length or fewer "
            "--books."
        ) from error
    return Evaluation(
        family=loaded.model.config.model_type,
        parameters=sum(weight.numel() for weight in loaded.model.parameters()),
        books=bench.books,
        results=results,
        charts={suite: _DRAWN[suite](result) for suite, result in results.items()},
    )


_DRAWN: dict[str, Callable[[Any], str]] = {
    "perplexity": draw_perplexity,
    "needles": draw_needles,
    "nouns": draw_nouns,
    "cost": draw_costs,
}


class _Bench:
    """A model and what it is measured on."""

    def __init__(self, model: Any, tokenizer: Any, corpus: Corpus | None, asked: Asked, tell: Tell):
        self.model, self.tokenizer, self.corpus, self.asked, self.tell = model, tokenizer, corpus, asked, tell
        self.books: tuple[str, ...] = ()

    def measure(self, suite: str) -> Result:
        """Run one suite."""
        suites: dict[str, Callable[[], Result]] = {
            "perplexity": self._perplexity,
            "needles": self._needles,
            "nouns": self._nouns,
            "cost": self._cost,
        }
        return suites[suite]()

    def _perplexity(self) -> Perplexity:
        assert self.corpus is not None
        length = self.asked.length or _LENGTHS["perplexity"]
        chosen = choose_books(self.corpus, length, self.asked.books, self.asked.seed)
        self.books = tuple(self.corpus.names[index] for index in chosen)
        return measure_perplexity(
            self.model,
            [self.corpus.book(index)[: length + 1] for index in chosen],
            segment=self.asked.segment,
            way=self.asked.way,
            controls=CONTROLS if has_memory(self.model) else (),
            seed=self.asked.seed,
            tell=self.tell,
        )

    def _needles(self) -> Needles:
        chance = random.Random(self.asked.seed)
        filler = self._filler(chance)
        return measure_needles(
            self.model,
            {kind: partial(_made, make, self.tokenizer, filler, chance) for kind, make in KINDS.items()},
            lengths=self._lengths("needles", 4),
            depths=_DEPTHS,
            tries=self.asked.tries,
            seed=self.asked.seed,
            tell=self.tell,
        )

    def _nouns(self) -> NounRecall:
        return measure_nouns(
            self.model,
            self.tokenizer,
            self._filler(random.Random(self.asked.seed)),
            gaps=self._lengths("nouns", 7)[::2],
            trials=self.asked.tries,
            seed=self.asked.seed,
            tell=self.tell,
        )

    def _cost(self) -> Costs:
        window = getattr(self.model.config, "sliding_window", None) or _WINDOW
        models = {"model": self.model}
        if has_memory(self.model):
            models["full attention"] = plain(self.model)
        models[f"window of {window}"] = plain(self.model, window)
        return measure_cost(
            models,
            lengths=self._lengths("cost", 6),
            synthetic_above=_READ_ON_CPU if self.model.device.type == "cpu" else None,
            seed=self.asked.seed,
            tell=self.tell,
        )

    def _filler(self, chance: random.Random) -> Filler:
        return noise(self.tokenizer) if self.corpus is None else prose(self.corpus.tokens, chance)

    def _lengths(self, suite: str, count: int) -> list[int]:
        """The longest and its halves, the shortest first; so many, or fewer where they would be too short."""
        longest = self.asked.length or _LENGTHS[suite]
        halves = [longest >> times for times in range(count)]
        return sorted(length for length in halves if length == longest or length >= _SHORTEST[suite])


def choose_books(corpus: Corpus, length: int, most: int, seed: int) -> list[int]:
    """Draw books that have more than ``length`` tokens.

    Args:
        corpus: of all books.
        length: tokens that will be foretold in each; one more is needed to foretell the first.
        most: how many at most.
        seed: of the draw.

    Returns:
        Their indices, ascending; at least two.

    Raises:
        InvalidText: too few books are that long.
        InvalidSetting: fewer than two are asked for.
    """
    if most < 2:
        raise InvalidSetting(f"--books is {most}; each is given another's memory, so it must be at least 2.")
    long = corpus.longer_than(length)
    if len(long) < 2:
        longest = max(len(corpus.book(index)) for index in range(len(corpus)))
        raise InvalidText(
            f"Of {len(corpus)} books {len(long)} have more than {length:,} tokens, and at least 2 are "
            f"needed; the longest has {longest:,}. Give longer books, or a shorter --length."
        )
    drawn = np.random.default_rng(seed).permutation(long)[:most]
    return sorted(int(index) for index in drawn)


def _made(make: Any, tokenizer: Any, filler: Filler, chance: random.Random, length: int, depth: float) -> Any:
    return make(tokenizer, filler, length=length, depth=depth, chance=chance)
