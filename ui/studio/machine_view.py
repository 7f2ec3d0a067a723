"""What the settings' tab shows of this machine. Knows no component."""

from dataclasses import dataclass

from storyloom.app.doctor import examine
from storyloom.app.fitting import models_here
from storyloom.app.settings import load_settings
from storyloom.memory.errors import StoryloomError
from storyloom.ui.studio import machine_html, write_html
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Enabled


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the tab."""

    models: str | None = None
    findings: str | None = None
    examine: Enabled | None = None
    notice: str | None = None


def opened(_house: House, _place: Place) -> View:
    """The models that are here."""
    return View(models=machine_html.models(models_here(load_settings())))


def examining(_house: House, _place: Place) -> View:
    """Everything is looked at: it takes a while."""
    return View(findings=write_html.status("Looking…"), examine=Enabled(False), notice="")


def examined(_house: House, _place: Place) -> View:
    """What the doctor found."""
    try:
        found = machine_html.findings(examine(load_settings()))
    except StoryloomError as error:
        return View(
            findings=machine_html.unexamined(),
            examine=Enabled(True),
            notice=write_html.notice(str(error)),
        )
    return View(findings=found, examine=Enabled(True))
