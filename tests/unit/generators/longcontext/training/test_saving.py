import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from storyloom.generators.longcontext.training import saving
from storyloom.memory.errors import StoreUnavailable
from tests.unit.generators.longcontext.training.small import model, weights_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, with a place to work in."""
    made = tmp_path / "model"
    model().save_pretrained(made)
    (made / "tokenizer.json").write_text("kept")
    (made / "work").mkdir()
    return made


def changed() -> Any:
    """The model with other weights."""
    made = model()
    with torch.no_grad():
        made.lm_head.weight.add_(1)
    return made


def is_changed(folder: Path) -> bool:
    """Which of the two models loads from a folder; it must be one of them."""
    found = weights_of(AutoModelForCausalLM.from_pretrained(folder))
    for made, answer in ((changed(), True), (model(), False)):
        if all(torch.equal(found[name], weight) for name, weight in weights_of(made).items()):
            return answer
    raise AssertionError("neither the old nor the new model")


def test_weights_are_replaced_and_the_rest_is_kept(folder: Path) -> None:
    assert not is_changed(folder)
    saving.save(changed(), {"steps": 3}, folder, folder / "work")
    assert is_changed(folder)
    assert saving.recorded(folder) == {"steps": 3}
    assert (folder / "tokenizer.json").read_text() == "kept"
    assert list((folder / "work").iterdir()) == []


@pytest.mark.parametrize("moves", range(5))
def test_killed_on_the_way_it_is_old_or_new_and_the_next_call_ends_it(
    folder: Path, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, left = Path.replace, moves

    def killed(path: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        if moves < 4:
            with pytest.raises(KeyboardInterrupt):
                saving.save(changed(), {"steps": 3}, folder, folder / "work")
        else:  # the record, the weights, the config and the record again
            saving.save(changed(), {"steps": 3}, folder, folder / "work")
    assert is_changed(folder) == (moves >= 2)
    assert saving.settle(folder, folder / "work") == (1 <= moves < 4)
    assert is_changed(folder) == (moves >= 1)
    assert saving.recorded(folder) == ({"steps": 3} if moves >= 1 else {})
    assert not saving.settle(folder, folder / "work")


def test_a_model_in_parts_becomes_one_of_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    model().save_pretrained(folder, max_shard_size="20KB")
    (folder / "work").mkdir()
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 1
    saving.save(changed(), {}, folder, folder / "work")
    assert [path.name for path in folder.glob("*.safetensors*")] == ["model.safetensors"]
    assert is_changed(folder)


def test_a_full_disk_leaves_the_old_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = changed()

    def full(place: Path, **_options: Any) -> None:
        place.mkdir()
        (place / "model.safetensors").write_bytes(b"part")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(made, "save_pretrained", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        saving.save(made, {}, folder, folder / "work")
    assert not saving.settle(folder, folder / "work")
    assert not is_changed(folder)


def test_a_digest_is_of_the_weights(folder: Path) -> None:
    before = saving.weights_digest(folder)
    (folder / "tokenizer.json").write_text("other")
    assert saving.weights_digest(folder) == before
    saving.save(changed(), {}, folder, folder / "work")
    assert saving.weights_digest(folder) != before
