from dataclasses import replace

import pytest

from storyloom.app.agents.rewrite_rules import Order, lack, nearest, objection, read, worth

ORDER = Order(
    passage="The sea lay flat and grey beneath her.",
    before="Mara lit the lamp before the gulls woke.",
    after="A boat came in without a sound.",
    instruction="make it rain",
    language="en",
)
WORD = replace(ORDER, passage="the lamp", before="Mara lit", after="before the gulls woke.")


def reading(reply: str, order: Order = ORDER, *, whole: bool = True) -> str:
    return read(reply, order, whole=whole)


@pytest.mark.parametrize(
    "reply",
    [
        "Rain fell on the flat sea.",
        "  Rain fell\non the flat sea.  ",
        "Here is the rewritten passage: Rain fell on the flat sea.",
        "Sure! Here's a version:\n\nRain fell on the flat sea.",
        "Passage: Rain fell on the flat sea.",
        "“Rain fell on the flat sea.”",
        "Mara lit the lamp before the gulls woke. Rain fell on the flat sea.",
        "Rain fell on the flat sea. A boat came in without a sound. Nobody saw it.",
        "Rain fell on the flat sea. Rain fell on the flat sea.",
        "Rain fell on the flat sea.\n\n**Note:** I kept the tense.",
        "rain fell on the flat sea",
    ],
)
def test_what_is_not_the_passage_is_left_out_and_its_ends_are_made_to_fit(reply: str) -> None:
    assert reading(reply) == "Rain fell on the flat sea."


def test_a_sentence_that_breaks_off_is_dropped() -> None:
    assert reading("Rain fell. The boat was full of", whole=False) == "Rain fell."
    assert reading("The boat was full of", whole=False) == ""


def test_what_runs_past_its_bound_is_cut_at_a_sentence() -> None:
    long = " ".join(f"Rain number {n} fell on her." for n in range(60))
    text = reading(long)
    assert 0 < len(text.split()) <= ORDER.most_words
    assert text.endswith("fell on her.")
    assert reading("rain " * 200) == ""


@pytest.mark.parametrize(
    "reply", ["A candle.", "a candle", "Mara lit a candle before the gulls woke.", "“A candle”"]
)
def test_words_inside_a_sentence_stay_inside_it(reply: str) -> None:
    assert reading(reply, WORD) == "a candle"


def test_a_name_keeps_its_capital_inside_a_sentence() -> None:
    order = replace(WORD, before="When night came, Tobias and Mara lit", passage="it", after="with Tobias.")
    assert reading("Tobias", order) == "Tobias"
    assert reading("I did", order) == "I did"


def test_a_passage_of_lines_keeps_lines() -> None:
    verse = replace(ORDER, passage="The sea is grey.\nThe sea is flat.")
    assert reading("The sea is wet.\n\nThe rain is wet.", verse) == "The sea is wet.\nThe rain is wet."


def test_a_passage_in_a_form_of_its_own_keeps_it() -> None:
    marked = replace(ORDER, passage="The sea lay *flat* and grey.")
    assert reading("The sea lay *wet* and grey.", marked) == "The sea lay *wet* and grey."


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", "nothing usable"),
        ("…", "nothing usable"),
        (ORDER.passage, "only says it again"),
        ("Make it rain.", "only says the instruction"),
        ("Snow fell on his neck and lay white on the path.", "stands beside it"),
        ("Rain fell on the flat sea.", ""),
    ],
)
def test_what_can_not_be_proposed(reply: str, why: str) -> None:
    prompt = f"Snow fell on his neck and lay white on the path.\nPassage: {ORDER.passage}"
    found = objection(reading(reply), ORDER, prompt)
    assert why in found
    assert bool(why) == bool(found)


def test_an_instruction_is_weighed_by_its_words_and_its_length() -> None:
    rains, dry = "Rain fell on the flat sea.", "The sea was very flat and calm."
    assert lack(rains, ORDER) == ""
    assert lack(dry, ORDER) == "has nothing of the instruction"
    assert worth(rains, ORDER) > worth(dry, ORDER)
    assert lack("The sea lay flat, and grey, beneath her.", ORDER) == "says the same words"
    loop = "The rain fell down. And the rain fell down. But the rain fell down. So the rain fell down."
    assert lack(loop, ORDER) == "repeats itself"
    assert worth(rains, ORDER) > worth(loop, ORDER)
    longer = replace(ORDER, instruction="longer, with more detail")
    assert lack(rains, longer) == "isn't longer"
    assert longer.most_words > ORDER.most_words
    shorter = replace(ORDER, instruction="shorter, please")
    assert shorter.wants_less
    assert shorter.most_words == 7
    assert reading("Rain fell on the flat grey sea that lay there.", shorter) == ""
    assert replace(shorter, passage="Rain").most_words == 1


def test_of_what_stands_beside_it_the_nearest_sentences_are_read() -> None:
    text = "One came. Two came. Three came."
    assert nearest(text, 0, "en", last=True) == "Three came."
    assert nearest(text, 0, "en", last=False) == "One came."
    assert nearest(text, 4, "en", last=True) == "Two came. Three came."
    assert nearest("", 4, "en", last=True) == ""
