"""What the steps of a new story do. Knows no component."""

from dataclasses import dataclass, replace

from storyloom.app.drafts import Sheet
from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.shelf import new_id
from storyloom.memory.errors import StoryloomError
from storyloom.memory.story import Mode, Story
from storyloom.ui.studio import new_story_html, write_html
from storyloom.ui.studio.languages import gettext
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.showing import Enabled, Visible

MOST_SHEETS = 6
_STEPS = 4
_PREMISE, _OUTLINE, _CHARACTERS, _FIRST = range(_STEPS)
# A text that can't be taken is refused at once; the step then stays as it is, the text in its box.
_REFUSED_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The draft of a page.

    Attributes:
        story_id: its story's; empty before an outline was asked for.
        former: the outlines that others took the place of, the last one last.
        characters: ids of the characters' sheets by their place; empty where none is kept.
        shown: how many sheets are on the page.
    """

    story_id: str = ""
    former: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()
    shown: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the tab, and the page's place once there is something to read."""

    draft: Draft | None = None
    trail: str | None = None
    steps: tuple[Visible, ...] | None = None
    title: str | None = None
    outline: str | None = None
    another: Enabled | None = None
    former: Visible | None = None
    to_outline: Enabled | None = None
    sheets: tuple[Visible, ...] | None = None
    more: Visible | None = None
    summary: str | None = None
    doing: str | None = None
    notice: str | None = None
    place: Place | None = None


def outlining(_house: House, _place: Place) -> View:
    """An outline was asked for: it takes a while."""
    doing = write_html.status(gettext("Finding a title and an outline…"))
    return View(doing=doing, another=Enabled(False), to_outline=Enabled(False), notice="")


def to_outline(
    house: House, _place: Place, draft: Draft, premise: str, mode: str, title: str, outline: str
) -> View:
    """From the premise to the outline: the story is kept from here on, and what it has of an outline."""
    draft = draft if draft.story_id else replace(draft, story_id=new_id())
    try:
        if title or outline:
            _keep_texts(house, draft, title, outline)
        story = house.studio.drafts.outlined(draft.story_id, premise, Mode(mode), Listener())
    except StoryloomError as error:
        return replace(_refused(error), draft=draft)
    return replace(_outlined(draft, story), trail=new_story_html.trail(_OUTLINE), steps=_shown(_OUTLINE))


def another(house: House, _place: Place, draft: Draft, title: str, outline: str) -> View:
    """Another outline; the one in the box can be taken back."""
    try:
        _keep_texts(house, draft, title, outline)
        story = house.studio.drafts.another_outline(draft.story_id, Listener())
    except StoryloomError as error:
        return _refused(error)
    return _outlined(replace(draft, former=(*draft.former, outline)), story)


def former(_house: House, _place: Place, draft: Draft, outline: str) -> View:
    """The outline before; the one in the box comes back when all others have been looked at."""
    *others, last = draft.former
    return View(draft=replace(draft, former=(outline, *others)), outline=last)


def to_characters(house: House, _place: Place, draft: Draft, title: str, outline: str) -> View:
    """From the outline to the characters."""
    _keep_texts(house, draft, title, outline)
    return _step(_CHARACTERS)


def more(_house: House, _place: Place, draft: Draft) -> View:
    """Room for one more character."""
    shown = draft.shown + 1
    sheets = tuple(Visible(number < shown) for number in range(MOST_SHEETS))
    return View(draft=replace(draft, shown=shown), sheets=sheets, more=Visible(shown < MOST_SHEETS))


def to_first(house: House, _place: Place, draft: Draft, *texts: str) -> View:
    """From the characters, all names and then all descriptions, to the first paragraph."""
    names, descriptions = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    ids = draft.characters or ("",) * len(names)
    given = zip(names, descriptions, ids, strict=True)
    sheets = [Sheet(name=name, description=about, id=id_) for name, about, id_ in given]
    kept = house.studio.drafts.keep_characters(draft.story_id, sheets)
    story = house.studio.show(draft.story_id, last=1).story
    people = house.studio.lore.characters.list(draft.story_id)
    return replace(
        _step(_FIRST),
        draft=replace(draft, characters=tuple(sheet.id for sheet in kept)),
        summary=new_story_html.summary(story, people),
    )


def begin(house: House, _place: Place, draft: Draft, plan: str) -> View:
    """Write the first paragraph; the page opens on the story."""
    found = house.studio.show(draft.story_id, last=1)
    story, strand = found.story, found.strand
    writing = house.writers.go_on(house.studio, story.id, strand.id, Wish(plan=plan.strip()))
    if writing.ended_within(_REFUSED_SECONDS) and writing.error:
        return View(notice=write_html.notice(writing.message))
    return View(place=Place(story.id, strand.id, writing_id=writing.id), notice="")


def back_to_premise(_house: House, _place: Place) -> View:
    """Back from the outline; what is typed stays in its boxes."""
    return _step(_PREMISE)


def back_to_outline(_house: House, _place: Place) -> View:
    """Back from the characters."""
    return _step(_OUTLINE)


def back_to_characters(_house: House, _place: Place) -> View:
    """Back from the first paragraph."""
    return _step(_CHARACTERS)


BACK = (back_to_premise, back_to_outline, back_to_characters)


def _keep_texts(house: House, draft: Draft, title: str, outline: str) -> None:
    house.studio.drafts.change(draft.story_id, {"title": title, "outline": outline})


def _outlined(draft: Draft, story: Story) -> View:
    return View(
        draft=draft,
        title=story.title,
        outline=story.outline,
        another=Enabled(True),
        to_outline=Enabled(True),
        former=Visible(bool(draft.former)),
        doing="",
        notice="",
    )


def _refused(error: StoryloomError) -> View:
    told = write_html.notice(str(error))
    return View(another=Enabled(True), to_outline=Enabled(True), doing="", notice=told)


def _step(step: int) -> View:
    return View(trail=new_story_html.trail(step), steps=_shown(step), notice="")


def _shown(step: int) -> tuple[Visible, ...]:
    return tuple(Visible(number == step) for number in range(_STEPS))
