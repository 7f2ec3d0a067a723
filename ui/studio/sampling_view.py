"""How a story's next paragraph is drawn, shown and changed on the Write tab. Knows no component."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from storyloom.app.presets import Preset
from storyloom.app.story_sampling import UNASKED, Drawn
from storyloom.ui.studio import edits, sampling_html
from storyloom.ui.studio.file_names import bare
from storyloom.ui.studio.languages import gettext, gettext_noop
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Choices, Labelled
from storyloom.ui.studio.write_html import notice

_OWN_VALUES = gettext_noop("This story’s own values")


@dataclass(frozen=True, slots=True)
class Dial:
    """A value that can be set: the field of ``Sampling``, its bounds and steps, and what it does."""

    name: str
    least: float
    most: float
    step: float
    hint: str

    @property
    def title(self) -> str:
        """What a person calls it."""
        return sampling_html.title(self.name)


MAIN = (
    Dial("temperature", 0, 2, 0.01, "How bold the draw is. 0 always takes the likeliest word."),
    Dial("min_p", 0, 0.5, 0.01, "Drops words that are less likely than this share of the likeliest."),
    Dial("repetition_penalty", 1, 1.5, 0.01, "Holds back words that were written lately. 1 is off."),
)
MORE = (
    Dial("repetition_window", 0, 2048, 16, "How many tokens back the penalty looks. 0: as the engine does."),
    Dial("top_p", 0.05, 1, 0.01, "Keeps only the likeliest words of this share. 1 is off."),
    Dial("top_k", 0, 200, 1, "Keeps only so many of the likeliest words. 0 is off."),
    Dial("typical_p", 0.05, 1, 0.01, "Keeps only the most typical words of this share. 1 is off."),
    Dial("dry_multiplier", 0, 2, 0.05, "Holds back phrases that were written already. 0 is off."),
    Dial("xtc_probability", 0, 1, 0.05, "How often the likeliest words are left out. 0 is off."),
    Dial("xtc_threshold", 0, 0.5, 0.01, "How likely a word must be for XTC to leave it out."),
)
DIALS = (*MAIN, *MORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the panel."""

    preset: Choices | None = None
    now: str | None = None
    dials: tuple[Labelled, ...] | None = None
    name: str | None = None
    told: str | None = None
    notice: str | None = None


def opened(house: House, place: Place) -> View:
    """How the next paragraph is drawn; the model that writes it is loaded to tell."""
    if not place.story_id:
        return View(now=sampling_html.no_story(), told="")
    return replace(_shown(house, house.studio.sampling.of(place.story_id)), told="", notice="")


def choose(house: House, place: Place, name: str) -> View:
    """Draw by a preset."""
    if not name:  # a list that was left without choosing: what was told stays, with its undo
        return replace(opened(house, place), told=None)
    if house.studio.sampling.of(place.story_id).preset == name:  # what was told of its choice stays
        return View()

    def change() -> str:
        preset, drawn = house.studio.sampling.choose(place.story_id, name)
        return _done(preset, drawn)

    return _changed(house, place, change)


def change(house: House, place: Place, *values: float | None) -> View:
    """Draw by the values of the dials."""

    def change() -> str:
        house.studio.sampling.change(place.story_id, _asked(house, place, values))
        return gettext("The next paragraph is drawn with these values.")

    return _changed(house, place, change)


def keep(house: House, place: Place, name: str, *values: float | None) -> View:
    """Draw by the values of the dials, and keep what is the story's own of them as a preset."""
    if not name.strip():
        return View(notice=notice(gettext("Give the preset a name first.")))
    asked = _asked(house, place, values)
    own = house.studio.sampling.own_of(place.story_id, asked)
    if not own:
        return View(notice=notice(gettext("These are the model’s own values. Move a slider first.")))

    def change() -> str:
        preset = house.studio.presets.save(name, own)
        house.studio.sampling.change(place.story_id, asked)
        return gettext("“{name}” is kept, and the next paragraph is drawn with it.", name=preset.name)

    return replace(_changed(house, place, change), name="")


def undo(house: House, place: Place, picked: Mapping[str, str]) -> View:
    """Take the last change back."""
    told = edits.undo(house, place, picked)
    return replace(opened(house, place), told=told)


def _changed(house: House, place: Place, change: Any) -> View:
    told = edits.edit(house, place, change)
    return replace(opened(house, place), told=told)


def _asked(house: House, place: Place, values: tuple[float | None, ...]) -> dict[str, Any]:
    """The dials' values, those that the model's engine doesn't know left out."""
    can = house.studio.sampling.of(place.story_id).can
    return {
        dial.name: value
        for dial, value in zip(DIALS, values, strict=True)
        if value is not None and dial.name in can
    }


def _shown(house: House, drawn: Drawn) -> View:
    presets = house.studio.presets.all()
    if house.has_users:
        drawn = replace(drawn, model=bare(drawn.model))
    options = [(sampling_html.called(preset), preset.name) for preset in presets]
    why = next((preset.why for preset in presets if preset.name == drawn.preset), "")
    if drawn.preset and not why:
        why = gettext_noop("A preset of your own.")
    return View(
        preset=Choices(options if drawn.preset else [*options, (gettext(_OWN_VALUES), "")], drawn.preset),
        now=sampling_html.drawn(drawn, why),
        dials=tuple(
            Labelled(drawn.values.get(dial.name, UNASKED[dial.name]), dial.title, dial.name in drawn.can)
            for dial in DIALS
        ),
    )


def _done(preset: Preset, drawn: Drawn) -> str:
    missing = [sampling_html.title(name) for name in preset.values if name not in drawn.can]
    if missing:
        return gettext(
            "The next paragraph is drawn by “{name}”, as far as this model’s engine goes: "
            "it has no {things}.",
            name=sampling_html.called(preset),
            things=", ".join(missing),
        )
    return gettext("The next paragraph is drawn by “{name}”.", name=sampling_html.called(preset))
