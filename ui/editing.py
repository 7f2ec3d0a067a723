"""``edit``, ``revisions``, ``undo``, ``settings``, and what ``memory`` says of stale parts and rebuilds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer

from storyloom.app.events import Cancelled
from storyloom.app.lore_edits import CHARACTER, LORE
from storyloom.app.memory_page import REBUILT_MEMORY, SHORT_MEMORY
from storyloom.app.offline import stay_offline
from storyloom.app.sampling import SAMPLING
from storyloom.app.settings import Settings, load_settings
from storyloom.app.studio import Studio
from storyloom.app.wiring import open_studio
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.story import Revision, Stale
from storyloom.ui import given, output, shapes
from storyloom.ui.bars import Bars
from storyloom.ui.fetching import fetch_missing
from storyloom.ui.stopping import Stop

_PRESET = "preset"  # set like a setting, but it stands for several
_SHOWN = 100  # characters of a revision's old value
_CALLED = {
    SHORT_MEMORY: "short-term memory",
    REBUILT_MEMORY: "short-term memory, made again",
    LORE: "lore",
    CHARACTER: "character",
}


def edit(reference: str, depth: int, text: str, *, strand: str | None, as_json: bool) -> None:
    """Replace a paragraph and say what that makes stale."""
    reference = given.spoken(reference, "story")
    with open_studio(load_settings()) as studio:
        edited = studio.editing.paragraph(reference, depth, given.text(text, "paragraph"), strand)
        states = studio.neural_states(reference, strand) if as_json else {}
    if as_json:
        step = shapes.step(edited.step, states.get(depth))
        output.emit({"step": step, "stale": [shapes.stale(one) for one in edited.stale]})
        return
    if not edited.stale:
        output.note(f"Step {depth} says that already; nothing was changed.")
        return
    output.note(f"Step {depth} was replaced; `storyloom undo {reference!r}` brings the old text back.")
    output.note(
        f"{_counted(edited.stale)} made from the old text. Make it again with: "
        f"storyloom memory {reference!r} --rebuild"
    )


def revisions(reference: str, *, as_json: bool) -> None:
    """Every edit by hand, newest first."""
    with open_studio(load_settings()) as studio:
        found = studio.editing.revisions(given.spoken(reference, "story"))
    if as_json:
        output.emit({"revisions": [shapes.revision(one) for one in found]})
        return
    for one in found:
        place = f"  step {one.depth}" if one.depth else ""
        old = " ".join(one.old.split())
        output.say(f"{one.id}  {one.created_at:%Y-%m-%d %H:%M}  {_called(one)}{place}  was: {old[:_SHOWN]}")
    if not found:
        output.note("Nothing was edited by hand yet.")


def undo(reference: str, which: str, *, as_json: bool) -> None:
    """Bring back what an edit replaced."""
    with open_studio(load_settings()) as studio:
        undone = studio.editing.undo(given.spoken(reference, "story"), which)
    if as_json:
        output.emit({"undone": shapes.revision(undone)})
    else:
        place = f" of step {undone.depth}" if undone.depth else ""
        output.say(f"The {_called(undone)}{place} is what it was before the edit {undone.id}.")


def stale(reference: str, *, strand: str | None, as_json: bool) -> None:
    """What was made from texts that were edited since."""
    reference = given.spoken(reference, "story")
    with open_studio(load_settings()) as studio:
        marks = [shapes.stale(one) for one in studio.editing.stale(reference, strand)]
        marks += [shapes.stale_state(one) for one in studio.rebuilding.stale_states(reference, strand)]
    if as_json:
        output.emit({"stale": marks})
        return
    for mark in marks:
        output.say(f"step {mark['depth']:>5}  {mark['part']:<10} {mark['cause']}")
    if not marks:
        output.note("Nothing is stale.")


def rebuild(reference: str, *, strand: str | None, as_json: bool) -> None:
    """Make again what is stale, step by step; a stop keeps what was made."""
    settings = load_settings()
    reference = given.spoken(reference, "story")
    with Stop() as stop, open_studio(settings) as studio:
        _prepare(settings, studio, reference, strand)
        with Bars(stop) as bars:
            try:
                made = studio.rebuilding.rebuild(reference, bars, strand)
            except (Cancelled, KeyboardInterrupt) as error:
                output.note(str(error) if isinstance(error, Cancelled) else "Stopped.")
                raise typer.Exit(stop.exit_code) from error
    if as_json:
        output.emit(asdict(made))
        return
    states = f", {made.states} states of the model's own memory" if made.states else ""
    output.say(
        f"Made again: {made.notes} notes by the model, {made.pages} pages of memory, {made.vectors} "
        f"vectors{states}."
    )
    if made.kept:
        output.note(f"{made.kept} pages were written by hand and stand as they are.")


def settle(reference: str, *, strand: str | None, as_json: bool) -> None:
    """Let paragraphs stand that were written from what was edited since."""
    with open_studio(load_settings()) as studio:
        settled = studio.editing.settle(given.spoken(reference, "story"), strand)
    if as_json:
        output.emit({"settled": settled})
    else:
        output.say(f"{settled} paragraphs stand as they are.")


def settings(reference: str, changes: Sequence[str], *, as_json: bool) -> None:
    """Print or change a story's own settings; ``preset=NAME`` takes over a preset of the sampling."""
    reference = given.spoken(reference, "story")
    wanted = dict(_pair(change) for change in changes)
    with open_studio(load_settings()) as studio:
        if _PRESET in wanted:
            found = _choose(studio, reference, wanted)
        else:
            found = studio.settings.change(reference, wanted) if wanted else studio.settings.of(reference)
    if as_json:
        output.emit({"settings": found})
        return
    for name, value in found.items():
        if not wanted or name in wanted or (_PRESET in wanted and name.startswith(f"{SAMPLING}.")):
            output.say(f"{name} = {_told(value)}")


def _choose(studio: Studio, reference: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    """Take over a preset: its values, as far as the engine of the story's model knows them."""
    if len(wanted) > 1:
        raise InvalidSetting("A preset is chosen by itself. Set the others in a command of their own.")
    _fetch(load_settings(), studio, reference, keeper=False, writer=True)
    studio.sampling.choose(reference, wanted[_PRESET])
    return studio.settings.of(reference)


def _pair(change: str) -> tuple[str, str]:
    name, equals, value = change.partition("=")
    if not equals:
        raise InvalidSetting(f"{change[:40]!r} sets nothing. Write NAME=VALUE, such as recall.limit=5.")
    return name.strip(), given.text(value, name)


def _told(value: Any) -> str:
    """A value as a person sets it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _called(edit: Revision) -> str:
    """What was edited, in words."""
    return _CALLED.get(edit.subject, edit.subject.replace(":", " "))


def _prepare(settings: Settings, studio: Studio, reference: str, strand: str | None) -> None:
    """Fetch the models that make notes and neural states again, where there are some to be made."""
    keeper = studio.rebuilding.needs_keeper(reference, strand)
    states = bool(studio.rebuilding.stale_states(reference, strand))
    _fetch(settings, studio, reference, keeper=keeper, writer=states)


def _fetch(settings: Settings, studio: Studio, reference: str, *, keeper: bool, writer: bool) -> None:
    """Fetch the models of a story that are needed and missing."""
    own = studio.show(reference, last=0).story.settings.get("model")
    writes = settings.models.get("writer") or own or settings.model
    specs = [settings.models.get("memory_keeper") or writes] if keeper else []
    specs += [writes] if writer else []
    stay_offline(specs)
    fetch_missing(settings, specs)


def _counted(marks: Sequence[Stale]) -> str:
    pages = len(marks) - 1
    return f"Its note and {pages} later pages of memory were" if pages else "Its note was"
