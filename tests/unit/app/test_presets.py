"""Presets of sampling: ours, and a person's own, none of which is ever lost."""

import json
from pathlib import Path

import pytest

from storyloom.app.presets import OURS, Preset, Presets, preset_of, usable
from storyloom.app.sampling import checked_sampling
from storyloom.memory.errors import InvalidSetting, InvalidText


@pytest.fixture
def presets(tmp_path: Path) -> Presets:
    return Presets(tmp_path / "presets", "mara/../../etc")


def test_ours_can_be_used_and_say_why() -> None:
    for preset in OURS:
        assert checked_sampling(preset.values) == preset.values
        assert preset.why.endswith(".")
        assert preset.is_ours
    assert [preset.name for preset in OURS if not preset.values] == ["Balanced"]


def test_an_own_preset_is_saved_renamed_deleted_and_brought_back(presets: Presets, tmp_path: Path) -> None:
    assert presets.all() == OURS
    first = presets.save("  Fog  at\n dawn ", {"temperature": 0.6, "top_k": 40})
    assert first == Preset("Fog at dawn", {"temperature": 0.6, "top_k": 40})
    assert presets.all() == (*OURS, first)
    assert not first.is_ours
    assert presets.rename("fog AT dawn", "Mist").values == first.values
    assert [preset.name for preset in presets.own()] == ["Mist"]
    presets.delete("mist")
    assert presets.own() == ()
    assert presets.bring_back("Mist") == Preset("Mist", first.values)
    assert Presets(tmp_path / "presets", "mara/../../etc").own() == presets.own()
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "presets"]


def test_what_a_preset_was_before_can_be_brought_back_again_and_again(presets: Presets) -> None:
    presets.save("Mist", {"temperature": 0.6})
    presets.save("MIST", {"temperature": 0.9})
    assert presets.named("mist") == Preset("Mist", {"temperature": 0.9})
    assert presets.bring_back("Mist").values == {"temperature": 0.6}
    assert presets.bring_back("Mist").values == {"temperature": 0.9}
    with pytest.raises(InvalidSetting, match="Fog"):
        presets.bring_back("Fog")


def test_owners_do_not_see_each_other(presets: Presets, tmp_path: Path) -> None:
    presets.save("Mist", {"temperature": 0.6})
    other = Presets(tmp_path / "presets", "tom")
    assert other.own() == ()
    with pytest.raises(InvalidSetting, match="no preset 'Mist'"):
        other.delete("Mist")
    with pytest.raises(InvalidSetting, match="Steady, Balanced"):
        other.named("Mist")


@pytest.mark.parametrize("name", ["", " \n", "x" * 61, "Wild", " wILD"])
def test_a_name_that_cannot_be_is_refused(presets: Presets, name: str) -> None:
    presets.save("Mist", {"temperature": 0.6})
    with pytest.raises(InvalidText):
        presets.save(name, {"temperature": 1})
    with pytest.raises(InvalidText):
        presets.rename("Mist", name)
    assert presets.own() == (Preset("Mist", {"temperature": 0.6}),)


def test_another_presets_name_is_refused_and_its_own_is_not(presets: Presets) -> None:
    presets.save("Mist", {"temperature": 0.6})
    presets.save("Fog", {"temperature": 0.7})
    with pytest.raises(InvalidText, match="'fog' already"):
        presets.rename("Mist", "fog")
    assert presets.rename("Mist", "MIST").name == "MIST"


@pytest.mark.parametrize("values", [{"heat": 1}, {"temperature": -1}, {"top_p": 2}, {"min_p": "much"}])
def test_values_that_cannot_be_used_are_refused(presets: Presets, values: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(values))):
        presets.save("Mist", values)
    assert presets.own() == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        json.dumps({"presets": {"a": {"heat": 1}}, "former": []}).encode(),
        json.dumps({"presets": {}, "former": [3]}).encode(),
    ],
)
def test_a_damaged_file_is_named_and_left_alone(presets: Presets, tmp_path: Path, content: bytes) -> None:
    presets.save("Mist", {"temperature": 0.6})
    (file,) = (tmp_path / "presets").iterdir()
    file.write_bytes(content)
    with pytest.raises(InvalidSetting, match=file.name):
        presets.save("Fog", {"temperature": 1})
    assert file.read_bytes() == content


def test_a_preset_is_known_by_what_a_model_can_be_asked() -> None:
    wild = next(preset for preset in OURS if preset.name == "Wild")
    few = frozenset({"temperature", "top_p"})
    assert usable(wild.values, few) == {"temperature": 1.25, "top_p": 0.95}
    assert preset_of(usable(wild.values, few), OURS, few) == "Wild"
    assert preset_of(usable(wild.values, few), OURS, frozenset(wild.values)) == ""
    assert preset_of({}, OURS, few) == "Balanced"
