"""The presets of sampling in the settings: listed, renamed, deleted, brought back. Knows no component."""

from collections.abc import Mapping
from dataclasses import dataclass

from storyloom.ui.studio import sampling_html
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Labelled, Visible


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the tab."""

    presets: str | None = None
    told: str | None = None
    form: Visible | None = None
    new_name: Labelled | None = None
    renamed: str | None = None
    notice: str | None = None


def opened(house: House, _place: Place) -> View:
    """Every preset there is."""
    return _listed(house)


def pick(house: House, _place: Place, picked: Mapping[str, str]) -> View:
    """Do what a button beside a preset, or beside what was told of one, says."""
    name = picked.get("name", "")
    presets = house.studio.presets
    match picked.get("pick"):
        case "rename":
            label = gettext("Another name for “{name}”", name=name)
            return View(form=Visible(True), new_name=Labelled(name, label), renamed=name, told="", notice="")
        case "delete":
            presets.delete(name)
            told = gettext("“{name}” is deleted. Stories that were drawn by it keep its values.", name=name)
            return _listed(house, told, undo=name)
        case "bring-back":
            presets.bring_back(name)
            return _listed(house, gettext("“{name}” is back.", name=name))
    return View()


def rename(house: House, _place: Place, old: str, new: str) -> View:
    """Give a preset the name that was written."""
    preset = house.studio.presets.rename(old, new)
    return _listed(house, gettext("“{old}” is “{new}” now.", old=old, new=preset.name))


def leave(_house: House, _place: Place) -> View:
    """Leave the name as it is."""
    return View(form=Visible(False), notice="")


def _listed(house: House, told: str = "", *, undo: str = "") -> View:
    return View(
        presets=sampling_html.presets(house.studio.presets.all()),
        told=sampling_html.told(told, undo) if told else "",
        form=Visible(False),
        notice="",
    )
