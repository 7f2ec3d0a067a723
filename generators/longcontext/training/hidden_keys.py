"""Segments of texts with a hidden key, of which only the key's second coming is to be learned."""

import random
from typing import Any

import numpy as np
import torch

from storyloom.generators.longcontext.corpus import Corpus
from storyloom.generators.longcontext.needles import KINDS, numbered, prose
from storyloom.generators.longcontext.training.books import IGNORED, Segment, segment

_BEHIND = 16  # One part in so many of a text, at most, stands behind its answer.


class HiddenKeys:
    """Hides pass keys and key–value pairs in stretches of the books, among other numbers.

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
            shortest = length + 1 - length // _BEHIND
            make(self._tokenizer, prose(self._tokens, chance), length=shortest, depth=0.5, chance=chance)

    def segment(self, step: int, rows: int, length: int) -> Segment:
        """The texts of a step: the same however often the training was stopped before it.

        More or less prose stands behind an answer. So the question comes anywhere in a block, or across two.
        """
        chance = random.Random(f"{self._seed} {step}")
        filler = numbered(prose(self._tokens, chance), self._tokenizer, chance)
        parts, answers = [], []  # and from where to where each answer's tokens are
        for _ in range(rows):
            make = KINDS[chance.choice(sorted(KINDS))]
            behind = chance.randint(0, length // _BEHIND)
            whole = length + 1 - behind
            needle = make(self._tokenizer, filler, length=whole, depth=chance.random(), chance=chance)
            ids = [*needle.ids, *needle.answer, *filler(behind)]
            parts.append(torch.from_numpy(np.array(ids, dtype=np.int64)))
            answers.append((len(needle.ids), whole))
        made = segment(parts, torch.ones(rows, dtype=torch.bool))
        for row, (start, end) in enumerate(answers):
            made.labels[row, : start - 1] = IGNORED
            made.labels[row, end - 1 :] = IGNORED
        return made
