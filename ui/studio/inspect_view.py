"""What the Inspect tab shows, and the handlers that make it. Knows no component."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from storyloom.app.events import Listener
from storyloom.memory.errors import StoryloomError
from storyloom.ui.studio import inspect_html
from storyloom.ui.studio.inspect_charts import charts
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Enabled
from storyloom.ui.studio.write_html import notice, status


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes in the tab."""

    depth: int | None = None
    back: Enabled | None = None
    ahead: Enabled | None = None
    paragraph: str | None = None
    prompt: str | None = None
    why: Enabled | None = None
    effects: str | None = None
    calls: str | None = None
    charts: str | None = None
    notice: str | None = None


def opened(house: House, place: Place) -> View:
    """The last paragraph, and the charts over the story."""
    history = house.studio.inspecting.history(place.story_id, place.strand_id)
    if not history.last:
        none = Enabled(False)
        return View(
            back=none,
            ahead=none,
            paragraph=inspect_html.none_yet(),
            prompt="",
            why=none,
            effects="",
            calls="",
            charts="",
            notice="",
        )
    return replace(shown(house, place, history.last), charts=charts(history))


def shown(house: House, place: Place, depth: float | None) -> View:
    """A paragraph; its number is put into the box."""
    view = typed(house, place, depth)
    return replace(view, depth=None if depth is None else int(depth))


def typed(house: House, place: Place, depth: float | None) -> View:
    """The paragraph whose number was typed; what stands in the box is left to the person."""
    if depth is None:
        return View()
    found = house.studio.inspecting.paragraph(place.story_id, int(depth), place.strand_id)
    return View(
        back=Enabled(found.step.depth > 1),
        ahead=Enabled(found.step.depth < found.last),
        paragraph=inspect_html.paragraph(found),
        prompt=inspect_html.prompt(found),
        why=Enabled(True),
        effects="",
        calls=inspect_html.calls(found),
        notice="",
    )


def back(house: House, place: Place, depth: float | None) -> View:
    """The paragraph before."""
    return shown(house, place, max(1, int(depth or 2) - 1))


def ahead(house: House, place: Place, depth: float | None) -> View:
    """The paragraph after, as far as there is one."""
    last = house.studio.progress(place.story_id, place.strand_id).paragraphs
    return shown(house, place, min(last, int(depth or 0) + 1))


def picked(house: House, place: Place, mark: Mapping[str, str]) -> View:
    """The paragraph that a link or a bar stands for."""
    return shown(house, place, int(mark["depth"]))


def scoring(_house: House, _place: Place) -> View:
    """Say that it takes a while."""
    told = gettext("Scoring the paragraph without each remembered thing: this can take minutes…")
    return View(effects=status(told), why=Enabled(False), notice="")


def why(house: House, place: Place, depth: float | None) -> View:
    """What each remembered item did to the paragraph; a model that can't tell is told of."""
    at = int(depth or place.depth)
    try:
        found = house.studio.influence.why(place.story_id, at, Listener(), place.strand_id)
    except StoryloomError as error:
        return View(effects="", why=Enabled(True), notice=notice(str(error)))
    return View(effects=inspect_html.effects(found), why=Enabled(True), notice="")
