"""What the panel of the picked paragraph shows, and its handlers. Knows no component.

Each handler gets the number in the panel's box, which is nothing while a person types another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from storyloom.app.versions import Alternative
from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import paragraph_html, rebuild_view, write_html
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place, refuse_while_writing
from storyloom.ui.studio.showing import Choices, Enabled, Labelled, Ticking, Unfolded, Visible


@dataclass(frozen=True, slots=True)
class Form:
    """What a person is doing with a paragraph's words.

    Attributes:
        task: which form is open.
        strand_id: the strand that it is about.
        depth: the paragraph that it is about.
        old: the words that it began with.
    """

    task: Literal["", "edit", "insert", "split"] = ""
    strand_id: str = ""
    depth: int = 0
    old: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page."""

    place: Place | None = None
    notice: str | None = None
    status: str | None = None
    panel: Unfolded | None = None
    depth: int | None = None
    version: str | None = None
    earlier_version: Enabled | None = None
    later_version: Enabled | None = None
    form: Form | None = None
    form_box: Visible | None = None
    form_note: str | None = None
    words: Labelled | None = None
    cuts_box: Visible | None = None
    cut: Choices | None = None
    save: str | None = None
    stale: str | None = None
    rebuild: Visible | None = None
    stop_rebuild: Visible | None = None
    clock: Ticking | None = None
    making: str | None = None
    provenance: str | None = None


_CLOSED = View(form=Form(), form_box=Visible(False))


def opened(house: House, place: Place) -> View:
    """The panel when a place is opened; a form that is open in it stays."""
    depth = place.picked if 1 <= place.picked <= place.depth else place.depth
    return replace(_about(house, place, depth), depth=max(1, depth), provenance="")


def nothing() -> View:
    """The panel of a story without text."""
    return replace(
        _CLOSED,
        depth=1,
        version="",
        stale="",
        rebuild=Visible(False),
        stop_rebuild=Visible(False),
        clock=Ticking(False),
        making="",
        provenance="",
    )


def pick(house: House, place: Place, picked: Mapping[str, str]) -> View:
    """Open the panel on the paragraph whose number was clicked."""
    depth = int(picked["depth"])
    found = look_into(house, place, depth)
    return replace(
        _about(house, place, depth),
        place=replace(place, picked=depth),
        panel=Unfolded(True),
        depth=depth,
        provenance=found.provenance,
        notice="",
    )


def number(house: House, place: Place, depth: int | None) -> View:
    """Another number was typed; the box itself is left alone."""
    picked = depth if depth and 1 <= depth <= place.depth else 0
    return replace(_about(house, place, depth or 0), place=replace(place, picked=picked))


def look_into(house: House, place: Place, depth: int | None) -> View:
    """The exact prompt of a paragraph, and all that is known about it."""
    record = house.studio.provenance(place.story_id, depth or 0, place.strand_id)
    return View(provenance=write_html.provenance(depth or 0, record), notice="")


def branch(house: House, place: Place, depth: int | None) -> View:
    """Open a new strand that keeps everything up to a paragraph."""
    strand = house.studio.branch(place.story_id, depth or 0, place.strand_id)
    told = gettext("A new strand, the same up to paragraph {depth}.", depth=depth)
    return _on(place, strand.id, 0, told)


def earlier_version(house: House, place: Place, depth: int | None) -> View:
    """Open the version of a paragraph before the one that is shown."""
    return _other_version(house, place, depth or 0, -1)


def later_version(house: House, place: Place, depth: int | None) -> View:
    """Open the version of a paragraph after the one that is shown."""
    return _other_version(house, place, depth or 0, 1)


def write_again(house: House, place: Place, depth: int | None) -> View:
    """Write another version of a paragraph by the same plan, on a strand of its own."""
    versions, at = house.studio.versions, depth or 0
    wish = versions.same_plan(place.story_id, at, place.strand_id)
    strand = versions.again(place.story_id, at, place.strand_id)
    writing = house.writers.go_on(house.studio, place.story_id, strand.id, wish, instead_of=place.strand_id)
    return View(place=replace(place, strand_id=strand.id, writing_id=writing.id, picked=at), notice="")


def edit(house: House, place: Place, depth: int | None, form: Form, words: str) -> View:
    """Open the form with a paragraph's words."""
    _refuse_to_lose(form, words)
    shown = _shown(house.studio.versions.alternatives(place.story_id, depth or 0, place.strand_id))
    step = shown.step
    return View(
        form=Form("edit", step.strand_id, step.depth, step.paragraph),
        form_box=Visible(True),
        form_note=paragraph_html.shared(step.depth, shown.sharing),
        words=Labelled(step.paragraph, gettext("Paragraph {depth}", depth=step.depth)),
        cuts_box=Visible(False),
        save=gettext("Save"),
        notice="",
    )


def insert(house: House, place: Place, depth: int | None, form: Form, words: str) -> View:
    """Open the form for a person's paragraph before another."""
    _refuse_to_lose(form, words)
    step = _shown(house.studio.versions.alternatives(place.story_id, depth or 0, place.strand_id)).step
    return View(
        form=Form("insert", place.strand_id, step.depth),
        form_box=Visible(True),
        form_note=paragraph_html.note(
            gettext("It will stand there on a new strand; this one stays as it is.")
        ),
        words=Labelled("", gettext("A new paragraph before {depth}", depth=step.depth)),
        cuts_box=Visible(False),
        save=gettext("Insert"),
        notice="",
    )


def split(house: House, place: Place, depth: int | None, form: Form, words: str) -> View:
    """Open the form that asks where a paragraph shall be split."""
    _refuse_to_lose(form, words)
    at = depth or 0
    cuts = house.studio.versions.cuts(place.story_id, at, place.strand_id)
    if not cuts:
        raise InvalidText(
            gettext("Paragraph {depth} is a single sentence, so there is no place to split it.", depth=at)
        )
    return View(
        form=Form("split", place.strand_id, at),
        form_box=Visible(True),
        form_note=paragraph_html.note(
            gettext("It will be two paragraphs on a new strand; this one stays as it is.")
        ),
        words=Labelled("", "", shown=False),
        cuts_box=Visible(True),
        cut=Choices([(paragraph_html.cut_label(cut.sentence), cut.at) for cut in cuts], cuts[0].at),
        save=gettext("Split"),
        notice="",
    )


def save(house: House, place: Place, form: Form, words: str, cut: int | None) -> View:
    """Do what the open form says; it stays open where that is refused."""
    studio, story = house.studio, place.story_id
    match form.task:
        case "edit":
            studio.editing.paragraph(story, form.depth, words, form.strand_id)
            saved = gettext("Paragraph {depth} is saved.", depth=form.depth)
            return replace(_CLOSED, notice="", status=write_html.status(saved))
        case "insert":
            strand = studio.versions.insert(story, form.depth, words, form.strand_id)
            told = gettext(
                "Your paragraph {depth} is there. The strand before it stays as it was.", depth=form.depth
            )
            done = _on(place, strand.id, form.depth, told)
        case "split":
            strand = studio.versions.split(story, form.depth, cut or 0, form.strand_id)
            told = gettext(
                "Paragraph {depth} is two now. The strand before it stays as it was.", depth=form.depth
            )
            done = _on(place, strand.id, form.depth, told)
        case _:
            return View()
    return replace(_CLOSED, place=done.place, status=done.status, notice="")


def cancel(house: House, place: Place) -> View:  # noqa: ARG001  (a handler like all others)
    """Close the form."""
    return replace(_CLOSED, notice="")


def remove(house: House, place: Place, depth: int | None) -> View:
    """Open a new strand without a paragraph."""
    strand = house.studio.versions.remove(place.story_id, depth or 0, place.strand_id)
    told = gettext(
        "A new strand without paragraph {depth}. The strand before it stays as it was.", depth=depth
    )
    return _on(place, strand.id, depth or 0, told)


def _about(house: House, place: Place, depth: int) -> View:
    """The versions of a paragraph, and what is stale on the strand."""
    studio = house.studio
    found: tuple[Alternative, ...] = ()
    if 1 <= depth <= place.depth:
        found = studio.versions.alternatives(place.story_id, depth, place.strand_id)
    at = found.index(_shown(found)) if found else 0
    memory = rebuild_view.opened(house, place)
    return View(
        version=paragraph_html.versions(at + 1, len(found)),
        earlier_version=Enabled(at > 0),
        later_version=Enabled(at + 1 < len(found)),
        stale=memory.stale,
        rebuild=memory.rebuild,
        stop_rebuild=memory.stop_rebuild,
        clock=memory.clock,
        making=memory.making,
    )


def _other_version(house: House, place: Place, depth: int, by: int) -> View:
    refuse_while_writing(house, place)
    found = house.studio.versions.alternatives(place.story_id, depth, place.strand_id)
    at = found.index(_shown(found)) + by
    if not 0 <= at < len(found):
        return View()
    told = gettext("Paragraph {depth}: version {number} of {of}.", depth=depth, number=at + 1, of=len(found))
    return _on(place, found[at].strand.id, depth, told)


def _on(place: Place, strand_id: str, picked: int, done: str) -> View:
    """Another strand at the same place."""
    there = replace(place, strand_id=strand_id, picked=picked)
    return View(place=there, status=write_html.status(done), notice="")


def _shown(found: tuple[Alternative, ...]) -> Alternative:
    return next(one for one in found if one.is_shown)


def _refuse_to_lose(form: Form, words: str) -> None:
    """No form takes the place of words that were typed into another and are nowhere else yet."""
    if form.task in {"edit", "insert"} and words.strip() != form.old.strip():
        raise InvalidText(
            gettext("There are words in the box that aren't saved. Save them, or press Cancel, first.")
        )
