"""Where a page is, and whom its handlers work for."""

from dataclasses import dataclass

from storyloom.app.studio import Studio
from storyloom.ui.studio.writers import Writers

WINDOW = 60


@dataclass(frozen=True, slots=True)
class House:
    """What a handler works with: one owner's studio, and the server's writers."""

    studio: Studio
    writers: Writers


@dataclass(frozen=True, slots=True)
class Place:
    """Where one page is.

    Attributes:
        story_id: the open story; empty before one is opened.
        strand_id: the open strand.
        depth: the last paragraph that the page shows.
        window: how many of the last paragraphs it shows.
        memory: the short-term memory as it was put on the page.
        writing_id: the writing that the page watches.
    """

    story_id: str = ""
    strand_id: str = ""
    depth: int = 0
    window: int = WINDOW
    memory: str = ""
    writing_id: str = ""
