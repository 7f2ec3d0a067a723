from dataclasses import replace

import pytest

from storyloom.app.agents.drawing import Drawing, Rules
from storyloom.memory.repetition import SentenceFilter, StoryIndex

RULES = Rules(
    language="en",
    known="Anna Reed lives in Millbrook with her brother. Every day Anna thinks of Anna Reed's father.",
    known_script=True,
    new_names=1,
    first_person=False,
    second_person=False,
    enough_words=12,
    least_words=6,
)
PAST = "The old ferry crossed the river at noon and came back empty."


def drawing(rules: Rules = RULES, *, skip: bool = False) -> Drawing:
    return Drawing(rules, SentenceFilter(StoryIndex([PAST])), skip=skip)


def test_a_sentence_is_judged_once_the_next_has_begun() -> None:
    draw = drawing()
    draw.begin()
    assert not draw.feed("Anna ran to the gate.")
    assert draw.kept == []
    assert not draw.feed("Anna ran to the gate. It")
    assert draw.kept == ["Anna ran to the gate."]


def test_the_stream_may_end_when_there_are_enough_words() -> None:
    draw = drawing()
    draw.begin()
    assert draw.feed("Anna ran to the gate. Behind it the whole orchard lay white. She")
    assert draw.is_long_enough
    assert draw.text == "Anna ran to the gate. Behind it the whole orchard lay white."
    assert draw.verdict == "kept"


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("The old ferry crossed the river.", "repeats the story"),
        ("I was cold and my coat was wet.", "changes person"),
        ("There is a door behind your house.", "changes person"),
        ("Then Тихий вечер came.", "changes script"),
        ("There stood Oswin with Perkin and Lord Vane.", "brings too many new names"),
    ],
)
def test_what_is_refused(sentence: str, reason: str) -> None:
    draw = drawing()
    draw.begin()
    assert draw.feed(f"{sentence} And")
    assert draw.kept == []
    assert draw.was_stopped
    assert draw.verdict == reason


def test_speech_may_be_in_the_first_person() -> None:
    draw = drawing()
    draw.begin()
    draw.end('"I am cold and my coat is wet," said Anna.')
    assert draw.refused == []


def test_known_names_are_welcome() -> None:
    draw = drawing(replace(RULES, new_names=0))
    draw.begin()
    draw.end("In the morning Anna met Reed.")
    assert draw.kept == ["In the morning Anna met Reed."]


def test_a_stream_goes_on_from_what_was_kept() -> None:
    draw = drawing()
    draw.begin()
    draw.feed("Anna ran to the gate. The old ferry crossed the river. And")
    draw.begin()
    draw.end("Nobody had locked it.")
    assert draw.text == "Anna ran to the gate. Nobody had locked it."
    assert not draw.was_stopped


def test_without_going_on_bad_sentences_are_left_out() -> None:
    draw = drawing(skip=True)
    draw.begin()
    draw.end("Anna ran to the gate. The old ferry crossed the river. Nobody had locked it.")
    assert draw.text == "Anna ran to the gate. Nobody had locked it."
    assert draw.refused == ["repeats the story"]


def test_the_opening_is_part_of_the_paragraph() -> None:
    draw = drawing()
    draw.begin("Anna")
    draw.end(" ran to the gate.")
    assert draw.text == "Anna ran to the gate."


def test_an_opening_that_became_another_word_is_refused() -> None:
    draw = drawing()
    draw.begin("Anna")
    draw.end("lise ran to the gate.")
    assert draw.text == ""


def test_a_break_of_form_ends_the_stream() -> None:
    draw = drawing()
    draw.begin()
    assert draw.feed("Anna ran to the gate. Nobody\n\n## Chapter 2")
    assert draw.text == "Anna ran to the gate."


def test_an_unfinished_sentence_is_left_out() -> None:
    draw = drawing()
    draw.begin()
    draw.end("Anna ran to the gate. Nobody had")
    assert draw.text == "Anna ran to the gate."


def test_a_quotation_is_judged_when_it_is_closed() -> None:
    draw = drawing(replace(RULES, enough_words=40))
    draw.begin()
    assert not draw.feed('Anna said, "Wait here. It is late. The')
    assert draw.kept == []
    draw.end('Anna said, "Wait here. It is late." Nobody moved.')
    assert draw.text == 'Anna said, "Wait here. It is late." Nobody moved.'


def test_a_quotation_that_nobody_closes_ends_the_stream() -> None:
    draw = drawing(replace(RULES, enough_words=400))
    draw.begin()
    assert draw.feed('Anna ran. She said, "Wait. ' + "And so it went on and on for ever. " * 12)
    assert draw.text == "Anna ran."


def test_too_few_words() -> None:
    draw = drawing()
    draw.begin()
    draw.end("Anna ran.")
    assert not draw.is_fit
    assert draw.verdict == "too short"


def test_where_two_streams_were_in_vain_the_last_sentence_is_taken_back() -> None:
    draw = drawing()
    draw.begin()
    draw.feed("Anna ran to the gate. The old ferry crossed the river. And")
    for kept in ("Anna ran to the gate.", "Anna ran to the gate.", ""):
        draw.begin()
        assert draw.text == kept
        draw.feed("The old ferry crossed the river. And")


def test_where_two_streams_were_in_vain_the_opening_is_given_up() -> None:
    draw = drawing()
    begun = []
    for _ in range(3):
        draw.begin("Anna")
        begun.append(draw.begun)
        draw.feed("lise ran to the gate. And")
    assert begun == ["Anna", "Anna", ""]
