"""Looks at what is being written until it has ended; the same for any number of pages, of any tab."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from storyloom.app.events import Stage
from storyloom.ui.studio.languages import gettext, gettext_noop
from storyloom.ui.studio.writers import Writers
from storyloom.ui.studio.writing import Progress, Writing

# Five looks a second at what has come: faster than anybody reads, and little for the browser to draw, which
# takes from the model's cores. An end is seen sooner.
LOOK_SECONDS = 0.2
_END_SECONDS = 0.02
_DOING: Mapping[Stage, str] = {
    "loading": gettext_noop("Waking the model…"),
    "waiting": gettext_noop("Waiting: this strand is being written elsewhere…"),
    "outlining": gettext_noop("Finding a title and an outline…"),
    "planning": gettext_noop("Thinking of what could come next…"),
    "recalling": gettext_noop("Looking back through the story…"),
    "writing": gettext_noop("Writing paragraph {depth}…"),
    "remembering": gettext_noop("Noting what happened…"),
    "saving": gettext_noop("Saving…"),
}


@dataclass(frozen=True, slots=True)
class Look:
    """One look that shows something new.

    Attributes:
        writing_id: the writing that was looked at.
        seen: how far it was at the look before; None at the first.
        now: how far it is; None where it has only just taken over from another.
    """

    writing_id: str
    seen: Progress | None
    now: Progress | None

    @property
    def is_other_stage(self) -> bool:
        """Whether something else is being done."""
        seen, now = self.seen, self.now
        return now is not None and (seen is None or (now.stage, now.depth) != (seen.stage, seen.depth))

    @property
    def is_other_draft(self) -> bool:
        """Whether the words or the plan changed."""
        seen, now = self.seen, self.now
        return now is not None and (seen is None or (now.text, now.plan) != (seen.text, seen.plan))


async def looks(writers: Writers, writing_id: str) -> AsyncIterator[Look]:
    """Look again and again until nothing is written any more.

    When another page's paragraph comes next on the same strand, that is followed too.
    """
    writing = writers.get(writing_id)
    while writing is not None:
        seen: Progress | None = None
        while not writing.done:
            now = writing.progress
            if now != seen:
                yield Look(writing.id, seen, now)
                seen = now
            await _look_or_end(writing)
        writing = writers.of_strand(writing.progress.strand_id)
        if writing is not None:
            yield Look(writing.id, None, None)


async def ended(writing: Writing) -> None:
    """Wait for a writing's end; whoever is called away meanwhile leaves it as it is."""
    while not writing.done:
        await asyncio.sleep(_END_SECONDS)


async def _look_or_end(writing: Writing) -> None:
    """Wait until the next look, or until a writing has ended before."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await ended(writing)
    except TimeoutError:
        return


def doing(progress: Progress) -> str:
    """What is being done, in a few words."""
    return gettext(_DOING[progress.stage], depth=progress.depth)
