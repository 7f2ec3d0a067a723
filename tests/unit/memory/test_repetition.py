import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyloom.memory.repetition import SentenceFilter, StoryIndex, distinct, rep
from storyloom.memory.text import words

PAST = "The old ferry crossed the river at noon and came back empty in the rain."


def test_rep_counts_repeated_ngrams() -> None:
    # Five 2-grams: ab, bc, ca, ab, bc; three are unique.
    assert rep("abcabc", 2) == pytest.approx(2 / 5)
    assert distinct("abcabc", 2) == pytest.approx(3 / 5)


def test_rep_of_a_text_shorter_than_the_ngram_is_zero() -> None:
    assert rep(["one"], 4) == 0.0
    assert distinct([], 2) == 1.0


def test_overlap_is_the_share_of_known_runs_of_four_words() -> None:
    index = StoryIndex([PAST])
    assert index.overlap("The old ferry crossed a river.") == pytest.approx(1 / 3)
    assert index.overlap("Nobody waited there that evening.") == 0.0
    assert index.overlap("Too short.") == 0.0


def test_overlap_ignores_case_and_kinds_of_apostrophe() -> None:
    index = StoryIndex(["He didn’t see THE boat"])
    assert index.overlap("he didn't see the") == 1.0


def test_runs_across_a_joint_are_known() -> None:
    index = StoryIndex(["they sailed to", "the north shore"])
    assert index.overlap("sailed to the north") == 1.0


def test_eight_words_in_a_row_are_found() -> None:
    index = StoryIndex([PAST])
    assert index.holds_8gram("So the old ferry crossed the river at noon again.")
    assert not index.holds_8gram("So the old ferry crossed the river at dawn.")


def test_chinese_is_judged_by_longer_runs() -> None:
    index = StoryIndex(["老渡船中午过了河，然后在雨中空着回来了。"])
    assert index.overlap("老渡船中停了下来。") == 0.0
    assert index.overlap("老渡船中午过了河。") == 1.0


def test_filter_refuses_what_the_story_says() -> None:
    novelty = SentenceFilter(StoryIndex([PAST]))
    assert not novelty.accepts("The old ferry crossed the river.")
    assert novelty.accepts("A heron watched from the reeds.")


def test_filter_refuses_what_the_draw_says_twice() -> None:
    novelty = SentenceFilter(StoryIndex())
    assert novelty.accepts("A heron watched from the reeds.")
    assert not novelty.accepts("A heron watched from the reeds.")


def test_filter_forgets_what_it_refused() -> None:
    novelty = SentenceFilter(StoryIndex([PAST]))
    assert not novelty.accepts("The old ferry crossed the river, and a heron watched.")
    assert novelty.accepts("Then, slowly, and a heron watched.")


def test_filter_refuses_what_other_texts_say() -> None:
    novelty = SentenceFilter(StoryIndex(), also=["Nobody in the village owned a clock."])
    assert not novelty.accepts("Nobody in the village owned a clock.")


def test_filter_sees_runs_across_the_joint_of_two_sentences() -> None:
    index = StoryIndex(["one two three four five six seven eight"])
    novelty = SentenceFilter(index, max_overlap=0.99)
    assert novelty.accepts("one two three four.")
    assert not novelty.accepts("five six seven eight but not so before.")


def test_filter_lets_a_share_of_old_runs_pass() -> None:
    old = "they walked along the quiet shore"
    fresh = " until every lamp in town had gone out and the night was entirely theirs to keep"
    assert SentenceFilter(StoryIndex([old])).accepts(old + fresh)
    assert not SentenceFilter(StoryIndex([old]), max_overlap=0.1).accepts(old + fresh)


def test_filter_refuses_a_sentence_that_says_itself_again() -> None:
    assert not SentenceFilter(StoryIndex()).accepts("He said that he said that he said that he was.")


def test_filter_counts_old_runs_over_the_whole_draw() -> None:
    index = StoryIndex(["at the end of the road", "in the middle of the night"])
    first = "A lamp burned at the end of that long and empty street until the rain put it out."
    second = "Nobody came by in the middle of such a storm, and nobody would until the morning."
    assert all(SentenceFilter(index).accepts(sentence) for sentence in (first, second))
    strict = SentenceFilter(index, max_repeated=0.01)
    assert strict.accepts(first)
    assert not strict.accepts(second)
    assert strict.accepts("So they slept.")


def test_a_phrase_may_come_back_late_and_a_sentence_never() -> None:
    index = StoryIndex([PAST, " ".join(f"word{number}" for number in range(9_000))])
    novelty = SentenceFilter(index, max_overlap=0.0)
    assert novelty.accepts("Slowly the old ferry crossed.")
    assert not novelty.accepts("Then the old ferry crossed the river at noon.")


@given(st.lists(st.text(alphabet="abc ", max_size=60), max_size=6))
def test_an_index_knows_every_run_it_was_given(parts: list[str]) -> None:
    index = StoryIndex(parts)
    assert all(index.overlap(part) == 1.0 for part in parts if len(words(part)) > 3)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=80))
def test_rep_and_distinct_share_the_whole(tokens: list[str]) -> None:
    assert rep(tokens, 2) + distinct(tokens, 2) == pytest.approx(1)
    assert 0 <= rep(tokens, 4) < 1
