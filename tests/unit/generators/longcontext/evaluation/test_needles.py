"""Needles: a model that looks them up finds all, one that guesses none; lengths and depths are as asked."""

import math
import random
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax

from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.evaluation.needles import answer, measure_needles
from storyloom.generators.longcontext.needles import KINDS, Needle, encode, noise, numbered, passkey, prose
from storyloom.generators.longcontext.nouns import NOUNS
from storyloom.memory.errors import InvalidSetting, InvalidText
from tests.tiny_model import make_tokenizer
from tests.unit.generators.longcontext.evaluation.lookup import Guess, Lookup
from tests.unit.generators.longcontext.proof import llama, open_gates, tokens

LENGTH = 700


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


def made(tokenizer: Any, kind: str, depth: float, seed: int = 0, length: int = LENGTH) -> Needle:
    return KINDS[kind](tokenizer, noise(tokenizer), length=length, depth=depth, chance=random.Random(seed))


def makers(tokenizer: Any) -> dict[str, Any]:
    chance = random.Random(4)
    return {kind: partial(_at, make, tokenizer, noise(tokenizer), chance) for kind, make in KINDS.items()}


def _at(make: Any, tokenizer: Any, filler: Any, chance: Any, length: int, depth: float) -> Needle:
    needle: Needle = make(tokenizer, filler, length=length, depth=depth, chance=chance)
    return needle


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("depth", [0.0, 0.3, 1.0])
def test_a_text_is_as_long_as_asked_and_holds_its_key(tokenizer: Any, kind: str, depth: float) -> None:
    needle = made(tokenizer, kind, depth)
    assert len(needle.ids) + len(needle.answer) == LENGTH
    text, key = tokenizer.decode(needle.ids), tokenizer.decode(needle.answer)
    assert f" is{key}." in text
    others = [tokenizer.decode(other) in text for other in needle.others]
    assert others == [kind == "key_values"] * 4
    assert text.endswith("is")


def test_depth_is_where_the_key_is(tokenizer: Any) -> None:
    places = []
    for depth in (0.0, 0.5, 1.0):
        needle = made(tokenizer, "passkey", depth)
        text = tokenizer.decode(needle.ids)
        places.append(text.index(tokenizer.decode(needle.answer)) / len(text))
    assert places[0] < 0.25 < 0.4 < places[1] < 0.7 < places[2]


def test_the_asked_thing_is_told_of_once_among_the_others(tokenizer: Any) -> None:
    text = tokenizer.decode(made(tokenizer, "key_values", 0.5).ids)
    asked = text.rpartition("What is the number of the ")[2].partition("?")[0]
    assert asked in NOUNS
    assert text.count(f"\nThe number of the {asked} is") == 1
    assert text.count("\nThe number of the ") == 5


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_text_too_short_is_told(tokenizer: Any, kind: str) -> None:
    with pytest.raises(InvalidSetting, match="needs at least"):
        made(tokenizer, kind, 0.5, length=60)


def test_prose_is_a_stretch_of_the_book() -> None:
    book = np.arange(100, dtype=np.uint16)
    filler = prose(book, random.Random(0))
    drawn = [filler(10) for _ in range(5)]
    assert all(np.array_equal(np.diff(part), np.ones(9)) for part in drawn)
    assert len({part[0] for part in drawn}) > 1
    with pytest.raises(InvalidText, match="100 tokens, but 101"):
        filler(101)


def test_noise_fills_exactly(tokenizer: Any) -> None:
    assert [len(noise(tokenizer)(count)) for count in (0, 1, 500)] == [0, 1, 500]
    assert noise(tokenizer)(500)[:20] == encode(tokenizer, " The grass is green. The sky is blue.")[:20]


def test_numbers_are_written_over_some_of_a_text(tokenizer: Any) -> None:
    plain = tokenizer.decode(noise(tokenizer)(2000))
    filler = numbered(noise(tokenizer), tokenizer, random.Random(0))
    texts = [tokenizer.decode(filler(2000)) for _ in range(8)]
    counts = [len(re.findall(r" \d{1,5}", text)) for text in texts]
    assert not re.search(r"\d", plain)
    assert max(counts) > 8
    assert len(set(counts)) > 3
    assert all(len(filler(count)) == count for count in (0, 1, 99, 100, 2000))


def test_a_lookup_finds_every_key(tokenizer: Any) -> None:
    found = measure_needles(
        Lookup(len(tokenizer)), makers(tokenizer), lengths=[600, 700], depths=[0, 0.5, 1], tries=2
    )
    assert len(found.spots) == 12
    assert [(spot.kind, spot.length) for spot in found.lengths] == [
        (kind, length) for kind in KINDS for length in (600, 700)
    ]
    for spot in (*found.spots, *found.lengths):
        assert spot.exact.mean == spot.chosen.mean == 1
        assert spot.margin.mean > 10
        assert spot.by_chance == 0.2


def test_a_guess_finds_none(tokenizer: Any) -> None:
    found = measure_needles(Guess(len(tokenizer)), makers(tokenizer), lengths=[600], depths=[0.5], tries=12)
    for spot in found.spots:
        assert spot.exact.mean == 0
        assert spot.chosen.mean < 0.7
        assert spot.margin.mean < 5


def test_the_margin_is_that_of_whole_readings() -> None:
    """For a memory, whose cache is copied for each key."""
    model = converted(llama(), "titans", {"memory_chunk": 4, "sliding_window": 8}, seed=1)
    open_gates(model)
    text = tokens(1, 40)[0].tolist()
    keys = [[3, 4, 5], [3, 9], [8, 2, 1]]
    found = answer(model, Needle(text, keys[0], tuple(keys[1:])))
    said = []
    for key in keys:
        ids = torch.tensor([[*text, *key]])
        with torch.no_grad():
            logits = log_softmax(model(input_ids=ids).logits[0, len(text) - 1 : -1], -1)
        said.append(float(logits[torch.arange(len(key)), torch.tensor(key)].sum()))
    assert math.isclose(found.margin, said[0] - max(said[1:]), abs_tol=1e-6)
    assert found.chosen == (found.margin > 0)


def test_an_exact_answer_is_what_the_model_writes() -> None:
    model = converted(
        llama(), "landmark", {"landmark_block": 4, "landmark_top_k": 2, "landmark_local": 2}, seed=1
    )
    open_gates(model)
    text = tokens(1, 40)
    writer: Any = model
    written = writer.generate(text, max_new_tokens=5, do_sample=False, pad_token_id=0)[0, 40:].tolist()
    wrong = [*written[:4], (written[4] + 1) % 61]
    assert answer(model, Needle(text[0].tolist(), written, (wrong,))).exact
    assert not answer(model, Needle(text[0].tolist(), wrong, (written,))).exact


def test_landmarks_read_a_long_text_piece_by_piece(tokenizer: Any) -> None:
    """No call sees more than a piece, and the whole text is behind the answer."""
    model = converted(
        llama(torch.float32),
        "landmark",
        {"landmark_block": 64, "landmark_top_k": 4, "landmark_local": 2},
    )
    called: list[int] = []
    model.model.register_forward_pre_hook(
        lambda _module, _args, given: called.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    ids = [token % 61 for token in passkey(
        tokenizer, noise(tokenizer), length=4000, depth=0.5, chance=random.Random(0)
    ).ids]  # fmt: skip
    found = answer(model, Needle(ids, [1, 2], ([3, 4],)))
    assert math.isfinite(found.margin)
    assert max(called) == 512
    # The last token of the text waits for each key.
    assert sum(called) == len(ids) - 1 + 2 * 2
