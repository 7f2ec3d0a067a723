"""Short-term memory on the page: its sentences, the page as a text, what the keeper proposes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from storyloom.app.story_settings import APPROVE_MEMORY
from storyloom.ui.studio import edits, memory_html, write_html
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page; HTML where ``memory_html`` makes it, else a component's plain value."""

    notice: str | None = None
    notes: str | None = None
    told: str | None = None
    proposals: str | None = None
    asks: bool | None = None
    change: str | None = None
    gone: str | None = None
    text: str | None = None
    shown: str | None = None


def opened(house: House, place: Place, text: str = "", shown: str = "") -> View:
    """The page of memory as it stands; an edit of its text that isn't saved yet stays.

    Args:
        house: the owner's studio.
        place: where the page is.
        text: the text box as it stands.
        shown: what was put in it.
    """
    studio, story, strand = house.studio, place.story_id, place.strand_id
    blame = studio.remembering.blame(story, strand)
    steps = studio.show(story, strand, last=1).steps
    lines = "\n".join(note.text for note in blame.notes)
    unsaved = text != shown and text != lines
    told = gettext(
        "The text below has an edit of yours that isn't saved yet, and the page has changed since."
    )
    return View(
        notice="",
        notes=memory_html.notes(blame.notes),
        told=write_html.status(told) if unsaved and shown != lines else "",
        proposals=memory_html.proposals(studio.remembering.proposals(story, strand)),
        asks=studio.settings.of(story)[APPROVE_MEMORY],
        change=memory_html.change(steps[-1] if steps else None),
        gone=memory_html.gone(blame.gone),
        text=None if unsaved else lines,
        shown=None if unsaved else lines,
    )


def save(house: House, place: Place, text: str) -> View:
    """Replace the page by the person's text."""

    def change() -> str:
        house.studio.remembering.rewrite(place.story_id, text, place.strand_id)
        return gettext("Saved: the next paragraph will be written with it.")

    return _edited(house, place, change, "", "")


def pick(house: House, place: Place, picked: Mapping[str, str], text: str, shown: str) -> View:
    """Do what a button beside a sentence or a proposal says."""
    doing = _DOING.get(picked.get("pick", ""))
    if doing is None:
        return View()
    return _edited(house, place, lambda: doing(house, place, picked), text, shown)


def undo(house: House, place: Place, picked: Mapping[str, str], text: str, shown: str) -> View:
    """Take back the last edit."""
    told = edits.undo(house, place, picked)
    return replace(opened(house, place, text, shown), told=told)


def ask(house: House, place: Place, asks: bool) -> View:
    """Let the keeper ask before it changes the page, or not."""

    def change() -> str:
        house.studio.settings.change(place.story_id, {APPROVE_MEMORY: "true" if asks else ""})
        if asks:
            return gettext("From the next paragraph on the keeper proposes its changes here.")
        return gettext("The keeper changes the page by itself.")

    return View(told=edits.edit(house, place, change), notice="")


def _edited(house: House, place: Place, change: Callable[[], str], text: str, shown: str) -> View:
    told = edits.edit(house, place, change)
    after = opened(house, place, text, shown)
    return replace(after, told=told + (after.told or ""))


def _pin(house: House, place: Place, picked: Mapping[str, str]) -> str:
    pinned = picked["pinned"] != "true"
    house.studio.remembering.pin(place.story_id, picked["text"], place.strand_id, pinned=pinned)
    if pinned:
        return gettext("Pinned: the keeper can't drop it.")
    return gettext("Free: the keeper may drop it.")


def _remove(house: House, place: Place, picked: Mapping[str, str]) -> str:
    house.studio.remembering.remove(place.story_id, picked["text"], place.strand_id)
    return gettext("The sentence is taken out.")


def _approve(house: House, place: Place, picked: Mapping[str, str]) -> str:
    house.studio.remembering.decide(place.story_id, int(picked["depth"]), place.strand_id, approve=True)
    return gettext("Approved: the page has changed.")


def _turn_down(house: House, place: Place, picked: Mapping[str, str]) -> str:
    house.studio.remembering.decide(place.story_id, int(picked["depth"]), place.strand_id, approve=False)
    return gettext("Turned down: the page stays as it was.")


_DOING: dict[str, Any] = {"pin": _pin, "remove": _remove, "approve": _approve, "turn-down": _turn_down}
