"""Several requests at once in one transformers model: rows that disturb nobody, and models that have none."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from storyloom.generators import hf_ready
from storyloom.generators.hf_rows import Rows, cell_bytes
from storyloom.generators.hf_schema import SchemaConstraint
from storyloom.generators.hf_together import Together
from storyloom.generators.hugging_face import HuggingFaceModel
from storyloom.memory.errors import ModelFailed
from storyloom.memory.generation import Message, Reply, Request, Sampling, collect
from tests.tiny_model import TEXT

SCHEMA = {"type": "object", "properties": {"mood": {"enum": ["calm", "stormy"]}}, "required": ["mood"]}
_FREELY = 10_000
EVERYTHING = Sampling(
    temperature=0.8, top_p=0.9, repetition_penalty=1.2, repetition_window=20, dry_multiplier=0.8, min_p=0.01
)
REQUESTS = (
    Request(prompt="The keeper", max_tokens=60, seed=1),
    Request(prompt=TEXT * 4, max_tokens=25, seed=2, sampling=EVERYTHING),
    Request(prompt="The lamp", max_tokens=40, sampling=Sampling(temperature=0.0)),
    Request(prompt=(Message("user", "A mood, please."),), max_tokens=60, seed=3, schema=SCHEMA),
    Request(prompt=TEXT, max_tokens=80, seed=4, stop=("e", "a")),
    Request(prompt=TEXT * 2 + "And", max_tokens=1, seed=5),
)


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each pass of a model has had."""
    seen: list[int] = []
    read = Rows.read

    def watched(rows: Rows, model: Any, tokens: Sequence[int]) -> torch.Tensor:
        seen.append(len(tokens))
        return read(rows, model, tokens)

    monkeypatch.setattr(Rows, "read", watched)
    return seen


@pytest.fixture
def tiny(folder: Path) -> Iterator[HuggingFaceModel]:
    model = HuggingFaceModel(str(folder), name="hf:tiny", threads=1, slots=8)
    yield model
    model.close()


def write(model: HuggingFaceModel, request: Request) -> Reply:
    return collect(model.stream(request))


def hold(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """From now on requests come in, and rows go a token further, only as often as this is released."""
    passes = threading.Semaphore(0)
    coming = Together._coming

    def held(together: Together) -> Any:
        passes.acquire(timeout=30)
        return coming(together)

    monkeypatch.setattr(Together, "_coming", held)
    return passes


def at_once(model: HuggingFaceModel, requests: Sequence[Request], gate: threading.Semaphore) -> list[Reply]:
    """All replies, of requests that wait together and begin together."""
    writer: Any = model._get().writer
    with ThreadPoolExecutor(len(requests)) as pool:
        replies = [pool.submit(write, model, request) for request in requests]
        while len(writer._waiting) < len(requests):
            time.sleep(0.001)
        gate.release(_FREELY)
    return [reply.result() for reply in replies]


def test_a_row_among_others_has_the_text_that_it_has_alone(
    folder: Path, tiny: HuggingFaceModel, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = HuggingFaceModel(str(folder), name="hf:alone", threads=1, slots=1, reuse_prefix=False)
    expected = [write(alone, request) for request in REQUESTS]
    assert set(widths) == {1}
    replies = at_once(tiny, REQUESTS * 2, hold(monkeypatch))
    assert max(widths) > 5
    assert [reply.text for reply in replies] == [reply.text for reply in expected] * 2
    assert [reply.usage.finish for reply in replies] == [reply.usage.finish for reply in expected] * 2
    assert json.loads(replies[3].text)["mood"] in {"calm", "stormy"}
    alone.close()


def test_a_request_joins_texts_that_are_on_their_way(
    tiny: HuggingFaceModel, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = hold(monkeypatch)
    with closing(tiny.stream(REQUESTS[0])) as first:  # type: ignore[type-var]
        gate.release()
        next(first)
        assert at_once(tiny, REQUESTS[2:3], gate)[0].usage.completion_tokens == 40
        assert collect(first).usage.completion_tokens > 2
    assert max(widths) == 2


def test_who_reads_slowly_holds_up_nobody(tiny: HuggingFaceModel) -> None:
    endless = Request(prompt="The", max_tokens=500, seed=2, schema={"type": "string", "minLength": 2000})
    with closing(tiny.stream(endless)) as unread:  # type: ignore[type-var]
        next(unread)
        assert write(tiny, REQUESTS[0]).usage.completion_tokens > 0


def test_who_waits_for_a_row_can_be_stopped(folder: Path) -> None:
    one = HuggingFaceModel(str(folder), name="hf:one", threads=1, slots=1)
    endless = Request(prompt="The", max_tokens=500, seed=2, schema={"type": "string", "minLength": 2000})
    with closing(one.stream(endless)) as first:  # type: ignore[type-var]
        next(first)
        waiting: Any = one.stream(REQUESTS[0])
        reader = threading.Thread(target=lambda: next(waiting, None))
        reader.start()
    reader.join()
    waiting.close()
    assert write(one, REQUESTS[0]).usage.completion_tokens > 0
    one.close()


def test_a_text_that_fails_ends_alone(tiny: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(_self: SchemaConstraint, _token: int) -> None:
        raise ModelFailed("The model left the schema.")

    expected = write(tiny, REQUESTS[0]).text
    monkeypatch.setattr(SchemaConstraint, "take", leave)
    with closing(tiny.stream(REQUESTS[0])) as other:  # type: ignore[type-var]
        first = next(other).text
        with pytest.raises(ModelFailed, match="left the schema"):
            write(tiny, REQUESTS[3])
        assert first + collect(other).text == expected


def test_when_memory_runs_out_all_are_told_and_the_model_goes_on(
    tiny: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    expected = write(tiny, REQUESTS[0]).text
    with monkeypatch.context() as patched:
        patched.setattr(Rows, "read", fail)
        with ThreadPoolExecutor(2) as pool:
            texts = [pool.submit(write, tiny, request) for request in REQUESTS[:2]]
        assert all(isinstance(text.exception(), ModelFailed) for text in texts)
    assert write(tiny, REQUESTS[0]).text == expected


def test_rows_that_memory_has_no_room_for_wait(
    folder: Path, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf_ready, "free_bytes", lambda _device: 0)
    narrow = HuggingFaceModel(str(folder), name="hf:narrow", threads=1, slots=8)
    requests = [Request(prompt="The", max_tokens=300, seed=seed) for seed in range(3)]
    assert len(at_once(narrow, requests, hold(monkeypatch))) == 3
    assert set(widths) == {1}
    narrow.close()


def test_a_model_whose_rows_cannot_stand_side_by_side_writes_one_after_the_other(
    tokenizer: Any, tmp_path: Path, widths: list[int]
) -> None:
    config = MistralConfig(
        vocab_size=len(tokenizer) + 3,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        sliding_window=16,
        eos_token_id=0,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        MistralForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = HuggingFaceModel(str(tmp_path), name="hf:sliding", threads=1)
    assert cell_bytes(model._get().loaded.model) is None
    expected = [write(model, request).text for request in REQUESTS]
    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        assert [reply.text for reply in pool.map(partial(write, model), REQUESTS)] == expected
    assert not widths
    model.close()


def test_both_ways_to_write_give_equal_text(
    folder: Path, tiny: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf_ready, "cell_bytes", lambda _model: None)
    alone = HuggingFaceModel(str(folder), name="hf:alone", threads=1)
    for request in REQUESTS:
        assert write(alone, request) == write(tiny, request)
    alone.close()
