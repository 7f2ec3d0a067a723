"""``lore`` and ``characters``: a story's world and people, listed, changed, imported, exported, tried out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from storyloom.app.offline import stay_offline
from storyloom.app.settings import load_settings
from storyloom.app.wiring import open_studio
from storyloom.memory.lore import CharacterSheet, LoreEntry, label
from storyloom.ui import given, lore_shapes, output

_SHOWN = 60  # characters of a text in a list


def fields(
    text: str | None, name: str, others: Mapping[str, Any], sets: Sequence[str] | None
) -> dict[str, Any]:
    """The fields that were given.

    Args:
        text: the longest of them, as it is, as @FILE, or - for stdin.
        name: that field's name.
        others: further ones by name; those that weren't given are None.
        sets: further ones as FIELD=VALUE.

    Raises:
        typer.BadParameter: one of ``sets`` has no equals sign.
        InvalidText: a text can't be read.
    """
    found = {field: value for field, value in others.items() if value is not None}
    if text is not None:
        found[name] = given.text(text, name)
    for pair in sets or ():
        field, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} must be FIELD=VALUE")
        found[field.strip()] = given.text(value, field.strip())
    return found


def list_entries(reference: str, *, as_json: bool) -> None:
    """List the entries."""
    with open_studio(load_settings()) as studio:
        entries = studio.lore.entries.list(given.spoken(reference, "story"))
    if as_json:
        output.emit({"entries": [lore_shapes.entry(one) for one in entries]})
        return
    for one in entries:
        output.say(f"{one.id}  {label(one)}{_manner(one)}\n    {_brief(one.content)}")
    if not entries:
        output.note(f"No lore yet. Add some with: storyloom lore {reference!r} add --key KEY --content TEXT")


def add_entry(reference: str, new: Mapping[str, Any], *, as_json: bool) -> None:
    """Add an entry."""
    with open_studio(load_settings()) as studio:
        _tell(studio.lore.entries.add(given.spoken(reference, "story"), new), "entry", as_json=as_json)


def edit_entry(reference: str, which: str, changed: Mapping[str, Any], *, as_json: bool) -> None:
    """Change an entry."""
    with open_studio(load_settings()) as studio:
        one = studio.lore.entries.edit(given.spoken(reference, "story"), given.spoken(which, "name"), changed)
    _tell(one, "entry", as_json=as_json)


def remove_entry(reference: str, which: str, *, as_json: bool) -> None:
    """Remove an entry."""
    with open_studio(load_settings()) as studio:
        one = studio.lore.entries.remove(given.spoken(reference, "story"), given.spoken(which, "name"))
    _removed(one, reference, as_json=as_json)


def bring_in(reference: str, file: Path, *, as_json: bool) -> None:
    """Bring in another program's lore and characters."""
    with open_studio(load_settings()) as studio:
        brought = studio.lore.bring_in(given.spoken(reference, "story"), file)
    if as_json:
        output.emit(
            {
                "entries": [lore_shapes.entry(one) for one in brought.entries],
                "characters": [lore_shapes.entry(one) for one in brought.characters],
                "refused": list(brought.refused),
            }
        )
        return
    output.say(f"{len(brought.entries)} lore entries and {len(brought.characters)} characters are here.")
    for told in brought.refused:
        output.note(told)


def write_out(reference: str, file: Path, *, form: str, picture: Path | None, as_json: bool) -> None:
    """Write lore and characters in another program's form."""
    with open_studio(load_settings()) as studio:
        lost = studio.lore.write_out(given.spoken(reference, "story"), file, form=form, picture=picture)
    if as_json:
        output.emit({"file": str(file), "left_out": list(lost)})
        return
    output.say(str(file))
    for told in lost:
        output.note(told)


def fire(reference: str, text: str, *, strand: str | None, as_json: bool) -> None:
    """Say which entries would fire at the next step, and why."""
    settings = load_settings()
    stay_offline(())
    with open_studio(settings) as studio:
        found = studio.lore.would_fire(given.spoken(reference, "story"), given.text(text, "text"), strand)
    if as_json:
        output.emit(lore_shapes.scan(found))
        return
    for fired in found.fired:
        output.say(f"{label(fired.entry)}: {fired.why}\n    {_brief(fired.text)}")
    for held in found.held:
        output.say(f"not {label(held.entry)}: {held.obstacle} ({held.why})")
    for problem in found.problems:
        output.note(f"{label(problem.entry)}: {problem.text}")
    if not (found.fired or found.held):
        output.note("Nothing would fire.")


def list_characters(reference: str, *, as_json: bool) -> None:
    """List the characters."""
    with open_studio(load_settings()) as studio:
        sheets = studio.lore.characters.list(given.spoken(reference, "story"))
    if as_json:
        output.emit({"characters": [lore_shapes.entry(one) for one in sheets]})
        return
    for one in sheets:
        output.say(f"{one.id}  {one.name}{'' if one.enabled else '  off'}\n    {_brief(one.description)}")
    if not sheets:
        output.note(f"No characters yet. Add one with: storyloom characters {reference!r} add NAME")


def add_character(reference: str, new: Mapping[str, Any], *, as_json: bool) -> None:
    """Add a character."""
    with open_studio(load_settings()) as studio:
        _tell(studio.lore.characters.add(given.spoken(reference, "story"), new), "character", as_json=as_json)


def edit_character(reference: str, which: str, changed: Mapping[str, Any], *, as_json: bool) -> None:
    """Change a character."""
    story = given.spoken(reference, "story")
    with open_studio(load_settings()) as studio:
        one = studio.lore.characters.edit(story, given.spoken(which, "name"), changed)
    _tell(one, "character", as_json=as_json)


def remove_character(reference: str, which: str, *, as_json: bool) -> None:
    """Remove a character."""
    with open_studio(load_settings()) as studio:
        one = studio.lore.characters.remove(given.spoken(reference, "story"), given.spoken(which, "name"))
    _removed(one, reference, as_json=as_json)


def _tell(one: LoreEntry | CharacterSheet, kind: str, *, as_json: bool) -> None:
    if as_json:
        output.emit({kind: lore_shapes.entry(one)})
    else:
        output.say(one.id)


def _removed(one: LoreEntry | CharacterSheet, reference: str, *, as_json: bool) -> None:
    if as_json:
        output.emit({"removed": one.id})
    else:
        output.say(f"Removed. It can be brought back with: storyloom undo {reference!r}")


def _manner(entry: LoreEntry) -> str:
    """How an entry fires, for a list."""
    ways = [word for word in ("constant", "semantic") if getattr(entry, word)]
    ways += [f"keys: {', '.join(entry.keys)}"] if entry.keys else []
    ways += [] if entry.enabled else ["off"]
    return f"  ({'; '.join(ways)})" if ways else ""


def _brief(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else plain[:_SHOWN] + "…"
