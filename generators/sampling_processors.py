"""Samplers that transformers lacks, as logits processors, in the order that llama.cpp applies them.

Scores have the shape (1, vocabulary); one text is written at a time.
"""

from collections.abc import Sequence
from typing import cast

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from storyloom.memory.generation import Sampling

# llama.cpp's defaults, for the parts of a sampler that were not asked for
DRY_BREAKERS = ("\n", ":", '"', "*")
_DRY_BASE, _DRY_ALLOWED_LENGTH, _DRY_LONGEST = 1.75, 2, 64
_XTC_THRESHOLD = 0.1


class WindowedRepetitionPenalty(LogitsProcessor):
    """Makes tokens of the last ``window``, or for None of the whole text, less likely (arXiv 1909.05858)."""

    def __init__(self, penalty: float, window: int | None):
        self._penalty = penalty
        self._window = window

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Divide positive scores of tokens that were seen, multiply negative ones."""
        start = 0 if self._window is None else max(0, input_ids.shape[1] - self._window)
        seen = input_ids[:, start:]
        found = scores.gather(1, seen)
        changed = torch.where(found < 0, found * self._penalty, found / self._penalty)
        return cast("torch.FloatTensor", scores.scatter(1, seen, changed))


class Dry(LogitsProcessor):
    """Don't Repeat Yourself: the longer a repetition, the less likely its next token.

    From https://github.com/oobabooga/text-generation-webui/pull/5677, whose author thought of it.
    """

    def __init__(self, sampling: Sampling, breakers: frozenset[int]):
        self._multiplier = sampling.dry_multiplier or 0.0
        self._base = _DRY_BASE if sampling.dry_base is None else sampling.dry_base
        allowed = sampling.dry_allowed_length
        self._allowed = _DRY_ALLOWED_LENGTH if allowed is None else allowed
        self._window = sampling.dry_window
        self._breakers = breakers

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Lower the score of each token that would prolong a repetition."""
        start = 0 if self._window is None else max(0, input_ids.shape[1] - self._window)
        lengths = self._lengths(input_ids[0, start:].tolist())
        for token, length in lengths.items():
            if length >= self._allowed:
                scores[0, token] -= self._multiplier * self._base ** (length - self._allowed)
        return scores

    def _lengths(self, ids: Sequence[int]) -> dict[int, int]:
        """For each token that once followed the text's present end: how long an end it followed."""
        lengths: dict[int, int] = {}
        if not ids or ids[-1] in self._breakers:
            return lengths
        for place in (place for place, token in enumerate(ids[:-1]) if token == ids[-1]):
            length = 1
            while (
                length < min(place + 1, _DRY_LONGEST)
                and ids[place - length] == ids[-1 - length]
                and ids[place - length] not in self._breakers
            ):
                length += 1
            following = ids[place + 1]
            lengths[following] = max(length, lengths.get(following, 0))
        return lengths


class Xtc(LogitsProcessor):
    """Exclude Top Choices: now and then drops every likely token but the least likely of them.

    From https://github.com/oobabooga/text-generation-webui/pull/6335, whose author thought of it.
    """

    def __init__(self, probability: float, threshold: float, generator: torch.Generator):
        self._probability = probability
        self._threshold = threshold
        self._generator = generator

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # noqa: ARG002
        """Drop the top choices with the given probability."""
        if torch.rand((), generator=self._generator).item() >= self._probability:
            return scores
        probabilities = scores.softmax(dim=-1)
        likely = probabilities >= self._threshold
        if int(likely.sum()) < 2:
            return scores
        least = probabilities.masked_fill(~likely, 2.0).argmin(dim=-1, keepdim=True)
        return cast("torch.FloatTensor", scores.masked_fill(likely.scatter(1, least, False), float("-inf")))


class Draw(LogitsProcessor):
    """Draws the token and leaves no other. Its generator is its own: no call disturbs another's seed."""

    def __init__(self, generator: torch.Generator):
        self._generator = generator

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:  # noqa: ARG002
        """Keep the drawn token's score only."""
        probabilities = scores.softmax(dim=-1).cpu()
        drawn = torch.multinomial(probabilities, 1, generator=self._generator).to(scores.device)
        alone = torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)
        return cast("torch.FloatTensor", alone)


def processors(
    sampling: Sampling, generator: torch.Generator, dry_breakers: frozenset[int]
) -> LogitsProcessorList:
    """The asked-for samplers, then the draw; at temperature 0 there is none, and the likeliest token wins."""
    chain = LogitsProcessorList(
        [*_penalties(sampling, dry_breakers), *_truncations(sampling), *_xtc(sampling, generator)]
    )
    temperature = 1.0 if sampling.temperature is None else sampling.temperature
    if temperature > 0:
        if temperature != 1.0:
            chain.append(TemperatureLogitsWarper(temperature))
        chain.append(Draw(generator))
    return chain


def _penalties(sampling: Sampling, dry_breakers: frozenset[int]) -> list[LogitsProcessor]:
    chain: list[LogitsProcessor] = []
    if sampling.repetition_penalty is not None:
        chain.append(WindowedRepetitionPenalty(sampling.repetition_penalty, sampling.repetition_window))
    if sampling.dry_multiplier:
        chain.append(Dry(sampling, dry_breakers))
    return chain


def _truncations(sampling: Sampling) -> list[LogitsProcessor]:
    chain: list[LogitsProcessor] = []
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.typical_p is not None and sampling.typical_p < 1:
        chain.append(TypicalLogitsWarper(sampling.typical_p))
    if sampling.top_p is not None and sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        chain.append(MinPLogitsWarper(sampling.min_p))
    return chain


def _xtc(sampling: Sampling, generator: torch.Generator) -> list[LogitsProcessor]:
    if not sampling.xtc_probability:
        return []
    threshold = _XTC_THRESHOLD if sampling.xtc_threshold is None else sampling.xtc_threshold
    return [Xtc(sampling.xtc_probability, threshold, generator)]
