"""``branch``, ``branches --archive``, ``delete``, ``export`` and ``import``: stories as things to keep."""

from pathlib import Path

import typer

from storyloom.app.events import Cancelled
from storyloom.app.offline import stay_offline
from storyloom.app.settings import load_settings
from storyloom.app.studio import Studio
from storyloom.app.wiring import open_studio
from storyloom.memory.story import Strand
from storyloom.ui import given, output, shapes
from storyloom.ui.bars import Bars
from storyloom.ui.stopping import Stop


def branch(reference: str, at: int, *, strand: str | None, name: str, as_json: bool) -> None:
    """A new strand that keeps the steps up to ``at``."""
    reference = given.spoken(reference, "story")
    with open_studio(load_settings()) as studio:
        new = studio.branch(reference, at, strand, given.spoken(name, "name"))
    if as_json:
        output.emit({"strand": shapes.strand(new, at)})
        return
    output.say(new.id)
    output.note(f"Go on with: storyloom continue {reference!r} --strand {new.id}")


def archive(reference: str, strand: str, *, as_json: bool) -> None:
    """Put a strand out of the way."""
    reference = given.spoken(reference, "story")
    with open_studio(load_settings()) as studio:
        _told(studio, reference, studio.strands.archive(reference, strand), as_json=as_json)


def restore(reference: str, strand: str, *, as_json: bool) -> None:
    """Take a strand out of the archive."""
    reference = given.spoken(reference, "story")
    with open_studio(load_settings()) as studio:
        _told(studio, reference, studio.strands.bring_back(reference, strand), as_json=as_json)


def delete(reference: str, *, as_json: bool) -> None:
    """Delete a story; a copy goes to the trash."""
    with open_studio(load_settings()) as studio:
        story, _ = studio.shelf.find(given.spoken(reference, "story"))
        kept = studio.delete(story.id)
    if as_json:
        output.emit({"deleted": story.id, "kept": str(kept)})
        return
    output.say(f"Deleted. It can be brought back with: storyloom import {str(kept)!r}")


def export(reference: str, file: Path, *, strand: str | None, as_json: bool) -> None:
    """Write a story to a file."""
    with open_studio(load_settings()) as studio:
        written = studio.export(given.spoken(reference, "story"), file, strand)
    if as_json:
        output.emit({"file": str(written)})
    else:
        output.say(str(written))


def import_file(file: Path, *, as_json: bool) -> None:
    """Bring a story or a manuscript in from a file; stopping leaves what is there searchable by words."""
    stay_offline(())
    with Stop() as stop, open_studio(load_settings()) as studio, Bars(stop) as bars:
        try:
            story = studio.import_file(file, bars)
        except (Cancelled, KeyboardInterrupt) as error:
            output.note(str(error) if isinstance(error, Cancelled) else "Stopped.")
            if bars.story is not None:
                output.note(f"The whole text is here as {bars.story.id}; its first search or step goes on.")
            raise typer.Exit(stop.exit_code) from error
    if as_json:
        output.emit({"story": shapes.story(story)})
        return
    output.say(story.id)
    output.note(f"{story.title} is here. Read it with: storyloom show {story.id}")


def _told(studio: Studio, reference: str, line: Strand, *, as_json: bool) -> None:
    if as_json:
        output.emit({"strand": shapes.strand(line, studio.progress(reference, line.id).paragraphs)})
        return
    output.say(line.id)
    if line.archived:
        output.note(f"Archived. Bring it back with: storyloom branches {reference!r} --restore {line.id}")
