"""What the page shows, as plain values, and the handlers that make it. Knows no component.

Every handler takes the house it works for and the place it was called from, and returns a ``View``:
the values that change. What a handler leaves ``None`` stays as it is on the page.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from storyloom.app.beginning import Beginning
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio, Written
from storyloom.memory.errors import StoryNotFound, StrandNotFound
from storyloom.memory.story import Job, Mode, Strand
from storyloom.ui.studio import drafts_view, edits_view, following, gauge_html, paragraph_view, write_html
from storyloom.ui.studio.languages import gettext, ngettext
from storyloom.ui.studio.place import WINDOW, House, Place
from storyloom.ui.studio.showing import Visible
from storyloom.ui.studio.writing import Progress, Writing

# A text that can't be taken is refused at once: the page then stays as it is, the text in its box.
_REFUSED_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page; HTML where ``write_html`` makes it, else a component's plain value."""

    place: Place | None = None
    address: str | None = None
    attached: str | None = None
    is_open: bool | None = None
    tab: str | None = None
    busy: bool | None = None
    masthead: str | None = None
    text: str | None = None
    has_earlier: bool | None = None
    draft: str | None = None
    status: str | None = None
    gauge: str | None = None
    notice: str | None = None
    cut_off: str | None = None
    plans: tuple[str, ...] | None = None
    drafts: drafts_view.View | None = None
    own_plan: str | None = None
    memory: str | None = None
    memory_note: str | None = None
    memory_change: str | None = None
    strands: tuple[tuple[str, str], ...] | None = None
    paragraph: paragraph_view.View | None = None
    edits: edits_view.View | None = None
    about: str | None = None


def arrive(house: House, query: Mapping[str, str]) -> View:
    """The page that an address asks for: a story, or the list of them."""
    if not query.get("story"):
        return library()
    try:
        view = _attached(opened(house, Place(query["story"], query.get("strand", ""))))
        return replace(view, tab=_tab(house.studio.show(query["story"], last=1).story.mode))
    except (StoryNotFound, StrandNotFound) as error:
        return replace(library(), notice=write_html.notice(str(error)))


def library() -> View:
    """The page without any story open."""
    return View(
        place=Place(),
        address="",
        is_open=False,
        busy=False,
        masthead=write_html.masthead(),
        draft="",
        status="",
        gauge="",
        notice="",
    )


def opened(house: House, place: Place) -> View:
    """A story as it stands in the database, with whatever is being written in it."""
    studio = house.studio
    written = studio.show(place.story_id, place.strand_id or None, last=place.window)
    story, strand, steps = written.story, written.strand, written.steps
    last = steps[-1] if steps else None
    depth = last.depth if last else 0
    memory = studio.remembering.page(story.id, strand.id).text
    writing = house.writers.of_strand(strand.id)
    interrupted = [job for job in studio.interrupted(story.id, strand.id) if job.journal.strip()]
    plans = tuple(plan.text for plan in last.plans) if last else ()
    now = Place(story.id, strand.id, depth, place.window, memory, writing.id if writing else "", place.picked)
    return View(
        place=now,
        address=urlencode({"story": story.id, "strand": strand.id}),
        is_open=True,
        busy=writing is not None,
        masthead=write_html.masthead(story.title, story.id, strand.id),
        text=write_html.document(story.title, steps, story.language, place.picked),
        has_earlier=bool(steps) and steps[0].depth > 1,
        draft="",
        status="",
        gauge="" if writing else _budget(studio, written),
        notice="",
        cut_off="" if writing else write_html.cut_off(_latest(interrupted)),
        plans=plans,
        drafts=drafts_view.opened(house, now, has_plans=bool(plans)),
        memory=memory,
        memory_note="",
        memory_change=write_html.memory_change(last),
        strands=strand_choices(studio, now),
        paragraph=paragraph_view.opened(house, now),
        edits=edits_view.opened(house, now),
        about=write_html.about(story),
    )


def reopened(house: House, place: Place, memory: str | None = None) -> View:
    """The same place, after the story or the strand was changed; what was told of the change stays.

    A writing that was begun with the change is followed even when it has ended by now: it is settled then.

    Args:
        house: the owner's studio and the writers.
        place: where the page is; without a memory where another tab has just gone there.
        memory: the memory box as it stands; an edit that isn't saved yet stays in it.
    """
    if not place.story_id:
        return View()
    view = opened(house, place)
    if house.writers.get(place.writing_id) is not None and view.place is not None:
        view = replace(view, place=replace(view.place, writing_id=place.writing_id))
    # Where nothing is written, no event may follow: Gradio's page would lose a click that falls in between.
    attached = view.place.writing_id if view.place else ""
    is_new = True if not place.memory else None  # Another story or strand, or none was open.
    view = replace(view, is_open=is_new, attached=attached or None, notice=None, status=None)
    return _with_memory_edit(view, place, memory) if memory is not None and place.memory else view


def begin(house: House, premise: str, title: str, mode: str) -> View:
    """Start a story; the page opens on it before it has a name."""
    beginning = Beginning(premise=premise, title=title, mode=Mode(mode))
    writing = house.writers.begin(house.studio, beginning)
    if writing.ended_within(_REFUSED_SECONDS) and writing.error:
        return View(notice=write_html.notice(writing.message))
    return View(
        place=Place(writing_id=writing.id),
        is_open=True,
        tab=_tab(mode),
        busy=True,
        masthead=write_html.masthead(title),
        text=write_html.document(title, (), ""),
        draft=write_html.draft(""),
        has_earlier=False,
        cut_off="",
        plans=(),
        drafts=drafts_view.View(draft_all=Visible(False), drafts="", drafting=""),
        own_plan="",
        memory="",
        strands=(),
        about="",
        memory_change="",
        paragraph=paragraph_view.nothing(),
        edits=edits_view.nothing(),
        status=write_html.status(following.doing(Progress())),
        gauge="",
        notice="",
    )


def go_on(house: House, place: Place, choice: int, own_plan: str) -> View:
    """Write the next paragraph by the person's own plan, the one they chose, or neither (0)."""
    wish = Wish(plan=own_plan) if own_plan.strip() else Wish(choice=choice or None)
    head = house.studio.show(place.story_id, place.strand_id, last=1)
    if wish.choice is not None and _depth(head) != place.depth:
        return replace(
            opened(house, place),
            notice=write_html.notice(
                gettext(
                    "The story went on elsewhere, so the plans are new ones. Here they are: choose again."
                )
            ),
        )
    writing = house.writers.go_on(house.studio, place.story_id, place.strand_id, wish)
    # Even a refusal is told by settle, when Write comes back: Gradio's page loses a click that falls
    # between the events of a chain.
    return View(
        place=replace(place, writing_id=writing.id),
        busy=True,
        draft=write_html.draft(""),
        status=write_html.status(following.doing(Progress())),
        gauge="",
        notice="",
        cut_off="",
        own_plan="",
    )


def stop(house: House, place: Place) -> View:
    """Ask the writing that the page watches to end."""
    writing = house.writers.get(place.writing_id)
    if writing is None or writing.done:
        return View()
    writing.stop()
    return View(status=write_html.status(gettext("Stopping…")))


async def follow(house: House, place: Place) -> AsyncIterator[View]:
    """What is being written, again and again until it ends; the same for any number of pages.

    When another page's paragraph comes next on the same strand, that is followed too.
    """
    async for look in following.looks(house.writers, place.writing_id):
        if look.now is not None:
            yield _moment(look, look.now)
            continue
        place = replace(place, writing_id=look.writing_id)
        so_far = opened(house, place)
        yield View(place=place, text=so_far.text, has_earlier=so_far.has_earlier)
    # What settles the page comes by a request of its own: the paragraph needn't wait for it.
    writing = house.writers.get(place.writing_id)
    if writing is not None and writing.steps and writing.error is None:
        now = writing.progress
        done = opened(house, replace(place, story_id=now.story_id, strand_id=now.strand_id))
        yield View(text=done.text, has_earlier=done.has_earlier, draft="")


def settle(house: House, place: Place, memory: str, own_plan: str) -> View:
    """The page after a writing has ended: what was committed, what was cut off, what went wrong.

    Args:
        house: the owner's studio and the writers.
        place: where the page is.
        memory: the memory box as it stands; an edit that isn't saved yet stays in it.
        own_plan: the plan box as it stands.
    """
    writing = house.writers.get(place.writing_id)
    if writing is None:
        return View(busy=False)
    if not writing.done:  # begun since this was called; whoever follows it settles it
        return View()
    progress, told = writing.progress, write_html.notice(writing.message)
    if not progress.story_id:  # the story never came to have a strand
        return replace(library(), notice=told)
    if place.strand_id not in ("", progress.strand_id):  # the page has gone to another one meanwhile
        return View()
    back = writing.instead_of if writing.error else ""
    after = opened(house, replace(place, story_id=progress.story_id, strand_id=back or progress.strand_id))
    failed = writing.error and not writing.is_turn and not back
    # What begins a paragraph empties the box, which may not have come to the page yet.
    is_same = own_plan.strip() == writing.wish.plan.strip()
    unspent = writing.wish.plan if failed and (is_same or not own_plan.strip()) else None
    # It is open: to say so again would tell its tabs that one of them was chosen.
    view = replace(after, is_open=None, busy=False, notice=told, own_plan=unspent)
    if back:
        view = replace(view, status=write_html.status(_gone_back(house.studio, writing)))
    return _with_memory_edit(view, place, memory)


def _gone_back(studio: Studio, writing: Writing) -> str:
    """That another version didn't come, and where its words are."""
    progress = writing.progress
    at = studio.progress(progress.story_id, progress.strand_id).paragraphs + 1
    strand = studio.show(progress.story_id, progress.strand_id, last=0).strand
    if writing.stopped:
        told = gettext(
            "The other version of paragraph {depth} was stopped, so the one before is open again.", depth=at
        )
    else:
        told = gettext(
            "The other version of paragraph {depth} didn't come, so the one before is open again.", depth=at
        )
    if not any(job.journal.strip() for job in studio.interrupted(progress.story_id, progress.strand_id)):
        return told
    kept = gettext("Its words so far are kept on the strand “{strand}”.", strand=strand_title(strand))
    return f"{told} {kept}"


def _with_memory_edit(view: View, place: Place, memory: str) -> View:
    """The view, but for a memory box whose edit isn't saved yet: that stays in it."""
    if not place.story_id or memory == place.memory:
        return view
    note = write_html.notice(
        gettext("Your edit isn't saved yet, and the story's memory has changed since. Saving replaces it.")
    )
    return replace(view, memory=None, memory_note=note if view.memory != place.memory else None)


def save_memory(house: House, place: Place, text: str) -> View:
    """Replace the short-term memory by the person's text; the old one is kept as a revision."""
    saved = house.studio.remembering.rewrite(place.story_id, text, place.strand_id).text
    return View(
        place=replace(place, memory=saved),
        memory=saved,
        memory_note=write_html.status(gettext("Saved: the next paragraph will be written with it.")),
        notice="",
    )


def earlier(house: House, place: Place) -> View:
    """More of the story's beginning."""
    more = replace(place, window=place.window + WINDOW)
    view = opened(house, more)
    return View(place=replace(place, window=more.window), text=view.text, has_earlier=view.has_earlier)


def switch(house: House, place: Place, strand_id: str) -> View:
    """Open another strand of the same story; what isn't saved on the open one stays where that is chosen."""
    if strand_id == place.strand_id:  # Gradio's box says so of whoever only goes past it by Tab
        return View()
    return _attached(opened(house, Place(place.story_id, strand_id)))


def take_words(house: House, place: Place) -> View:
    """Put the words of the cut-off paragraph into the plan box."""
    job = _offered(house, place)
    return View(own_plan=job.journal.strip()) if job else View(cut_off="")


def dismiss(house: House, place: Place) -> View:
    """Stop offering the cut-off paragraph; an older one is offered next."""
    job = _offered(house, place)
    if job is not None:
        house.studio.dismiss(job)
    return View(cut_off=write_html.cut_off(_offered(house, place)))


def _attached(view: View) -> View:
    """A page that finds something being written asks to follow it."""
    return replace(view, attached=view.place.writing_id if view.place else "")


def _moment(look: following.Look, now: Progress) -> View:
    """What changed between two looks; a new story has a name of its own only at a later one."""
    seen = look.seen
    named = now.title if seen is None or now.title != seen.title else ""
    return View(
        address=urlencode({"story": now.story_id}) if named else None,
        masthead=write_html.masthead(named) if named else None,
        text=write_html.document(named, (), "") if named else None,
        draft=write_html.draft(now.text, now.plan) if look.is_other_draft else None,
        status=write_html.status(following.doing(now)) if look.is_other_stage else None,
        gauge=gauge_html.speed(now.speed) if look.is_other_draft else None,
    )


def _offered(house: House, place: Place) -> Job | None:
    interrupted = house.studio.interrupted(place.story_id, place.strand_id)
    return _latest([job for job in interrupted if job.journal.strip()])


def _latest(jobs: list[Job]) -> Job | None:
    return max(jobs, key=lambda job: job.created_at, default=None)


def _budget(studio: Studio, written: Written) -> str:
    if not written.steps:
        return ""
    record = studio.provenance(written.story.id, written.steps[-1].depth, written.strand.id)
    return gauge_html.budget(record.weaving)


def _tab(mode: str) -> str:
    """The tab that a story opens with."""
    return "play" if mode == Mode.FICTION else "write"


def _depth(written: Written) -> int:
    return written.steps[-1].depth if written.steps else 0


def strand_choices(studio: Studio, place: Place) -> tuple[tuple[str, str], ...]:
    """The strands that aren't archived, and the open one, as (what a person reads, its id)."""
    return tuple(
        (_strand_name(strand, depth), strand.id)
        for strand, depth in studio.branches(place.story_id)
        if not strand.archived or strand.id == place.strand_id
    )


def strand_title(strand: Strand) -> str:
    """What a strand is called on the page."""
    if strand.name:
        return strand.name
    if strand.parent_id:
        return gettext("From paragraph {depth}", depth=strand.fork_depth)
    return gettext("The story")


def _strand_name(strand: Strand, depth: int) -> str:
    long = ngettext("{number} paragraph", "{number} paragraphs", depth)
    return f"{strand_title(strand)} · {long} · {strand.id[:4]}"
