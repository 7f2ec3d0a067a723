"""What the settings' tab shows of this machine. Knows no component."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from storyloom.app.doctor import examine
from storyloom.app.fitting import models_here
from storyloom.app.settings import Settings, load_settings
from storyloom.memory.errors import StoryloomError
from storyloom.ui.studio import machine_html, write_html
from storyloom.ui.studio.file_names import bare
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Enabled


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the tab."""

    models: str | None = None
    findings: str | None = None
    examine: Enabled | None = None
    notice: str | None = None


def opened(house: House, _place: Place) -> View:
    """The models that are here."""
    settings = load_settings()
    found = models_here(settings)
    if house.has_users:
        told = [
            replace(one, file=replace(one.file, spec=_bare(one.file.spec, settings))) for one in found.models
        ]
        found = replace(found, models=tuple(told), writer=_bare(found.writer, settings))
    return View(models=machine_html.models(found))


def examining(_house: House, _place: Place) -> View:
    """Everything is looked at: it takes a while."""
    return View(findings=write_html.status(gettext("Looking…")), examine=Enabled(False), notice="")


def examined(house: House, _place: Place) -> View:
    """What the doctor found."""
    try:
        settings = load_settings()
        found = examine(settings)
    except StoryloomError as error:
        told = bare(str(error)) if house.has_users else str(error)
        return View(
            findings=machine_html.unexamined(),
            examine=Enabled(True),
            notice=write_html.notice(told),
        )
    if house.has_users:
        found = [replace(one, text=_bare(one.text, settings)) for one in found]
    return View(findings=machine_html.findings(found), examine=Enabled(True))


def _bare(text: str, settings: Settings) -> str:
    """A text without this machine's folders: who signed in need not know them."""
    database = [Path(settings.place).parent] if settings.url.startswith("sqlite:") else []
    return bare(text, [settings.home, settings.models_dir, Path(sys.prefix), *database])
