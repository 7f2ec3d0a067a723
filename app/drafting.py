"""The next paragraph by each of several plans: a strand a plan, beside the strand that they leave."""

from storyloom.app.events import Cancelled, Listener
from storyloom.app.given_text import LONGEST_PLAN, required
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.story import Strand

_NAME_LENGTH = 60


class DraftListener(Listener):
    """Hears of a draft what is heard of any paragraph, and first which strand it stands on."""

    def on_strand(self, strand: Strand) -> None:
        """The draft's strand was made; its paragraph comes next."""


def draft(
    studio: Studio, reference: str, plan: str, listener: DraftListener, *, at: int, strand: str | None = None
) -> None:
    """Write the paragraph after ``at`` by a plan, on a new strand that is named after it.

    Raises:
        InvalidText: the plan is empty or too long; no strand was made.
        StoryNotFound, StrandNotFound: the reference names nothing, or more than one.
        Cancelled: the listener asked to stop; what is committed stands.
    """
    plan = required(plan, "plan", LONGEST_PLAN)
    if listener.cancelled():
        raise Cancelled("Stopped before this draft was begun.")
    line = studio.branch(reference, at, strand, name=strand_name(plan))
    listener.on_strand(line)
    for _ in studio.write(reference, listener, wish=Wish(plan=plan), strand=line.id):
        pass


def strand_name(plan: str) -> str:
    """A strand's name: the plan's first words."""
    line = " ".join(plan.split())
    if len(line) <= _NAME_LENGTH:
        return line.rstrip(".")
    return line[: _NAME_LENGTH + 1].rsplit(" ", 1)[0][:_NAME_LENGTH].rstrip(",;:") + "…"
