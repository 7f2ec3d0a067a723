"""What recall looks for."""

import pytest

from storyloom.memory.recall_query import next_step, question


def test_a_question_looks_for_its_words_that_carry_meaning() -> None:
    query = question("What did Mara's sister bury under the pear tree?")
    assert query.text == "What did Mara's sister bury under the pear tree?"
    assert dict(query.terms) == dict.fromkeys(["mara", "sister", "bury", "pear", "tree"], 1.0)


def test_a_question_of_joining_words_alone_looks_for_them() -> None:
    assert list(question("To be or not to be").terms) == ["to", "be", "or", "not"]


@pytest.mark.parametrize("text", ["", "   ", "?!"])
def test_a_question_without_words(text: str) -> None:
    assert question(text).terms == {}


def test_a_step_looks_for_its_plan_the_names_and_less_for_the_last_paragraphs_other_words() -> None:
    query = next_step("The keeper opens the cellar.", "In the rain Tobias waited, and so did the keeper.")
    assert query.text == "The keeper opens the cellar.\n\nIn the rain Tobias waited, and so did the keeper."
    assert dict(query.terms) == {
        "keeper": 1.0,
        "opens": 1.0,
        "cellar": 1.0,
        "tobias": 1.0,
        "rain": 0.5,
        "waited": 0.5,
    }


def test_a_long_step_keeps_its_weightiest_words() -> None:
    plan = " ".join(f"plan{number}" for number in range(30))
    last = " ".join(f"last{number}" for number in range(400))
    terms = next_step(plan, last).terms
    assert len(terms) == 48
    assert sum(weight == 1.0 for weight in terms.values()) == 30
