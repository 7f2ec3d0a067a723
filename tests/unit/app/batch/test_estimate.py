"""Estimates of what stories cost."""

import pytest

from storyloom.app.batch.estimate import estimate, total
from storyloom.app.profiles import LARGE, SMALL
from storyloom.memory.orders import Order
from storyloom.memory.progress import Measured

BY_PARAGRAPHS = Order(story_id="", premise="Mara keeps the lamp.", paragraphs=30)
BY_WORDS = Order(story_id="", premise="Mara keeps the lamp.", words=1_000)
MEASURED = Measured(words=100, prompt_tokens=2_000, completion_tokens=400, seconds=20.0)


def test_paragraphs_have_the_profiles_length() -> None:
    found = estimate(BY_PARAGRAPHS, SMALL)
    assert (found.steps, found.words) == (30, 30 * SMALL.paragraph_words)


def test_words_are_met_by_enough_paragraphs() -> None:
    found = estimate(BY_WORDS, SMALL)
    assert (found.steps, found.words) == (9, 1_000)


def test_without_measurements_time_is_unknown_and_tokens_are_not() -> None:
    found = estimate(BY_PARAGRAPHS, SMALL)
    assert found.seconds is None
    assert found.prompt_tokens > found.completion_tokens > found.words


def test_what_was_measured_is_scaled_to_the_words_asked_for() -> None:
    found = estimate(BY_WORDS, SMALL, MEASURED)
    assert (found.prompt_tokens, found.completion_tokens) == (20_000, 4_000)
    assert found.seconds == pytest.approx(200.0)


def test_steps_without_a_word_measure_nothing() -> None:
    nothing = Measured(words=0, prompt_tokens=0, completion_tokens=0, seconds=3.0)
    assert estimate(BY_WORDS, SMALL, nothing) == estimate(BY_WORDS, SMALL)


def test_an_outline_counts_where_the_model_reads_it() -> None:
    outlined = Order(
        story_id="", premise="Mara keeps the lamp.", outline="A storm comes. " * 40, paragraphs=3
    )
    bare = Order(story_id="", premise="Mara keeps the lamp.", paragraphs=3)
    assert estimate(outlined, LARGE).prompt_tokens > estimate(bare, LARGE).prompt_tokens
    assert estimate(outlined, SMALL) == estimate(bare, SMALL)


def test_a_total_knows_its_time_only_where_each_story_does() -> None:
    known, unknown = estimate(BY_WORDS, SMALL, MEASURED), estimate(BY_PARAGRAPHS, SMALL)
    assert total([known, known]).seconds == pytest.approx(400.0)
    assert total([known, unknown]).seconds is None
    assert total([known, unknown]).steps == 39
    assert total([]).seconds == 0
