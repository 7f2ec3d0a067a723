"""Paragraphs that were cut off before they were kept: mentioned, and shown when asked for."""

from storyloom.app.studio import Studio, Written
from storyloom.memory.story import Job
from storyloom.ui import output


def waiting_journals(studio: Studio, story_id: str, strand_id: str) -> list[Job]:
    """The journals of the step that comes next: later steps have made older ones history."""
    depths = [step.depth for step in studio.show(story_id, strand_id, last=1).steps]
    following = max(depths, default=0) + 1
    return [job for job in studio.interrupted(story_id, strand_id) if job.depth == following]


def mention_journals(studio: Studio, shown: Written) -> None:
    """Say on stderr that words were cut off, and where they can be read."""
    waiting = waiting_journals(studio, shown.story.id, shown.strand.id)
    if waiting:
        strand = f" --strand {shown.strand.id}" if shown.strand.parent_id else ""
        output.note(
            f"Step {waiting[0].depth} was cut off before it was kept; its words are not in the story. "
            f"Read them with: storyloom show {shown.story.id}{strand} --journal"
        )
