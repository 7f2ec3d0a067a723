"""The Sampling panel of the Write tab and the presets in the settings, without a browser."""

import re
from dataclasses import replace

import pytest

from storyloom.memory.errors import InvalidSetting, InvalidText
from storyloom.memory.generation import Sampling
from storyloom.ui.studio import presets_view, sampling_html, sampling_view
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Labelled, Visible
from tests.unit.ui.studio.telling import began, went_on

HOSTILE = "<script>window.pwned = 1</script>"


def dials(house: House, place: Place, **changed: float) -> list[float]:
    """The dials as they stand, but for some."""
    shown = sampling_view.opened(house, place).dials
    assert shown is not None
    return [changed.get(dial.name, one.value) for dial, one in zip(sampling_view.DIALS, shown, strict=True)]


def last_sampling(house: House, place: Place) -> dict[str, object]:
    return dict(house.studio.show(place.story_id, place.strand_id, last=1).steps[0].sampling)


def test_the_panel_shows_the_models_own_values(house: House) -> None:
    shown = sampling_view.opened(house, began(house))
    assert shown.preset is not None
    assert shown.preset.chosen == "Balanced"
    assert [name for name, _ in shown.preset.options] == ["Steady", "Balanced", "Lively", "Wild"]
    assert "<dt>Temperature</dt><dd>0.75</dd>" in (shown.now or "")
    assert shown.dials is not None
    assert shown.dials[0] == Labelled(0.75, "Temperature", True)
    assert {dial.name for dial in sampling_view.DIALS} <= set(Sampling.__dataclass_fields__)
    for dial, one in zip(sampling_view.DIALS, shown.dials, strict=True):
        assert dial.least <= one.value <= dial.most


def test_a_preset_is_drawn_with_and_taken_back(house: House) -> None:
    place = began(house)
    chosen = sampling_view.choose(house, place, "Wild")
    assert "drawn by “Wild”" in (chosen.told or "")
    assert sampling_view.choose(house, place, "Wild") == sampling_view.View()  # its undo stays on the page
    assert "<dd><b>1.25</b></dd>" in (chosen.now or "")
    place = went_on(house, place)
    assert last_sampling(house, place)["temperature"] == 1.25
    revisions = re.findall(r'data-revisions="([^"]+)"', chosen.told or "")
    undone = sampling_view.undo(house, place, {"pick": "undo", "revisions": revisions[0]})
    assert undone.preset is not None
    assert undone.preset.chosen == "Balanced"
    assert last_sampling(house, went_on(house, place))["temperature"] == 0.75


def test_dials_make_values_of_the_storys_own(house: House) -> None:
    place = began(house)
    changed = sampling_view.change(house, place, *dials(house, place, temperature=0.6, top_k=40))
    assert changed.preset is not None
    assert changed.preset.chosen == ""
    assert changed.preset.options[-1] == ("This story’s own values", "")
    sampling = last_sampling(house, went_on(house, place))
    assert (sampling["temperature"], sampling["top_k"], sampling["min_p"]) == (0.6, 40, 0.1)
    assert "xtc_probability" not in sampling  # nobody asked for it
    assert (
        sampling_view.change(
            house,
            place,
            *dials(house, place),
        ).preset
        is not None
    )
    assert len(house.studio.editing.revisions(place.story_id)) == 1


def test_values_are_kept_as_a_preset(house: House) -> None:
    place = began(house)
    values = dials(house, place, temperature=0.6)
    assert "name first" in (sampling_view.keep(house, place, " ", *values).notice or "")
    same = sampling_view.keep(house, place, "Mist", *dials(house, place))
    assert "model’s own values" in (same.notice or "")
    assert house.studio.presets.own() == ()
    kept = sampling_view.keep(house, place, HOSTILE, *values)
    assert kept.preset is not None
    assert (kept.preset.chosen, kept.name) == (HOSTILE, "")
    assert "<script" not in (kept.told or "") + (kept.now or "")
    before = house.studio.show(place.story_id).story.settings
    with pytest.raises(InvalidText, match="Wild"):
        sampling_view.keep(house, place, "Wild", *dials(house, place, temperature=0.3))
    assert house.studio.show(place.story_id).story.settings == before
    left = sampling_view.choose(house, place, "")
    assert left.notice == ""
    assert left.told is None
    with pytest.raises(InvalidSetting):
        sampling_view.choose(house, place, "Fog")


def test_before_the_story_is_there_the_panel_says_so(house: House) -> None:
    assert sampling_view.opened(house, Place()).now == sampling_html.no_story()


def test_presets_are_listed_renamed_deleted_and_brought_back(house: House) -> None:
    house.studio.presets.save(HOSTILE, {"temperature": 0.6})
    listed = presets_view.opened(house, Place()).presets or ""
    assert "Temperature 1.25 · Min-p 0.1 · Top-p 0.95" in listed
    assert "the model’s own values" in listed
    assert (listed.count('data-pick="rename"'), listed.count('data-pick="delete"')) == (1, 1)
    assert "<script" not in listed
    form = presets_view.pick(house, Place(), {"pick": "rename", "name": HOSTILE})
    assert (form.form, form.renamed) == (Visible(True), HOSTILE)
    renamed = presets_view.rename(house, Place(), HOSTILE, "Mist")
    assert renamed.form == Visible(False)
    assert "<script" not in (renamed.told or "")
    deleted = presets_view.pick(house, Place(), {"pick": "delete", "name": "Mist"})
    assert 'data-pick="bring-back" data-name="Mist"' in (deleted.told or "")
    assert "Mist" not in (deleted.presets or "")
    back = presets_view.pick(house, Place(), {"pick": "bring-back", "name": "Mist"})
    assert "Mist" in (back.presets or "")
    with pytest.raises(InvalidSetting):
        presets_view.pick(house, Place(), {"pick": "delete", "name": "Wild"})
    assert presets_view.pick(house, Place(), {}) == presets_view.View()
    assert presets_view.leave(house, Place()).form == Visible(False)


def test_who_signed_in_sees_no_folder_of_the_machine(house: House) -> None:
    drawn = house.studio.sampling.of(began(house).story_id)
    told = replace(drawn, model="gguf:/srv/models/big.gguf")
    shown = sampling_view._shown(replace(house, has_users=True), told)
    assert "<code>gguf:big.gguf</code>" in (shown.now or "")
    assert "/srv/models/big.gguf" in (sampling_view._shown(house, told).now or "")
