import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from storyloom.generators import free_memory
from storyloom.generators.conversion import convert
from storyloom.generators.longcontext.training.loop import Limits, Training
from storyloom.generators.training import train_folder
from storyloom.memory.errors import InvalidSetting, InvalidText, ModelUnavailable
from tests.tiny_model import TEXT, make_tokenizer, save_model
from tests.unit.generators.longcontext.training.small import weights_of

PLAN = {"tokens": 400, "lengths": (16, 32), "rows": 2}
ONE = Limits(steps=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a LLaMA, a model with a memory made of it, and three books."""
    place = tmp_path_factory.mktemp("made")
    save_model(make_tokenizer(), place / "llama")
    convert(str(place / "llama"), "lact", place / "lact", options={"memory_layers": [1], "memory_chunk": 8})
    (place / "books" / "old").mkdir(parents=True)
    for name, count in (("a", 6), ("b", 4), ("old/c", 3)):
        (place / "books" / f"{name}.txt").write_text(f"{name}. {TEXT * count}", encoding="utf-8")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "made")


def loaded(folder: Path) -> dict[str, torch.Tensor]:
    return weights_of(AutoModelForCausalLM.from_pretrained(folder, dtype="auto"))


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("fields", [{}, {"backbone": "lora", "optimizer": "muon"}])
def test_in_slices_it_becomes_what_it_becomes_at_once(place: Path, fields: dict[str, Any]) -> None:
    before = loaded(place / "lact")
    shutil.copytree(place / "lact", place / "again")
    done = train_folder(place / "lact", place / "books", PLAN | fields)
    assert done.done
    assert done.tokens >= done.total == 400
    assert not equal(loaded(place / "lact"), before)

    first = train_folder(place / "again", place / "books", PLAN | fields, limits=Limits(steps=3))
    assert (first.steps, first.done) == (3, False)
    assert equal(loaded(place / "again"), before)
    second = train_folder(place / "again", None, {}, limits=Limits(steps=2))
    assert second.steps == 5
    last = train_folder(place / "again", place / "books", PLAN | fields)
    assert last.done
    assert (last.steps, last.loss) == (done.steps, done.loss)
    assert equal(loaded(place / "again"), loaded(place / "lact"))


def test_what_came_of_it_stands_in_the_folder(place: Path) -> None:
    done = train_folder(place / "lact", place / "books", PLAN)
    told = json.loads((place / "lact" / "training.json").read_text())
    assert told["plan"]["lengths"] == [16, 32]
    assert (told["tokens"], told["steps"], told["loss"]) == (done.tokens, done.steps, done.loss)
    assert done.picture is not None
    assert done.picture.read_text().startswith("<?xml")
    assert not (place / "lact" / ".training" / "checkpoint.pt").exists()
    lines = (place / "lact" / ".training" / "loss.jsonl").read_text().splitlines()
    assert len(lines) == done.steps


def test_what_is_done_isn_t_done_again(place: Path) -> None:
    done = train_folder(place / "lact", place / "books", PLAN)
    weights = loaded(place / "lact")
    assert train_folder(place / "lact", place / "books", PLAN) == done
    assert train_folder(place / "lact", None, {}) == done
    assert equal(loaded(place / "lact"), weights)
    again = train_folder(place / "lact", place / "books", PLAN | {"seed": 1})
    assert again.done
    assert not equal(loaded(place / "lact"), weights)


def test_a_plain_llama_is_trained_too(place: Path) -> None:
    before = loaded(place / "llama")
    assert train_folder(place / "llama", place / "books", PLAN | {"backbone": "full"}).done
    after = loaded(place / "llama")
    assert after.keys() == before.keys()
    assert not equal(after, before)


def test_weights_stay_in_their_dtype(place: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(place / "lact", dtype=torch.bfloat16)
    model.save_pretrained(place / "lact")
    before = loaded(place / "lact")
    assert train_folder(place / "lact", place / "books", PLAN | {"learning_rate": 0.05}).done
    after = loaded(place / "lact")
    assert {name: weight.dtype for name, weight in after.items()} == {
        name: weight.dtype for name, weight in before.items()
    }
    assert not equal(after, before)


def test_a_hybrid_without_attention_is_saved_so(place: Path) -> None:
    convert(str(place / "llama"), "hybrid", place / "hybrid", options={"memory_layers": [0]})
    assert train_folder(place / "hybrid", place / "books", PLAN | {"anneal": 0.5}).done
    assert json.loads((place / "hybrid" / "config.json").read_text())["hybrid_mode"] == "replace"
    found = loaded(place / "hybrid")
    assert not any("layers.0.self_attn" in name for name in found)
    assert any("layers.1.self_attn" in name for name in found)


def test_hidden_keys_are_read_between(place: Path) -> None:
    (place / "books" / "long.txt").write_text(TEXT * 40, encoding="utf-8")
    seen = []
    plan = {"tokens": 2500, "lengths": (500,), "needles": 0.5}
    train_folder(place / "lact", place / "books", plan, on_progress=lambda step, _total: seen.append(step))
    assert {step.needles for step in seen} == {True, False}


def test_a_teacher_is_a_model_of_its_own(place: Path) -> None:
    fields = PLAN | {"teacher": str(place / "llama"), "learning_rate": 1e-6}
    taught = train_folder(place / "lact", place / "books", fields, limits=ONE)
    assert taught.loss == pytest.approx(0, abs=1e-4)  # unchanged, it says what the teacher says


def test_a_teacher_of_another_shape_is_refused(place: Path) -> None:
    config = LlamaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    LlamaForCausalLM(config).save_pretrained(place / "other")
    make_tokenizer().save_pretrained(place / "other")
    with pytest.raises(InvalidSetting, match="can't teach this model: its vocab_size is 300"):
        train_folder(place / "lact", place / "books", PLAN | {"teacher": str(place / "other")})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"rows": 3}, "whose rows is 2, not 3"),
        ({"lengths": (16,)}, "whose lengths is"),
        ({"backbone": "full"}, "whose backbone is 'frozen', not 'full'"),
    ],
)
def test_a_training_is_one_training(place: Path, fields: dict[str, Any], told: str) -> None:
    train_folder(place / "lact", place / "books", PLAN, limits=ONE)
    with pytest.raises(InvalidSetting, match=told):
        train_folder(place / "lact", place / "books", fields)
    assert train_folder(place / "lact", place / "books", {"rows": 2}, limits=ONE).steps == 2


def test_other_text_is_another_training(place: Path) -> None:
    train_folder(place / "lact", place / "books", PLAN, limits=ONE)
    (place / "books" / "a.txt").write_text("Another book.", encoding="utf-8")
    with pytest.raises(InvalidSetting, match="in the middle of a training on other text"):
        train_folder(place / "lact", None, {})


def test_another_model_is_another_training(place: Path) -> None:
    train_folder(place / "lact", place / "books", PLAN, limits=ONE)
    options = {"memory_layers": [1], "memory_chunk": 8}
    convert(str(place / "llama"), "lact", place / "other", options=options, seed=5)
    shutil.copy(place / "other" / "model.safetensors", place / "lact" / "model.safetensors")
    with pytest.raises(ModelUnavailable, match="was changed since its training began"):
        train_folder(place / "lact", None, {})


def test_a_damaged_checkpoint_is_told(place: Path) -> None:
    train_folder(place / "lact", place / "books", PLAN, limits=ONE)
    path = place / "lact" / ".training" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ModelUnavailable, match="is damaged"):
        train_folder(place / "lact", None, {})
    torch.save({"plan": "none"}, path)
    with pytest.raises(ModelUnavailable, match="is damaged"):
        train_folder(place / "lact", place / "books", {})


def test_two_at_once_are_refused(place: Path) -> None:
    (place / "lact" / ".training").mkdir()
    with (
        FileLock(place / "lact" / ".training" / "lock"),
        pytest.raises(InvalidSetting, match="Another process is training"),
    ):
        train_folder(place / "lact", place / "books", PLAN)


def allocators_own() -> RuntimeError:
    """What torch says when it can't have so much."""
    try:
        torch.empty(2**50)
    except RuntimeError as error:
        return error
    raise AssertionError("there were four petabytes")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        allocators_own(),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    ],
)
def test_too_little_memory_is_told(place: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    before = loaded(place / "lact")
    train_folder(place / "lact", place / "books", PLAN, limits=ONE)

    def full(_training: Training) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Training, "step", full)
        with pytest.raises(
            InvalidSetting, match=r"Lower --lengths or --rows and remove .*training, to begin"
        ):
            train_folder(place / "lact", None, {})
    assert equal(loaded(place / "lact"), before)
    assert train_folder(place / "lact", None, {}, limits=ONE).steps == 2


def test_a_step_that_wants_more_than_is_free_is_told_of(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = loaded(place / "lact")
    monkeypatch.setattr(free_memory, "free_bytes", lambda: 2**27)
    with pytest.raises(InvalidSetting, match="steps of 128 rows of up to 4,096 tokens"):
        train_folder(place / "lact", place / "books", {"tokens": 10**6, "lengths": (4096,), "rows": 128})
    assert equal(loaded(place / "lact"), before)


def test_another_failure_is_not_taken_for_too_little_memory(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_training: Training) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Training, "step", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train_folder(place / "lact", place / "books", PLAN)


def test_what_cannot_be_trained_is_told(place: Path) -> None:
    books = place / "books"
    cases: list[tuple[Path, Path | None, dict[str, Any], type[Exception], str]] = [
        (place / "none", books, PLAN, InvalidSetting, "no folder with a model"),
        (books, books, PLAN, InvalidSetting, "no folder with a model"),
        (place / "x.gguf", books, PLAN, InvalidSetting, "is a .gguf file"),
        (place / "llama", books, PLAN, InvalidSetting, "nothing in it would learn"),
        (place / "lact", None, PLAN, InvalidSetting, "Name a folder with books"),
        (place / "lact", place / "none", PLAN, InvalidText, "There is no folder"),
        (place / "lact", place / "llama", PLAN, InvalidText, "holds no .txt file"),
        (place / "lact", books, PLAN | {"rows": 0}, InvalidSetting, "rows is 0"),
        (place / "lact", books, PLAN | {"needles": 0.5}, InvalidSetting, "can't hold what is to be hidden"),
        (
            place / "lact",
            books,
            PLAN | {"teacher": str(place / "no")},
            ModelUnavailable,
            "There is no folder",
        ),
    ]
    for folder, text, fields, error, told in cases:
        with pytest.raises(error, match=told):
            train_folder(folder, text, fields)
