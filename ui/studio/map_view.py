"""What the Map tab shows, and the handlers that make it. Knows no component."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from storyloom.app.strands import Branch
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Strand
from storyloom.ui.studio import map_html
from storyloom.ui.studio.languages import count, gettext, gettext_noop
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Choices, Visible
from storyloom.ui.studio.write_html import notice, status
from storyloom.ui.studio.write_view import strand_choices, strand_title

PAIRS = 20  # paragraphs side by side at a time
_BUSY = gettext_noop(
    "A paragraph is being written on the open strand. Wait for its end, or press Stop in the Write tab."
)
_IS_OPEN = gettext_noop("That is the open strand, so it can't be archived. Open another one first.")
_SAME = gettext_noop("That is the open strand: choose another one to put beside it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes in the tab; ``strands`` is the Write tab's list of them."""

    place: Place | None = None
    tab: str | None = None
    tree: str | None = None
    strand: Choices | None = None
    strands: Choices | None = None
    name: str | None = None
    archive: Visible | None = None
    bring_back: Visible | None = None
    show_archived: Visible | None = None
    told: str | None = None
    comparison: str | None = None
    compared: tuple[str, int] | None = None
    more: Visible | None = None
    notice: str | None = None


def opened(house: House, place: Place, show_archived: bool | None) -> View:
    """The tree, with the open strand chosen; archived ones are in it where that is ticked."""
    return replace(
        _tree(house, place, place.strand_id, show_archived),
        told="",
        comparison="",
        compared=("", 0),
        more=Visible(False),
    )


def chosen(house: House, place: Place, strand_id: str) -> View:
    """What can be done with the strand that was chosen: its name, and whether it is archived."""
    # What is told stays: this answer may come after that of the button that was pressed next.
    return _about(house.studio.strands.tree(place.story_id), strand_id)


def picked(house: House, place: Place, mark: Mapping[str, str]) -> View:
    """Open the strand that was clicked, in the Write tab."""
    return go_to(house, place, mark["strand"])


def go_to(house: House, place: Place, strand_id: str) -> View:
    """Open a strand in the Write tab; not while a paragraph comes, which the page would lose sight of."""
    writing = house.writers.get(place.writing_id)
    if writing is not None and not writing.done:
        return View(notice=notice(gettext(_BUSY)))
    strand = house.studio.show(place.story_id, strand_id, last=1).strand
    return View(place=Place(place.story_id, strand.id), tab="write", notice="")


def rename(house: House, place: Place, strand_id: str, name: str, show_archived: bool | None) -> View:
    """Give the chosen strand a name."""
    strand = house.studio.strands.rename(place.story_id, strand_id, name)
    told = gettext("It is called “{name}” now.", name=strand_title(strand))
    return _changed(house, place, strand, show_archived, told)


def archive(house: House, place: Place, strand_id: str, show_archived: bool | None) -> View:
    """Put the chosen strand out of the way."""
    if strand_id == place.strand_id:
        raise InvalidText(gettext(_IS_OPEN))
    strand = house.studio.strands.archive(place.story_id, strand_id)
    told = gettext(
        "“{name}” is archived and keeps everything. Tick “Show archived” to see it.",
        name=strand_title(strand),
    )
    return _changed(house, place, strand, show_archived, told)


def bring_back(house: House, place: Place, strand_id: str, show_archived: bool | None) -> View:
    """Take the chosen strand out of the archive."""
    strand = house.studio.strands.bring_back(place.story_id, strand_id)
    told = gettext("“{name}” is back.", name=strand_title(strand))
    return _changed(house, place, strand, show_archived, told)


def compare(house: House, place: Place, strand_id: str) -> View:
    """Put the chosen strand beside the open one."""
    if strand_id == place.strand_id:
        raise InvalidText(gettext(_SAME))
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


def _changed(house: House, place: Place, strand: Strand, show_archived: bool | None, told: str) -> View:
    """The tree after a strand was changed, and the Write tab's list of strands."""
    return replace(
        _tree(house, place, strand.id, show_archived),
        strands=Choices(strand_choices(house.studio, place), place.strand_id),
        told=status(told),
    )


def _tree(house: House, place: Place, strand_id: str, show_archived: bool | None) -> View:
    branches = house.studio.strands.tree(place.story_id)
    archived = {one.strand.id for one in branches if one.strand.archived}
    hidden = set() if show_archived else archived - {place.strand_id}
    options = [(_option(one), one.strand.id) for one in branches if one.strand.id not in hidden]
    shown_id = place.strand_id if strand_id in hidden else strand_id
    return replace(
        _about(branches, shown_id),
        tree=map_html.tree(branches, place.strand_id, hidden),
        strand=Choices(options, shown_id),
        show_archived=Visible(bool(archived)),
        notice="",
    )


def _about(branches: Sequence[Branch], strand_id: str) -> View:
    """What is known of a strand, and which of the two can be done with it."""
    strand = next((one.strand for one in branches if one.strand.id == strand_id), None)
    archived = strand is not None and strand.archived
    name = "" if strand is None else strand.name
    return View(name=name, archive=Visible(not archived), bring_back=Visible(archived))


def _option(branch: Branch) -> str:
    return f"{strand_title(branch.strand)} · {count(branch.depth)} · {branch.strand.id[:4]}"
