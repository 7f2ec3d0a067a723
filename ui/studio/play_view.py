"""What the Play tab shows, as plain values, and the handlers that make it. Knows no component."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from storyloom.app import playing
from storyloom.app.recurrence import Wish
from storyloom.memory.action import Manner, action, reader_words
from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import following, play_html, write_html
from storyloom.ui.studio.languages import gettext, gettext_noop
from storyloom.ui.studio.place import WINDOW, House, Place
from storyloom.ui.studio.showing import Asking, Visible
from storyloom.ui.studio.writing import Progress, Writing

_QUESTIONS = {
    Manner.DO: gettext_noop("What do you do?"),
    Manner.SAY: gettext_noop("What do you say?"),
    Manner.STORY: gettext_noop("What happens?"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes in the tab.

    ``watched`` names the writing that the tab follows: the place's own is the Write tab's, which may be done
    with it first.
    """

    place: Place | None = None
    notice: str | None = None
    watched: str | None = None
    text: str | None = None
    earlier: Visible | None = None
    draft: str | None = None
    offers: str | None = None
    status: str | None = None
    manner: str | None = None
    action: str | Asking | None = None
    send: Visible | None = None
    stop: Visible | None = None
    retry: Visible | None = None
    undo: Visible | None = None


def opened(house: House, place: Place) -> View:
    """The story so far, with whatever is being told."""
    if not place.story_id:
        return _beginning(house, place)
    written = house.studio.show(place.story_id, place.strand_id or None, last=place.window)
    story, strand, steps = written.story, written.strand, written.steps
    writing = house.writers.of_strand(strand.id)
    depth = steps[-1].depth if steps else 0
    here = replace(place, strand_id=strand.id, depth=depth)
    text = play_html.turns(story.title, steps, story.language)
    earlier = Visible(bool(steps) and steps[0].depth > 1)
    if writing is not None:
        here = replace(here, writing_id=writing.id)
        return replace(_telling(here, writing.progress), text=text, earlier=earlier)
    return View(
        place=here,
        watched="",
        text=text,
        earlier=earlier,
        draft="",
        offers=play_html.offers(steps[-1].plans if steps else ()),
        status="",
        send=Visible(True),
        stop=Visible(False),
        retry=Visible(depth > 1),
        undo=Visible(depth > 1),
    )


def act(house: House, place: Place, manner: str, text: str) -> View:
    """Do, say or tell what the reader wrote; the story answers."""
    if house.writers.of_strand(place.strand_id):
        return _refused()
    plan = action(text, Manner(manner), _language(house, place))
    if not plan:
        raise InvalidText(gettext("Write what you do first, or choose one of the suggestions."))
    return replace(_told(house, place, Wish(plan=plan), plan), action="")


def meant(_house: House, _place: Place, manner: str) -> View:
    """Ask for what the reader is about to write."""
    return View(action=Asking(gettext(_QUESTIONS[Manner(manner)])))


def choose(house: House, place: Place, picked: Mapping[str, str]) -> View:
    """Do one of the things that are suggested."""
    if house.writers.of_strand(place.strand_id):
        return _refused()
    last = house.studio.show(place.story_id, place.strand_id, last=1).steps
    if not last or last[0].depth != place.depth:
        return replace(
            opened(house, place),
            notice=write_html.notice(gettext("The story went on elsewhere. Here it is: choose again.")),
        )
    number = int(picked["pick"])
    return _told(house, place, Wish(choice=number), last[0].plans[number - 1].text)


def retry(house: House, place: Place) -> View:
    """Tell the last turn another way, on a strand of its own; the old one stays."""
    if house.writers.of_strand(place.strand_id):
        return _refused()
    strand, wish = playing.retry(house.studio, place.story_id, place.strand_id)
    there = opened(house, replace(place, strand_id=strand.id))
    plan = wish.plan or house.studio.show(place.story_id, place.strand_id, last=1).steps[-1].plan
    begun = _told(house, replace(place, strand_id=strand.id, depth=strand.fork_depth), wish, plan)
    return replace(begun, text=there.text, earlier=there.earlier)


def undo(house: House, place: Place) -> View:
    """The story without its last turn, on a strand of its own; the old one stays."""
    if house.writers.of_strand(place.strand_id):
        return _refused()
    strand = playing.undo(house.studio, place.story_id, place.strand_id)
    return replace(opened(house, replace(place, strand_id=strand.id)), notice="")


def go_back(house: House, place: Place, picked: Mapping[str, str]) -> View:
    """The story up to a turn, on a strand of its own; the old one stays."""
    if house.writers.of_strand(place.strand_id):
        return _refused()
    strand = house.studio.branch(place.story_id, int(picked["depth"]), place.strand_id)
    return replace(opened(house, replace(place, strand_id=strand.id)), notice="")


def earlier(house: House, place: Place) -> View:
    """More of the story's beginning."""
    more = replace(place, window=place.window + WINDOW)
    view = opened(house, more)
    return View(place=replace(place, window=more.window), text=view.text, earlier=view.earlier)


def stop(house: House, _place: Place, watched: str) -> View:
    """Ask the story to break off."""
    writing = house.writers.get(watched)
    if writing is None or writing.done:
        return View()
    writing.stop()
    return View(status=write_html.status(gettext("Stopping…")))


async def follow(house: House, place: Place, watched: str) -> AsyncIterator[View]:
    """What is being told, again and again until it ends; the same for any number of pages."""
    async for look in following.looks(house.writers, watched):
        if look.now is not None:
            yield _moment(look, look.now)
            continue
        place = replace(place, writing_id=look.writing_id)
        yield opened(house, place)


def settle(house: House, place: Place, watched: str, manner: str, text: str) -> View:
    """The tab after a turn has ended: what was committed, or what went wrong and what the reader wrote.

    Args:
        house: the owner's studio and the writers.
        place: where the page is.
        watched: the writing that was followed.
        manner: how the reader's words are meant.
        text: the reader's box as it stands.
    """
    writing = house.writers.get(watched)
    if writing is None or not writing.done:  # one begun since is settled by whoever follows it
        return View()
    progress = writing.progress
    if not progress.story_id:  # the story never came to be; the Write tab tells
        return View()
    if place.strand_id not in ("", progress.strand_id):  # the page has gone to another one meanwhile
        return View()
    there = replace(place, story_id=progress.story_id, strand_id=progress.strand_id)
    after = opened(house, there)
    kept = gettext("Stopped. The words that had come are kept in the Write tab.")
    told = replace(
        after,
        notice=write_html.notice(writing.message),
        status=write_html.status(kept) if writing.stopped and progress.text else after.status,
    )
    return _with_unspent(told, writing, manner, text, _language(house, there))


def _told(house: House, place: Place, wish: Wish, plan: str) -> View:
    writing = house.writers.go_on(house.studio, place.story_id, place.strand_id, wish, is_turn=True)
    return replace(_telling(replace(place, writing_id=writing.id), Progress(plan=plan)), notice="")


def _telling(place: Place, progress: Progress) -> View:
    """While a turn is told it can be read and stopped; what would leave it waits."""
    return View(
        place=place,
        watched=place.writing_id,
        draft=play_html.draft(progress.plan, progress.text),
        offers="",
        status=write_html.status(following.doing(progress)),
        send=Visible(False),
        stop=Visible(True),
        retry=Visible(False),
        undo=Visible(False),
    )


def _beginning(house: House, place: Place) -> View:
    """A story that has no name yet."""
    writing = house.writers.get(place.writing_id)
    begun = _telling(place, writing.progress if writing else Progress())
    return replace(begun, text=play_html.turns("", (), ""), earlier=Visible(False))


def _moment(look: following.Look, now: Progress) -> View:
    named = now.title if look.seen is None or now.title != look.seen.title else ""
    return View(
        text=play_html.turns(named, (), "") if named else None,
        draft=play_html.draft(now.plan if now.depth != 1 else "", now.text) if look.is_other_draft else None,
        status=write_html.status(following.doing(now)) if look.is_other_stage else None,
    )


def _with_unspent(view: View, writing: Writing, manner: str, text: str, language: str) -> View:
    """What the reader wrote in vain goes back into an empty box, and how it was meant."""
    plan = writing.wish.plan
    if not (writing.is_turn and writing.error and plan):
        return view
    if action(text, Manner(manner), language) == plan:
        # An earlier event saw it fail, and what began it is about to empty the box: it settles once more.
        return replace(view, action=text, watched=None)
    if text.strip():
        return view
    words, meant_so = reader_words(plan)
    return replace(view, action=words, manner=meant_so.value)


def _refused() -> View:
    told = gettext("The story is still answering. Wait until it has, or stop it.")
    return View(notice=write_html.notice(told))


def _language(house: House, place: Place) -> str:
    return house.studio.show(place.story_id, place.strand_id, last=1).story.language
