import re
from typing import Any

import numpy as np
import pytest
import torch

from storyloom.generators.longcontext.corpus import Corpus
from storyloom.generators.longcontext.training.books import IGNORED
from storyloom.generators.longcontext.training.hidden_keys import HiddenKeys
from storyloom.memory.errors import InvalidSetting, InvalidText
from tests.tiny_model import TEXT, make_tokenizer

LENGTH = 600


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="module")
def keys(tokenizer: Any) -> HiddenKeys:
    ids = np.array(tokenizer(TEXT * 100)["input_ids"], dtype=np.uint16)
    return HiddenKeys(Corpus(("a.txt",), (0, len(ids)), ids, ""), tokenizer, seed=1)


def test_only_the_answer_is_to_be_learned(keys: HiddenKeys, tokenizer: Any) -> None:
    part = keys.segment(3, 4, LENGTH)
    assert part.ids.shape == (4, LENGTH)
    assert part.mask is None
    assert part.fresh.all()
    for row in range(4):
        answer = part.labels[row][part.labels[row] != IGNORED]
        said = tokenizer.decode(answer)
        assert said.strip().isdecimal()
        assert said in tokenizer.decode(part.ids[row, : -len(answer)])


def test_the_question_comes_anywhere_in_a_block(keys: HiddenKeys) -> None:
    labels = keys.segment(3, 24, LENGTH).labels
    ends = {int((row != IGNORED).nonzero()[-1]) for row in labels}
    assert len(ends) > 12
    assert min(ends) >= LENGTH - 1 - LENGTH // 16
    assert max(ends) < LENGTH


def test_a_step_has_its_own_texts_always(keys: HiddenKeys) -> None:
    assert torch.equal(keys.segment(3, 2, LENGTH).ids, keys.segment(3, 2, LENGTH).ids)
    assert not torch.equal(keys.segment(3, 2, LENGTH).ids, keys.segment(4, 2, LENGTH).ids)


def test_both_kinds_come(keys: HiddenKeys, tokenizer: Any) -> None:
    texts = [tokenizer.decode(row) for row in keys.segment(1, 12, LENGTH).ids]
    assert 0 < sum("What is the pass key?" in text for text in texts) < 12


def test_other_numbers_lie_about(keys: HiddenKeys, tokenizer: Any) -> None:
    assert not re.search(r"\d", TEXT)
    texts = [tokenizer.decode(row) for row in keys.segment(1, 12, LENGTH).ids]
    numbers = [set(re.findall(r"\d+", text)) for text in texts]
    told = [set(re.findall(r"(?: is|:) (\d+)", text)) for text in texts]
    assert max(len(every - own) for every, own in zip(numbers, told, strict=True)) > 1


def test_what_has_no_room_is_told(keys: HiddenKeys) -> None:
    keys.check(LENGTH)
    with pytest.raises(InvalidSetting, match="can't hold"):
        keys.check(60)
    with pytest.raises(InvalidText, match="Give longer books"):
        keys.check(100_000)
