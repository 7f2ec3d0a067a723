"""The templates' editor: what it shows, and the handlers that make it. Knows no component.

What stands in the box and isn't saved is kept by name while the page is open, so that another template can
be looked at in between; what another text takes the place of in the box can be put back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from storyloom.app.template_editing import Opened
from storyloom.memory.errors import InvalidSetting
from storyloom.ui.studio import templates_html
from storyloom.ui.studio.languages import gettext, second
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Choices, Enabled, Visible


@dataclass(frozen=True, slots=True)
class Box:
    """What a page holds of the editor.

    Attributes:
        name: the template that is open; empty for none.
        saved: the text that was put into the box as the one that is used.
        unsaved: texts that aren't saved yet, by template.
        before: the text that made way in the box last; empty for none.
        shown: what stood in the box when something was told last.
    """

    name: str = ""
    saved: str = ""
    unsaved: Mapping[str, str] | None = None
    before: str = ""
    shown: str = ""

    def kept(self, source: str) -> "Box":
        """The same, knowing what stands in the box just now."""
        if not self.name:
            return self
        unsaved = {name: text for name, text in (self.unsaved or {}).items() if name != self.name}
        if source != self.saved:
            unsaved[self.name] = source
        return replace(self, unsaved=unsaved)

    @property
    def names(self) -> frozenset[str]:
        """The templates whose texts aren't saved yet."""
        return frozenset(self.unsaved or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes in the editor."""

    section: Visible | None = None
    listing: str | None = None
    editor: Visible | None = None
    heading: str | None = None
    source: str | None = None
    back: Enabled | None = None
    put_away: Visible | None = None
    former: Choices | None = None
    told: str | None = None
    difference: str | None = None
    preview: str | None = None
    box: Box | None = None
    notice: str | None = None


def opened(house: House, _place: Place, box: Box, source: str) -> View:
    """The list, where the server is the person's own; what stands in the box stays."""
    if house.studio.templates.is_refused:
        return View(section=Visible(False))
    box = box.kept(source)
    return View(section=Visible(True), listing=_listing(house, box), box=box)


def pick(house: House, _place: Place, picked: Mapping[str, str], box: Box, source: str) -> View:
    """Open a template; an unsaved text of its own comes back into the box."""
    if picked.get("pick") != "open":
        return View()
    return _open(house, replace(box.kept(source), name=picked.get("name", ""), before=""))


def typed(house: House, _place: Place, box: Box, source: str) -> View:
    """The preview and the difference of what stands in the box; what was told of another text goes."""
    if not box.name:
        return View()
    opened = house.studio.templates.open(box.name)
    box = box.kept(source)
    told = None if source == box.shown else ""
    return replace(_rendered(house, opened, source), listing=_listing(house, box), box=box, told=told)


def save(house: House, _place: Place, box: Box, source: str) -> View:
    """Use what stands in the box, once it has proved that it can be used."""
    try:
        house.studio.templates.save(box.name, source)
    except InvalidSetting as error:
        told = templates_html.broken(f"{error} {gettext('Nothing is saved.')}")
        return View(told=told, box=replace(box, shown=source), notice="")
    view = _open(house, _without(box))
    return replace(view, told=templates_html.told(gettext("Saved: the next paragraph is asked for with it.")))


def back(house: House, _place: Place, box: Box, source: str) -> View:
    """Use ours again; the person's text is put away."""
    house.studio.templates.back_to_ours(box.name)
    told = gettext("Ours is used again. Your text is among the earlier ones.")
    return _replaced(house, box, source, None, told)


def bring_back(house: House, _place: Place, box: Box, source: str, when: str) -> View:
    """Put a text that was put away into the box; it isn't used before it is saved."""
    if not when:
        return View()
    former = house.studio.templates.former(box.name, datetime.fromisoformat(when))
    told = gettext("Your earlier text is in the box. Save it to use it.")
    return _replaced(house, box, source, former, told)


def put_back(house: House, _place: Place, picked: Mapping[str, str], box: Box, source: str) -> View:
    """Put the edit back that another text took the place of."""
    if picked.get("pick") != "put-back" or not box.before:
        return View()
    return _replaced(house, box, source, box.before, gettext("Your edit is in the box again."))


def _open(house: House, box: Box) -> View:
    """A template, with its unsaved text where there is one."""
    opened = house.studio.templates.open(box.name)
    source = (box.unsaved or {}).get(box.name, opened.source)
    box = replace(box, saved=opened.source, shown=source)
    dates = [(second(when), when.isoformat()) for when in opened.former]
    return replace(
        _rendered(house, opened, source),
        listing=_listing(house, box),
        editor=Visible(True),
        source=source,
        back=Enabled(opened.is_own),
        put_away=Visible(bool(dates)),
        former=Choices([(gettext("Choose one…"), ""), *dates], ""),
        told="",
        box=box,
    )


def _rendered(house: House, opened: Opened, source: str) -> View:
    """What depends on the text in the box alone."""
    try:
        preview = templates_html.preview(house.studio.templates.preview(opened.name, source))
    except InvalidSetting as error:
        preview = templates_html.broken(str(error))
    return View(
        heading=templates_html.heading(opened, is_unsaved=source != opened.source),
        difference=templates_html.difference(opened.ours, source),
        preview=preview,
        notice="",
    )


def _replaced(house: House, box: Box, source: str, text: str | None, told: str) -> View:
    """Another text in the box: the one that is used, or one that isn't saved; an edit can be put back."""
    edit = source if source not in (box.saved, text) else ""
    box = replace(_without(box), before=edit)
    if text is not None:
        box = replace(box, unsaved={**(box.unsaved or {}), box.name: text})
    view = _open(house, box)
    return replace(view, told=templates_html.told(told, can_put_back=bool(edit)))


def _without(box: Box) -> Box:
    unsaved = {name: text for name, text in (box.unsaved or {}).items() if name != box.name}
    return replace(box, unsaved=unsaved, before="")


def _listing(house: House, box: Box) -> str:
    return templates_html.listing(house.studio.templates.all(), box.name, box.names)
