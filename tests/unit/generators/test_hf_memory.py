"""The neural memory of a transformers model: read a paragraph at a time, gone on from, or refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from storyloom.generators.hugging_face import HuggingFaceModel
from storyloom.generators.longcontext.convert import converted
from storyloom.memory.errors import StateRefused, UnsupportedRequest
from storyloom.memory.generation import Request, Sampling, collect
from tests.unit.generators.longcontext.proof import open_gates

PARAGRAPHS = ("The keeper lit the lamp. The lamp burned all night.", "The keeper slept, and the lamp burned.")
OPTIONS = {"memory_chunk": 8, "memory_layers": [1]}


@pytest.fixture(scope="module")
def remembering(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a memory that is heard."""
    made = tmp_path_factory.mktemp("remembering")
    shutil.copytree(folder, made, dirs_exist_ok=True)
    source: Any = AutoModelForCausalLM.from_pretrained(folder)
    model = converted(source, "titans", OPTIONS, seed=1)
    open_gates(model, 3.0)  # so that another memory writes other words, and not only other scores
    model.save_pretrained(made)
    return made


@pytest.fixture
def model(remembering: Path) -> Iterator[HuggingFaceModel]:
    made = HuggingFaceModel(str(remembering), name="hf:remembering", threads=1)
    yield made
    made.close()


def write(model: HuggingFaceModel, state: bytes | None, **options: Any) -> str:
    request = Request(prompt="The keeper", max_tokens=24, seed=3, state=state, **options)
    return collect(model.stream(request)).text


def read(model: HuggingFaceModel) -> bytes:
    first = model.remember(PARAGRAPHS[0])
    return model.remember(PARAGRAPHS[1], first)


def test_what_is_written_depends_on_what_was_read(model: HuggingFaceModel) -> None:
    assert "state" in model.features
    state = read(model)
    greedy = Sampling(temperature=0.0)
    texts = [write(model, held, sampling=greedy) for held in (None, model.remember(PARAGRAPHS[0]), state)]
    assert len(set(texts)) == 3
    assert write(model, state, sampling=greedy) == texts[2]


def test_a_memory_outlives_its_process_to_the_byte(model: HuggingFaceModel, remembering: Path) -> None:
    first = model.remember(PARAGRAPHS[0])
    again = HuggingFaceModel(str(remembering), name="hf:elsewhere", threads=1)
    assert again.fingerprint == model.fingerprint
    assert again.remember(PARAGRAPHS[1], first) == read(model)
    assert write(again, read(model)) == write(model, read(model))
    again.close()


def test_a_text_is_read_as_a_paragraph_of_a_book(model: HuggingFaceModel) -> None:
    assert model.remember("A. ") != model.remember("A.")
    assert model.remember("") != model.remember("A.")
    special = model.remember("<|end|>")
    assert special == model.remember("<|end|>")
    assert len(special) == len(model.remember("A."))


def test_a_state_that_cannot_be_used_is_refused(model: HuggingFaceModel) -> None:
    state = bytearray(read(model))
    state[-3] ^= 8
    for ask in (model.check_state, lambda data: write(model, data), lambda data: model.remember("A.", data)):
        with pytest.raises(StateRefused, match="damaged"):
            ask(bytes(state))
    model.check_state(read(model))


def test_a_plain_model_has_no_memory(folder: Path) -> None:
    plain = HuggingFaceModel(str(folder), name="hf:plain", threads=1)
    assert "state" not in plain.features
    for ask in (lambda: plain.fingerprint, lambda: plain.remember("A."), lambda: write(plain, b"state")):
        with pytest.raises(UnsupportedRequest, match="hf:plain has no neural memory"):
            ask()
    plain.close()
