"""The headline figure, computed a second time in the plainest way, and with memories that must differ."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from storyloom.generators.longcontext.cells import cells_of
from storyloom.generators.longcontext.convert import converted
from storyloom.generators.longcontext.evaluation.perplexity import (
    CONTROLS,
    WAYS,
    measure_perplexity,
    partners,
    powers_of_two,
    read_books,
)
from storyloom.generators.longcontext.state import State, cache_from, state_dict_of
from storyloom.memory.errors import InvalidSetting
from tests.unit.generators.longcontext.proof import llama, open_gates, tokens

LENGTH, SEGMENT = 44, 12
OPTIONS: dict[str, dict[str, Any]] = {
    "titans": {"memory_chunk": 4, "sliding_window": 6},
    "lact": {"memory_chunk": 4, "sliding_window": 6},
    "landmark": {"landmark_block": 4, "landmark_top_k": 2, "landmark_local": 2},
}


@pytest.fixture(params=list(OPTIONS))
def model(request: pytest.FixtureRequest) -> Any:
    made = converted(llama(), request.param, OPTIONS[request.param], seed=1)
    open_gates(made)
    return made


def books(count: int = 3) -> list[NDArray[Any]]:
    return [row.numpy() for row in tokens(count, LENGTH + 1, seed=9)]


def direct(model: Any, ids: Tensor, state: State | None) -> tuple[Tensor, State]:
    """The losses of one segment of one book at once, and what is remembered behind it."""
    cache = cache_from(state, model.config)
    with torch.no_grad():
        logits = model(input_ids=ids[:, :-1], past_key_values=cache).logits
    return cross_entropy(logits[0], ids[0, 1:], reduction="none"), state_dict_of(cache, model.config)


def test_segments_are_read_as_they_would_be_one_by_one(model: Any) -> None:
    ids = torch.from_numpy(np.stack(books()))
    partner = torch.tensor([1, 2, 0])
    found = read_books(model, ids, segment=SEGMENT, way="segmented", controls=CONTROLS, partner=partner)
    starts = range(0, LENGTH, SEGMENT)
    states: list[list[State | None]] = [[None] for _ in ids]
    for book, row in enumerate(ids):
        for start in starts:
            states[book].append(direct(model, row[None, start : start + SEGMENT + 1], states[book][-1])[1])
    for book, row in enumerate(ids):
        for place, start in enumerate(starts):
            part = row[None, start : start + SEGMENT + 1]
            begins = {
                "on": states[book][place],
                "zeroed": None,
                "shuffled": states[int(partner[book])][place],
            }
            for memory, state in begins.items():
                np.testing.assert_allclose(
                    found[memory][book, start : start + SEGMENT],
                    direct(model, part, state)[0],
                    atol=1e-9,
                )


def test_a_continuous_text_is_one_reading(model: Any) -> None:
    ids = torch.from_numpy(np.stack(books()))
    found = read_books(
        model, ids, segment=SEGMENT, way="continuous", controls=CONTROLS, partner=torch.tensor([1, 2, 0])
    )
    for book, row in enumerate(ids):
        np.testing.assert_allclose(found["on"][book], direct(model, row[None], None)[0], atol=1e-9)
    assert np.abs(found["on"] - found["zeroed"])[:, SEGMENT:].max() > 1e-3
    assert np.abs(found["on"] - found["shuffled"])[:, SEGMENT:].max() > 1e-3


@pytest.mark.parametrize("way", WAYS)
def test_controls_meet_the_memory_only_behind_the_first_segment(model: Any, way: str) -> None:
    found = measure_perplexity(model, books(), segment=SEGMENT, way=way, edges=[SEGMENT, 24])
    first, *others = found.buckets
    for control in CONTROLS:
        assert first.difference[control].mean == first.difference[control].low == 0
        assert all(abs(bucket.difference[control].mean) > 1e-6 for bucket in others)
    assert found.later is not None
    assert (found.later.start, found.later.end) == (SEGMENT, LENGTH)


@pytest.mark.parametrize("way", WAYS)
def test_behind_a_closed_gate_no_memory_is_heard(way: str) -> None:
    made = converted(llama(), "titans", OPTIONS["titans"], seed=1)
    found = measure_perplexity(made, books(), segment=SEGMENT, way=way)
    for control in CONTROLS:
        assert found.whole.difference[control].as_json() == {"mean": 0, "low": 0, "high": 0}


@pytest.mark.parametrize("way", WAYS)
def test_a_model_without_a_memory_has_no_difference(way: str) -> None:
    found = measure_perplexity(llama(), books(), segment=SEGMENT, way=way)
    for control in CONTROLS:
        assert found.whole.difference[control].as_json() == {"mean": 0, "low": 0, "high": 0}


def test_a_memory_of_the_same_book_is_no_control() -> None:
    """Two equal books: what the other remembers is what one remembers oneself."""
    made = converted(llama(), "titans", OPTIONS["titans"], seed=1)
    open_gates(made)
    same = [books(1)[0]] * 2
    found = measure_perplexity(made, same, segment=SEGMENT)
    assert found.whole.difference["shuffled"].mean == 0
    assert abs(found.whole.difference["zeroed"].mean) > 1e-6


def test_a_memory_that_knows_the_book_is_seen_to() -> None:
    """A model that is trained to say what the segment before was full of: only its own memory tells."""
    made: Any = converted(llama(torch.float32), "titans", {"memory_chunk": 4, "sliding_window": 2}, seed=1)
    open_gates(made)
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        drawn = torch.randint(2, 12, (8, 1), generator=generator)
        state = read_with_gradient(made, drawn.expand(-1, 8))
        logits = made(input_ids=torch.ones(8, 1, dtype=torch.long), past_key_values=state).logits
        loss: Any = cross_entropy(logits[:, -1], drawn[:, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made.eval()
    whole = [np.array([*[token] * 8, 1, token]) for token in (2, 5, 9, 11)]
    found = measure_perplexity(made, whole, segment=8, edges=[8])
    for control in CONTROLS:
        difference = found.buckets[-1].difference[control]
        assert difference.high is not None
        assert difference.high < -0.5


def read_with_gradient(model: Any, ids: Tensor) -> Any:
    cache = cache_from(None, model.config)
    model(input_ids=ids, past_key_values=cache)
    carried = cache_from(None, model.config)
    for index in model.config.memory_layers:
        layer: Any = carried.layers[index]
        layer.cells = cells_of(cache, index)
    return carried


def test_buckets_are_means_over_books_and_positions(model: Any) -> None:
    ids = torch.from_numpy(np.stack(books()))
    losses = read_books(model, ids, segment=SEGMENT, way="segmented", controls=(), partner=partners(3, 0))[
        "on"
    ]
    found = measure_perplexity(model, books(), segment=SEGMENT, controls=(), edges=[8, 16])
    assert [(bucket.start, bucket.end) for bucket in found.buckets] == [(0, 8), (8, 16), (16, LENGTH)]
    for bucket in found.buckets:
        assert bucket.loss["on"].mean == pytest.approx(losses[:, bucket.start : bucket.end].mean())
        assert bucket.difference == {}
    assert found.whole.loss["on"].mean == pytest.approx(losses.mean())


@pytest.mark.parametrize("count", [2, 3, 7])
def test_everybody_gets_anothers_memory_and_gives_its_own_once(count: int) -> None:
    for seed in range(5):
        partner = partners(count, seed).tolist()
        assert sorted(partner) == list(range(count))
        assert all(own != other for own, other in enumerate(partner))


def test_edges_are_powers_of_two_below_the_length() -> None:
    assert powers_of_two(1024) == [128, 256, 512]
    assert powers_of_two(100) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"way": "backwards"}, "choose segmented or continuous"),
        ({"segment": 0}, "at least 1"),
        ({"controls": ("loud",)}, "no control 'loud'"),
    ],
)
def test_what_cannot_be_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSetting, match=told):
        measure_perplexity(llama(), books(), **{"segment": SEGMENT, **given})


def test_one_book_has_no_other() -> None:
    with pytest.raises(InvalidSetting, match="at least 2"):
        measure_perplexity(llama(), books(1), segment=SEGMENT)


def test_books_must_be_equally_long() -> None:
    with pytest.raises(InvalidSetting, match="equally many"):
        measure_perplexity(llama(), [books()[0], books()[1][:-1]], segment=SEGMENT)


def test_the_state_before_is_left_as_it_was(model: Any) -> None:
    """Reading with a control doesn't reach into what the memory holds."""
    ids = torch.from_numpy(np.stack(books()))
    alone = read_books(model, ids, segment=SEGMENT, way="segmented", controls=(), partner=partners(3, 0))
    beside = read_books(
        model, ids, segment=SEGMENT, way="segmented", controls=CONTROLS, partner=partners(3, 0)
    )
    np.testing.assert_array_equal(alone["on"], beside["on"])
