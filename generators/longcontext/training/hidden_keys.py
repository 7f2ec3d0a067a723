"""Segments of texts with a hidden key, of which only the key's second coming is to be learned."""

import random
from typing import Any

import numpy as np
import torch

from storyloom.generators.longcontext.corpus import Corpus
from storyloom.generators.longcontext.needles import KINDS, prose
from storyloom.generators.longcontext.training.books import IGNORED, Segment, segment


class HiddenKeys:
    """Hides pass keys and key–value pairs in stretches of the books.

    Args:
        corpus: the books.
        tokenizer: the model's.
        seed: what is hidden where is drawn from it.
    """

    def __init__(self, corpus: Corpus, tokenizer: Any, seed: int):
        self._tokens, self._tokenizer, self._seed = corpus.tokens, tokenizer, seed

    def check(self, length: int) -> None:
        """Refuse a length now that would fail at some later step.

        Raises:
            InvalidSetting: it is too short for what is to be hidden.
            InvalidText: the books are shorter.
        """
        chance = random.Random(0)
        for make in KINDS.values():
            make(self._tokenizer, prose(self._tokens, chance), length=length + 1, depth=0.5, chance=chance)

    def segment(self, step: int, rows: int, length: int) -> Segment:
        """The texts of a step: the same however often the training was stopped before it."""
        chance = random.Random(f"{self._seed} {step}")
        filler = prose(self._tokens, chance)
        parts, answers = [], []
        for _ in range(rows):
            make = KINDS[chance.choice(sorted(KINDS))]
            needle = make(self._tokenizer, filler, length=length + 1, depth=chance.random(), chance=chance)
            parts.append(torch.from_numpy(np.array([*needle.ids, *needle.answer], dtype=np.int64)))
            answers.append(len(needle.ids))
        made = segment(parts, torch.ones(rows, dtype=torch.bool))
        for row, answer in enumerate(answers):
            made.labels[row, : answer - 1] = IGNORED
        return made
