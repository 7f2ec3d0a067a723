"""Lists of nouns: a model that looks words up isn't surprised by the list's return."""

import random
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.evaluation.nouns import Lists, make_lists, measure_nouns, recall
from storyloom.generators.longcontext.needles import noise
from storyloom.generators.longcontext.nouns import NOUNS
from tests.tiny_model import make_tokenizer
from tests.unit.generators.longcontext.evaluation.lookup import Guess, Lookup
from tests.unit.generators.longcontext.proof import llama, open_gates


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


def test_lists_have_nouns_that_differ(tokenizer: Any) -> None:
    lists = make_lists(tokenizer, noise(tokenizer), 50, 5, random.Random(0))
    first, other = (
        {tokenizer.decode(noun).strip() for noun in nouns} for nouns in (lists.first, lists.other)
    )
    assert len(first) == len(other) == 5
    assert not first & other
    assert first | other <= set(NOUNS)
    ids, places = lists.spell(lists.first)
    assert tokenizer.decode(ids).strip() == ", ".join(tokenizer.decode(n).strip() for n in lists.first) + ","
    assert [ids[place] for place in places] == lists.first


def test_a_lookup_recalls_the_list_and_not_the_others(tokenizer: Any) -> None:
    found = measure_nouns(
        Lookup(len(tokenizer)), tokenizer, noise(tokenizer), gaps=[30], sizes=[3, 5], trials=3, seed=2
    )
    assert [(one.size, one.gap, one.trials) for one in found.found] == [(3, 30, 3), (5, 30, 3)]
    for one in found.found:
        # Its last comma tells nothing of the first noun; the others follow from those before them.
        assert one.same.mean < one.other.mean / 2
        assert one.drop.mean > one.control.mean
        assert one.verbatim.low is not None
        assert one.verbatim.low > 10


def test_a_guess_recalls_nothing(tokenizer: Any) -> None:
    found = measure_nouns(
        Guess(len(tokenizer)), tokenizer, noise(tokenizer), gaps=[30], sizes=[5], trials=6
    ).found[0]
    assert found.verbatim.low is not None
    assert found.verbatim.high is not None
    assert found.verbatim.low < 10
    assert abs(found.verbatim.mean) < found.first.mean / 4


def test_surprisals_are_those_of_whole_readings() -> None:
    model = converted(llama(), "titans", {"memory_chunk": 4, "sliding_window": 8}, seed=1)
    open_gates(model)
    lists = Lists(
        before=[5, 6, 7],
        first=[[8, 9], [10]],
        between=[11, 12, 13, 14, 15, 16],
        other=[[17], [18, 19]],
        comma=[2],
    )
    found = recall(model, lists)
    expected = []
    head = [5, 6, 7, 8, 9, 2, 10, 2, 11, 12, 13, 14, 15, 16]
    for ids, places in (
        (head, (3, 4, 6)),
        ([*head, 8, 9, 2, 10, 2], (14, 15, 17)),
        ([*head, 17, 2, 18, 19, 2], (14, 16, 17)),
    ):
        whole = torch.tensor([ids])
        with torch.no_grad():
            loss = cross_entropy(model(input_ids=whole).logits[0, :-1], whole[0, 1:], reduction="none")
        expected.append(sum(float(loss[place - 1]) for place in places) / 2)
    assert found == pytest.approx(expected, abs=1e-6)
