"""What a story will cost: steps, tokens and time, from its order and from what was measured before."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from storyloom.app.agents.slots import tokens_of
from storyloom.app.profiles import Profile
from storyloom.memory.orders import Order
from storyloom.memory.progress import Measured
from storyloom.memory.text import count_words

# A step that isn't one call has a writer, a planner and a memory keeper.
_CALLS = 3
_PLAN_WORDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """About what a story costs, or several.

    Attributes:
        steps: paragraphs.
        words: of the text.
        prompt_tokens: that models are given.
        completion_tokens: that models write, what is drawn again not counted unless it was measured.
        seconds: of writing, one story after another; None: unknown, nothing was measured.
    """

    steps: int
    words: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float | None


def estimate(order: Order, profile: Profile, measured: Measured | None = None) -> Estimate:
    """What one story costs.

    Args:
        order: the story.
        profile: of its model.
        measured: steps that the same model wrote before; None: none.
    """
    usual = profile.words_of(order.mode)
    steps = order.paragraphs or ceil((order.words or 0) / usual)
    words = order.words or steps * usual
    if measured is not None and measured.words:
        share = words / measured.words
        return Estimate(
            steps=steps,
            words=words,
            prompt_tokens=round(measured.prompt_tokens * share),
            completion_tokens=round(measured.completion_tokens * share),
            seconds=measured.seconds * share,
        )
    return Estimate(
        steps=steps,
        words=words,
        prompt_tokens=steps * _prompt_tokens(order, profile),
        completion_tokens=tokens_of(words + steps * (profile.memory_words + _PLAN_WORDS)),
        seconds=None,
    )


def total(estimates: Iterable[Estimate]) -> Estimate:
    """What several stories cost together; their time is known only where each one's is."""
    found = list(estimates)
    seconds = [one.seconds for one in found if one.seconds is not None]
    return Estimate(
        steps=sum(one.steps for one in found),
        words=sum(one.words for one in found),
        prompt_tokens=sum(one.prompt_tokens for one in found),
        completion_tokens=sum(one.completion_tokens for one in found),
        seconds=sum(seconds) if len(seconds) == len(found) else None,
    )


def _prompt_tokens(order: Order, profile: Profile) -> int:
    """Of a step whose slots are full."""
    given = count_words(order.premise) + count_words(order.style) + profile.memory_words + profile.last_words
    if profile.reads_outline:
        given += count_words(order.outline)
    calls = 1 if profile.one_call else _CALLS
    return tokens_of(calls * given + profile.recalled_words)
