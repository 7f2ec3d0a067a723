"""What the Map tab shows, and the handlers that make it. Knows no component."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from storyloom.app.strands import Branch
from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import map_html
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Choices, Visible
from storyloom.ui.studio.write_html import notice, status
from storyloom.ui.studio.write_view import strand_title

PAIRS = 20  # paragraphs side by side at a time
_BUSY = "A paragraph is being written on the open strand. Wait for its end, or press Stop in the Write tab."
_SAME = "That is the open strand: choose another one to put beside it."


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes in the tab."""

    place: Place | None = None
    tab: str | None = None
    tree: str | None = None
    strand: Choices | None = None
    name: str | None = None
    told: str | None = None
    comparison: str | None = None
    compared: tuple[str, int] | None = None
    more: Visible | None = None
    notice: str | None = None


def opened(house: House, place: Place) -> View:
    """The tree, with the open strand chosen."""
    return replace(
        _tree(house, place, place.strand_id),
        told="",
        comparison="",
        compared=("", 0),
        more=Visible(False),
    )


def chosen(house: House, place: Place, strand_id: str) -> View:
    """The name of the strand that was chosen, to be read or changed."""
    branches = house.studio.strands.tree(place.story_id)
    return View(name=_name(branches, strand_id), told="", notice="")


def picked(house: House, place: Place, mark: Mapping[str, str]) -> View:
    """Open the strand that was clicked, in the Write tab."""
    return go_to(house, place, mark["strand"])


def go_to(house: House, place: Place, strand_id: str) -> View:
    """Open a strand in the Write tab; not while a paragraph comes, which the page would lose sight of."""
    writing = house.writers.get(place.writing_id)
    if writing is not None and not writing.done:
        return View(notice=notice(_BUSY))
    strand = house.studio.show(place.story_id, strand_id, last=1).strand
    return View(place=Place(place.story_id, strand.id), tab="write", notice="")


def rename(house: House, place: Place, strand_id: str, name: str) -> View:
    """Give the chosen strand a name."""
    strand = house.studio.strands.rename(place.story_id, strand_id, name)
    view = _tree(house, place, strand.id)
    return replace(view, told=status(f"It is called “{strand_title(strand)}” now."))


def compare(house: House, place: Place, strand_id: str) -> View:
    """Put the chosen strand beside the open one."""
    if strand_id == place.strand_id:
        raise InvalidText(_SAME)
    return _side_by_side(house, place, strand_id, PAIRS)


def more(house: House, place: Place, compared: Sequence[str | int]) -> View:
    """The next paragraphs side by side."""
    strand_id, most = compared
    return _side_by_side(house, place, str(strand_id), int(most) + PAIRS)


def _side_by_side(house: House, place: Place, strand_id: str, most: int) -> View:
    found = house.studio.strands.compare(place.story_id, place.strand_id, strand_id, most=most)
    return View(
        comparison=map_html.comparison(found),
        compared=(strand_id, most),
        more=Visible(found.shared + len(found.pairs) < found.longest),
        told="",
        notice="",
    )


def _tree(house: House, place: Place, strand_id: str) -> View:
    branches = house.studio.strands.tree(place.story_id)
    options = [(_option(branch), branch.strand.id) for branch in branches]
    return View(
        tree=map_html.tree(branches, place.strand_id),
        strand=Choices(options, strand_id),
        name=_name(branches, strand_id),
        notice="",
    )


def _option(branch: Branch) -> str:
    return f"{strand_title(branch.strand)} · {branch.depth:,} · {branch.strand.id[:4]}"


def _name(branches: Sequence[Branch], strand_id: str) -> str:
    return next((one.strand.name for one in branches if one.strand.id == strand_id), "")
