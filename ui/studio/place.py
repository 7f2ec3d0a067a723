"""Where a page is, and whom its handlers work for."""

from dataclasses import dataclass

from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidText
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.writers import Writers

WINDOW = 60


@dataclass(frozen=True, slots=True)
class House:
    """What a handler works with: one owner's studio, and the same owner's writings.

    Attributes:
        studio: whose stories.
        writers: the server's writers; of them only the owner's writings are found.
        has_users: whether others use the server too, and this owner is one who signed in.
    """

    studio: Studio
    writers: Writers
    has_users: bool = False

    def __post_init__(self) -> None:
        # Here rather than by whoever makes a house: nobody can forget it.
        object.__setattr__(self, "writers", self.writers.of_owner(self.studio.shelf.owner))


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
        picked: the paragraph that was picked, or is being written again; 0 for the last one.
    """

    story_id: str = ""
    strand_id: str = ""
    depth: int = 0
    window: int = WINDOW
    memory: str = ""
    writing_id: str = ""
    picked: int = 0


def refuse_while_writing(house: House, place: Place) -> None:
    """What would leave the place, or change what is read for the next paragraph, waits.

    Raises:
        InvalidText: the writing that the page watches is at work.
    """
    writing = house.writers.get(place.writing_id)
    if writing is not None and not writing.done:
        raise InvalidText(gettext("A paragraph is being written here. Wait for it, or stop it first."))
