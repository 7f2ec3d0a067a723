"""``list``, ``show`` and ``branches``: what is there."""

from storyloom.app.settings import load_settings
from storyloom.app.studio import Written
from storyloom.app.wiring import open_studio
from storyloom.memory.story import Provenance
from storyloom.ui import given, output, shapes, woven
from storyloom.ui.journals import mention_journals


def list_stories(*, as_json: bool) -> None:
    """Every story, the last touched first."""
    with open_studio(load_settings()) as studio:
        stories = studio.stories()
    if as_json:
        output.emit(shapes.summaries(stories))
        return
    for story in stories:
        output.say(f"{story.id}  {story.steps:>5} steps  {story.words:>7} words  {_line(story.title)}")
    if not stories:
        output.note('No story yet. Start one with: storyloom write "…"')


def show(reference: str, *, strand: str | None, as_json: bool) -> None:
    """A strand of a story from its first paragraph on."""
    with open_studio(load_settings()) as studio:
        shown = studio.show(given.spoken(reference, "story"), strand)
        mention_journals(studio, shown)
        states = studio.neural_states(shown.story.id, shown.strand.id) if as_json else {}
    if as_json:
        output.emit(shapes.written(shown.story, shown.strand.id, shown.steps, states))
    else:
        _print_story(shown)


def show_prompt(reference: str, depth: int, *, strand: str | None, as_json: bool) -> None:
    """What the writer was asked at a step, and what went into it."""
    with open_studio(load_settings()) as studio:
        found = studio.provenance(given.spoken(reference, "story"), depth, strand)
    if as_json:
        output.emit(shapes.provenance(found))
    else:
        _print_prompt(found)


def show_journals(reference: str, *, strand: str | None, as_json: bool) -> None:
    """The words of paragraphs that were cut off before they were kept."""
    with open_studio(load_settings()) as studio:
        jobs = studio.interrupted(given.spoken(reference, "story"), strand)
    if as_json:
        output.emit({"journals": [shapes.journal(job) for job in jobs]})
        return
    for job in jobs:
        output.say(f"Step {job.depth}, {job.created_at:%Y-%m-%d %H:%M} UTC\n\n{job.journal}\n")
    if not jobs:
        output.note("No paragraph was cut off.")


def branches(reference: str, *, as_json: bool) -> None:
    """Every strand of a story, oldest first."""
    with open_studio(load_settings()) as studio:
        strands = studio.branches(given.spoken(reference, "story"))
    if as_json:
        output.emit({"strands": [shapes.strand(line, steps) for line, steps in strands]})
        return
    for line, steps in strands:
        origin = f"from {line.parent_id} at {line.fork_depth}" if line.parent_id else "main"
        archived = "(archived)" if line.archived else ""
        output.say(f"{line.id}  {steps:>5} steps  {origin}  {_line(f'{line.name} {archived}')}".rstrip())


def _print_story(shown: Written) -> None:
    parts = (shown.story.title, shown.story.outline, *(step.paragraph for step in shown.steps))
    output.say("\n\n".join(part for part in parts if part))


def _print_prompt(found: Provenance) -> None:
    output.say(shapes.writers_prompt(found))
    output.say()
    for line in woven.lines(found):
        output.say(line)


def _line(text: str) -> str:
    """Text on one line."""
    return " ".join(text.split())
