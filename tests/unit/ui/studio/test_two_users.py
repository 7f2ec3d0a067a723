"""Whoever knows another user's ids gets nothing with them and changes nothing, through any handler."""

import asyncio
import inspect
import pkgutil
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.memory.errors import StoryloomError, StoryNotFound, StrandNotFound
from storyloom.memory.orders import TaskState
from storyloom.memory.story import Mode
from storyloom.ui import studio as studio_package
from storyloom.ui.serve import exported, exported_lore
from storyloom.ui.studio import (
    batch_view,
    book_view,
    drafts_view,
    edits_view,
    inspect_view,
    library_view,
    lore_view,
    machine_view,
    map_view,
    memory_view,
    new_story_view,
    paragraph_view,
    plans_view,
    play_view,
    presets_view,
    rebuild_view,
    rewrite_view,
    sampling_view,
    search_view,
    stale_view,
    templates_view,
    write_view,
)
from storyloom.ui.studio.book_view import CHARACTERS, LORE, Opened
from storyloom.ui.studio.new_story_view import Draft
from storyloom.ui.studio.paragraph_view import Form
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.rewrite_view import Asked
from storyloom.ui.studio.templates_view import Box
from storyloom.ui.studio.writing import Drafting, Rebuild, Writing
from tests.unit.ui.batches import BATCH, progress
from tests.unit.ui.studio.telling import began, branched, went_on

SECRET = "Zanzibar"  # stands in everything that the first user wrote
PRESET = "Dry as a lamp"  # the first user's; it holds no secret, for whoever names it hears the name again
WAIT = 120.0


class Held:
    """A studio whose writing says a word of the first user's and goes on when it is let."""

    def __init__(self, shelf: Any) -> None:
        self.shelf = shelf
        self.go, self.came = threading.Event(), threading.Semaphore(0)
        self.rebuilding = SimpleNamespace(rebuild=self._hold)

    def write(self, _story: str, listener: Listener, **_: Any) -> Iterator[None]:
        listener.on_text(f"{SECRET} rises.")
        self._hold()
        yield None

    def branch(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(id="draft-strand")

    def _hold(self, *_: Any) -> None:
        self.came.release()
        assert self.go.wait(WAIT)


@dataclass(frozen=True)
class Known:
    """What the second user knows of the first one's: every id."""

    place: Place
    side: str
    draft: str
    writing: Writing
    drafting: Drafting
    rebuild: Rebuild
    revisions: tuple[str, ...]
    entry: str
    sheet: str
    task: str

    @property
    def undo(self) -> dict[str, str]:
        """A click on the button that takes edits back."""
        return {"pick": "undo", "revisions": " ".join(self.revisions)}

    @property
    def form(self) -> Form:
        """A form that is open on the first one's paragraph."""
        return Form("edit", self.place.strand_id, 1, "old")


@pytest.fixture(autouse=True)
def _no_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of this machine is told to all."""
    monkeypatch.setattr(machine_view, "examine", lambda _settings: [])


@pytest.fixture
def known(house: House) -> Iterator[Known]:
    """The first user's story: everything in it holds the secret word, and somebody writes in it just now."""
    studio = house.studio
    main = began(house, 2, title=f"{SECRET} at dusk")
    side = went_on(house, branched(house, main, 1), plan=f"{SECRET} opens the door.")
    studio.strands.rename(main.story_id, side.strand_id, f"{SECRET} aside")
    studio.editing.paragraph(main.story_id, 1, f"{SECRET} was a lighthouse.", main.strand_id)
    studio.editing.paragraph(main.story_id, 2, f"{SECRET} went dark.", main.strand_id)
    studio.remembering.rewrite(main.story_id, f"{SECRET} is dark.", main.strand_id)
    texts = ("authors_note", "style", "premise", "outline")
    studio.settings.change(main.story_id, {name: f"{SECRET}, the {name}." for name in texts})
    entry = studio.lore.entries.add(main.story_id, {"name": SECRET, "content": f"{SECRET} is far."})
    studio.presets.save(PRESET, {"temperature": 0.3})
    sheet = studio.lore.characters.add(main.story_id, {"name": f"{SECRET} Mara"})
    draft = studio.drafts.outlined("0123456789ab", f"{SECRET} begins.", Mode.NOVEL, Listener())
    task = progress("lamp", TaskState.QUEUED).task
    with studio.shelf.database.unit_of_work() as work:
        work.tasks.add(BATCH, [replace(task, order=replace(task.order, premise=f"{SECRET} in a batch."))])
        work.commit()
    held = Held(studio.shelf)
    writers, at_work = house.writers, cast("Studio", held)
    writing = writers.go_on(at_work, main.story_id, main.strand_id, Wish(plan=f"{SECRET} sings."))
    drafting = writers.draft(at_work, main.story_id, main.strand_id, 2, [f"{SECRET} sleeps."])
    rebuild = writers.rebuild(at_work, main.story_id, main.strand_id)
    for _ in range(3):
        assert held.came.acquire(timeout=WAIT)
    now = write_view.opened(house, main).place
    assert now is not None
    yield Known(
        place=replace(now, writing_id=writing.id, picked=1),
        side=side.strand_id,
        draft=draft.id,
        writing=writing,
        drafting=drafting,
        rebuild=rebuild,
        revisions=tuple(one.id for one in studio.editing.revisions(main.story_id)),
        entry=entry.id,
        sheet=sheet.id,
        task=task.id,
    )
    held.go.set()


@pytest.fixture
def other(house: House) -> House:
    """The second user's house, on the same server."""
    return House(house.studio.of_owner("tom"), house.writers, has_users=True)


@pytest.fixture
def own(other: House) -> Place:
    """The second user's own story."""
    return began(other, 2, title="Tom’s lamp")


Call = Callable[[House, Place, Known], Any]
_WORDS = "Tom was here."
_BOX = ("", "")

# A call of every handler, with what the second user knows in the place of every id.
CALLS: dict[str, Call] = {
    "batch_view.opened": lambda h, p, _: batch_view.opened(h, p),
    "batch_view.looked": lambda h, p, _: batch_view.looked(h, p),
    "batch_view.cancel": lambda h, p, k: batch_view.cancel(h, p, {"pick": "cancel", "task": k.task}),
    "book_view.listed": lambda h, p, _: _books(lambda b: book_view.listed(b, h, p)),
    "book_view.pick": lambda h, p, k: _each(
        partial(book_view.pick, LORE, h, p, {"pick": "open", "id": k.entry}, Opened("", ())),
        partial(book_view.pick, CHARACTERS, h, p, {"pick": "open", "id": k.sheet}, Opened("", ())),
        partial(
            book_view.pick,
            LORE,
            h,
            p,
            {"pick": "switch", "id": k.entry, "field": "enabled", "on": "true"},
            Opened("", ()),
        ),
    ),
    "book_view.add": lambda h, p, _: _books(lambda b: book_view.add(b, h, p, Opened("", ()))),
    "book_view.save": lambda h, p, k: _each(
        partial(book_view.save, LORE, h, p, Opened(k.entry, _blank(LORE)), *_filled(LORE)),
        partial(book_view.save, CHARACTERS, h, p, Opened(k.sheet, _blank(CHARACTERS)), *_filled(CHARACTERS)),
    ),
    "book_view.remove": lambda h, p, k: _each(
        partial(book_view.remove, LORE, h, p, Opened(k.entry, ())),
        partial(book_view.remove, CHARACTERS, h, p, Opened(k.sheet, ())),
    ),
    "book_view.close": lambda h, p, _: _books(lambda b: book_view.close(b, h, p)),
    "book_view.undo": lambda h, p, k: _books(lambda b: book_view.undo(b, h, p, k.undo)),
    "drafts_view.opened": lambda h, p, _: drafts_view.opened(h, p, has_plans=True),
    "drafts_view.draft_all": lambda h, p, _: drafts_view.draft_all(h, p, _WORDS, "", ""),
    "drafts_view.follow": lambda h, p, k: drafts_view.follow(h, p, k.drafting.id),
    "drafts_view.pick": lambda h, p, k: _each(
        partial(drafts_view.pick, h, p, {"pick": "stop"}),
        partial(drafts_view.pick, h, p, {"pick": "close"}),
        partial(_kept_draft, h, p, k),
    ),
    "edits_view.opened": lambda h, p, _: edits_view.opened(h, p),
    "edits_view.undo": lambda h, p, _: edits_view.undo(h, p),
    "edits_view.redo": lambda h, p, _: edits_view.redo(h, p),
    "inspect_view.opened": lambda h, p, _: inspect_view.opened(h, p),
    "inspect_view.shown": lambda h, p, _: inspect_view.shown(h, p, 1),
    "inspect_view.typed": lambda h, p, _: inspect_view.typed(h, p, 1),
    "inspect_view.back": lambda h, p, _: inspect_view.back(h, p, 2),
    "inspect_view.ahead": lambda h, p, _: inspect_view.ahead(h, p, 1),
    "inspect_view.picked": lambda h, p, _: inspect_view.picked(h, p, {"depth": "1"}),
    "inspect_view.scoring": lambda h, p, _: inspect_view.scoring(h, p),
    "inspect_view.why": lambda h, p, _: inspect_view.why(h, p, 1),
    "library_view.listed": lambda h, p, _: library_view.listed(h, p, SECRET),
    "library_view.pressed": lambda h, p, k: _each(
        partial(library_view.pressed, h, p, {"pick": "duplicate", "story": k.place.story_id}, "", ()),
        partial(library_view.pressed, h, p, {"pick": "delete", "story": k.place.story_id}, "", ()),
        partial(library_view.pressed, h, p, {"pick": "delete", "story": f"{SECRET} at dusk"}, "", ()),
    ),
    "library_view.undo": lambda h, p, k: library_view.undo(
        h, p, "", (library_view.Deleted("x", _story_of_the_same_id(h, k)),)
    ),
    "library_view.coming": lambda h, p, _: library_view.coming(h, p),
    "library_view.bring_in": lambda h, p, k: library_view.bring_in(
        h, p, str(_story_of_the_same_id(h, k)), ""
    ),
    "lore_view.bring_in": lambda h, p, _: lore_view.bring_in(LORE, h, p, str(_lorebook(h))),
    "lore_view.firing": lambda h, p, _: lore_view.firing(h, p, SECRET),
    "lore_view.note": lambda h, p, _: lore_view.note(h, p, "", "", _BOX),
    "lore_view.save_note": lambda h, p, _: lore_view.save_note(h, p, _WORDS, "1"),
    "lore_view.undo_note": lambda h, p, k: lore_view.undo_note(h, p, k.undo),
    "machine_view.opened": lambda h, p, _: machine_view.opened(h, p),
    "machine_view.examining": lambda h, p, _: machine_view.examining(h, p),
    "machine_view.examined": lambda h, p, _: machine_view.examined(h, p),
    "map_view.opened": lambda h, p, _: map_view.opened(h, p, True),
    "map_view.chosen": lambda h, p, k: map_view.chosen(h, p, k.side),
    "map_view.picked": lambda h, p, k: map_view.picked(h, p, {"strand": k.side}),
    "map_view.go_to": lambda h, p, k: map_view.go_to(h, p, k.side),
    "map_view.rename": lambda h, p, k: map_view.rename(h, p, k.side, _WORDS, True),
    "map_view.archive": lambda h, p, k: map_view.archive(h, p, k.side, True),
    "map_view.bring_back": lambda h, p, k: map_view.bring_back(h, p, k.side, True),
    "map_view.compare": lambda h, p, k: map_view.compare(h, p, k.side),
    "map_view.more": lambda h, p, k: map_view.more(h, p, (k.side, 20)),
    "memory_view.opened": lambda h, p, _: memory_view.opened(h, p),
    "memory_view.save": lambda h, p, _: memory_view.save(h, p, _WORDS),
    "memory_view.pick": lambda h, p, _: _each(
        *(
            partial(memory_view.pick, h, p, {"pick": pick, "text": "1", "depth": "1", "pinned": ""}, *_BOX)
            for pick in ("pin", "remove", "approve", "turn-down")
        )
    ),
    "memory_view.undo": lambda h, p, k: memory_view.undo(h, p, k.undo, *_BOX),
    "memory_view.ask": lambda h, p, _: memory_view.ask(h, p, True),
    "new_story_view.outlining": lambda h, p, _: new_story_view.outlining(h, p),
    "new_story_view.to_outline": lambda h, p, k: _each(
        *(
            partial(new_story_view.to_outline, h, p, Draft(story_id=story), _WORDS, "novel", *texts)
            for story in (k.draft, k.place.story_id)
            for texts in (("", ""), (_WORDS, _WORDS))
        )
    ),
    "new_story_view.another": lambda h, p, k: new_story_view.another(h, p, _draft(k), _WORDS, _WORDS),
    "new_story_view.former": lambda h, p, k: new_story_view.former(h, p, _draft(k), _WORDS),
    "new_story_view.to_characters": lambda h, p, k: new_story_view.to_characters(
        h, p, _draft(k), _WORDS, _WORDS
    ),
    "new_story_view.more": lambda h, p, k: new_story_view.more(h, p, _draft(k)),
    "new_story_view.to_first": lambda h, p, k: new_story_view.to_first(h, p, _draft(k), "Tom", _WORDS),
    "new_story_view.begin": lambda h, p, k: new_story_view.begin(h, p, _draft(k), _WORDS),
    "new_story_view.back_to_premise": lambda h, p, _: new_story_view.back_to_premise(h, p),
    "new_story_view.back_to_outline": lambda h, p, _: new_story_view.back_to_outline(h, p),
    "new_story_view.back_to_characters": lambda h, p, _: new_story_view.back_to_characters(h, p),
    "paragraph_view.opened": lambda h, p, _: paragraph_view.opened(h, p),
    "paragraph_view.pick": lambda h, p, _: paragraph_view.pick(h, p, {"depth": "1"}),
    "paragraph_view.number": lambda h, p, _: paragraph_view.number(h, p, 1),
    "paragraph_view.look_into": lambda h, p, _: paragraph_view.look_into(h, p, 1),
    "paragraph_view.branch": lambda h, p, _: paragraph_view.branch(h, p, 1),
    "paragraph_view.earlier_version": lambda h, p, _: paragraph_view.earlier_version(h, _unwatched(p), 2),
    "paragraph_view.later_version": lambda h, p, _: paragraph_view.later_version(h, _unwatched(p), 2),
    "paragraph_view.write_again": lambda h, p, _: paragraph_view.write_again(h, p, 1),
    "paragraph_view.edit": lambda h, p, _: paragraph_view.edit(h, p, 1, Form(), ""),
    "paragraph_view.insert": lambda h, p, _: paragraph_view.insert(h, p, 1, Form(), ""),
    "paragraph_view.split": lambda h, p, _: paragraph_view.split(h, p, 1, Form(), ""),
    "paragraph_view.save": lambda h, p, k: _each(
        partial(paragraph_view.save, h, p, k.form, _WORDS, None),
        partial(paragraph_view.save, h, p, replace(k.form, task="insert"), _WORDS, None),
        partial(paragraph_view.save, h, p, replace(k.form, task="split"), _WORDS, 5),
    ),
    "paragraph_view.cancel": lambda h, p, _: paragraph_view.cancel(h, p),
    "paragraph_view.remove": lambda h, p, _: paragraph_view.remove(h, p, 1),
    "plans_view.write_this": lambda h, p, _: plans_view.write_this(1, h, p, _WORDS),
    "plans_view.write_on": lambda h, p, _: plans_view.write_on(h, p, _WORDS, "", "", ""),
    "play_view.opened": lambda h, p, _: play_view.opened(h, p),
    "play_view.act": lambda h, p, _: play_view.act(h, p, "do", _WORDS),
    "play_view.meant": lambda h, p, _: play_view.meant(h, p, "say"),
    "play_view.choose": lambda h, p, _: play_view.choose(h, p, {"pick": "1"}),
    "play_view.retry": lambda h, p, _: play_view.retry(h, p),
    "play_view.undo": lambda h, p, _: play_view.undo(h, p),
    "play_view.go_back": lambda h, p, _: play_view.go_back(h, p, {"depth": "1"}),
    "play_view.earlier": lambda h, p, _: play_view.earlier(h, p),
    "play_view.stop": lambda h, p, k: play_view.stop(h, p, k.writing.id),
    "play_view.follow": lambda h, p, k: play_view.follow(h, p, k.writing.id),
    "play_view.settle": lambda h, p, k: play_view.settle(h, p, k.writing.id, "do", ""),
    "search_view.looking": lambda h, p, _: search_view.looking(h, p),
    "search_view.search": lambda h, p, _: search_view.search(h, p, "Mara"),
    "stale_view.opened": lambda h, p, _: stale_view.opened(h, p),
    "stale_view.refreshed": lambda h, p, _: stale_view.refreshed(h, p),
    "stale_view.again": lambda h, p, _: stale_view.again(h, p),
    "stale_view.look": lambda h, p, k: stale_view.look(h, p, k.rebuild.id),
    "stale_view.stop": lambda h, p, _: stale_view.stop(h, p),
    "stale_view.settle": lambda h, p, _: stale_view.settle(h, p),
    "write_view.arrive": lambda h, p, _: write_view.arrive(h, {"story": p.story_id, "strand": p.strand_id}),
    "write_view.opened": lambda h, p, _: write_view.opened(h, p),
    "write_view.reopened": lambda h, p, _: write_view.reopened(h, p, ""),
    "write_view.begin": lambda h, _, __: write_view.begin(h, "", "", "novel"),  # refused: it has no premise
    "write_view.go_on": lambda h, p, _: _each(
        partial(write_view.go_on, h, p, 1, ""), partial(write_view.go_on, h, p, 0, _WORDS)
    ),
    "presets_view.opened": lambda h, p, _: presets_view.opened(h, p),
    "presets_view.pick": lambda h, p, _: _each(
        *(
            partial(presets_view.pick, h, p, {"pick": what, "name": PRESET})
            for what in ("rename", "delete", "bring-back")
        )
    ),
    "presets_view.rename": lambda h, p, _: presets_view.rename(h, p, PRESET, "Tom's"),
    "presets_view.leave": lambda h, p, _: presets_view.leave(h, p),
    "rebuild_view.opened": lambda h, p, _: rebuild_view.opened(h, p),
    "rebuild_view.rebuild": lambda h, p, _: rebuild_view.rebuild(h, p),
    "rebuild_view.look": lambda h, p, k: rebuild_view.look(h, p, k.rebuild.id),
    "rebuild_view.stop": lambda h, p, _: rebuild_view.stop(h, p),
    "rewrite_view.open_": lambda h, p, _: rewrite_view.open_(h, p, 1, Asked(), "", ""),
    "rewrite_view.propose": lambda h, p, k: rewrite_view.propose(h, p, _asked(k), _WORDS, "shorter", "0 4"),
    "rewrite_view.again": lambda h, p, k: rewrite_view.again(h, p, _asked(k), _WORDS, "shorter", ""),
    "rewrite_view.look": lambda h, p, k: rewrite_view.look(h, p, _asked(k)),
    "rewrite_view.stop": lambda h, p, k: rewrite_view.stop(h, p, _asked(k)),
    "rewrite_view.keep": lambda h, p, k: rewrite_view.keep(h, p, _asked(k), _WORDS, _WORDS),
    "rewrite_view.throw_away": lambda h, p, k: rewrite_view.throw_away(h, p, _asked(k)),
    "rewrite_view.cancel": lambda h, p, k: rewrite_view.cancel(h, p, _asked(k)),
    "sampling_view.opened": lambda h, p, _: sampling_view.opened(h, p),
    "sampling_view.choose": lambda h, p, _: sampling_view.choose(h, p, "Wild"),
    "sampling_view.change": lambda h, p, _: sampling_view.change(
        h, p, *(dial.least for dial in sampling_view.DIALS)
    ),
    "sampling_view.keep": lambda h, p, _: sampling_view.keep(
        h, p, "Tom's", *(dial.least for dial in sampling_view.DIALS)
    ),
    "sampling_view.undo": lambda h, p, k: sampling_view.undo(h, p, k.undo),
    "templates_view.opened": lambda h, p, _: templates_view.opened(h, p, Box(), ""),
    "templates_view.pick": lambda h, p, _: templates_view.pick(
        h, p, {"pick": "open", "name": "writer"}, Box(), ""
    ),
    "templates_view.typed": lambda h, p, _: templates_view.typed(h, p, Box(name="writer"), _WORDS),
    "templates_view.save": lambda h, p, _: templates_view.save(h, p, Box(name="writer"), _WORDS),
    "templates_view.back": lambda h, p, _: templates_view.back(h, p, Box(name="writer"), _WORDS),
    "templates_view.bring_back": lambda h, p, _: templates_view.bring_back(
        h, p, Box(name="writer"), _WORDS, "2025-01-01T00:00:00+00:00"
    ),
    "templates_view.put_back": lambda h, p, _: templates_view.put_back(
        h, p, {"pick": "put-back"}, Box(name="writer", before="x"), _WORDS
    ),
    "write_view.stop": lambda h, p, _: write_view.stop(h, p),
    "write_view.follow": lambda h, p, _: write_view.follow(h, p),
    "write_view.settle": lambda h, p, _: write_view.settle(h, p, "", ""),
    "write_view.save_memory": lambda h, p, _: write_view.save_memory(h, p, _WORDS),
    "write_view.earlier": lambda h, p, _: write_view.earlier(h, p),
    "write_view.switch": lambda h, p, k: write_view.switch(h, p, k.side),
    "write_view.take_words": lambda h, p, _: write_view.take_words(h, p),
    "write_view.dismiss": lambda h, p, _: write_view.dismiss(h, p),
}
# They look into no story: they only say what is being done, open a step or an empty form, close one, or
# tell of this machine, of the second user's own shelf and of the second user's own writings.
OF_NO_STORY = {
    "batch_view.opened", "batch_view.looked", "batch_view.cancel",
    "book_view.add", "book_view.close",
    "drafts_view.opened", "drafts_view.follow", "drafts_view.pick",
    "inspect_view.scoring",
    "library_view.listed", "library_view.coming", "library_view.undo", "library_view.bring_in",
    "machine_view.opened", "machine_view.examining", "machine_view.examined",
    "new_story_view.outlining", "new_story_view.former", "new_story_view.more",
    "new_story_view.back_to_premise", "new_story_view.back_to_outline", "new_story_view.back_to_characters",
    "paragraph_view.cancel",
    "play_view.meant", "play_view.stop", "play_view.follow", "play_view.settle",
    "presets_view.opened", "presets_view.pick", "presets_view.rename", "presets_view.leave",
    "rewrite_view.again", "rewrite_view.look", "rewrite_view.stop", "rewrite_view.keep",
    "rewrite_view.throw_away", "rewrite_view.cancel",
    "templates_view.opened", "templates_view.pick", "templates_view.typed", "templates_view.save",
    "templates_view.back", "templates_view.bring_back", "templates_view.put_back",
    "search_view.looking",
    "write_view.begin", "write_view.stop", "write_view.follow", "write_view.settle",
}  # fmt: skip


def _books(call: Callable[[Any], Any]) -> list[Any]:
    return _each(partial(call, LORE), partial(call, CHARACTERS))


def _each(*calls: Callable[[], Any]) -> list[Any]:
    """What each of several calls brings; a refusal of one is no end of the others."""
    return [_outcome(call) for call in calls]


def _outcome(call: Callable[[], Any]) -> Any:
    """A view, all views of a stream, or the problem that was told."""
    try:
        found = call()
        return asyncio.run(_watched(found)) if inspect.isasyncgen(found) else found
    except StoryloomError as error:
        return error


async def _watched(views: AsyncIterator[Any]) -> list[Any]:
    """The first views; what never ends would say what is being written."""
    found = []
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            async for view in views:
                found.append(view)
    return found


def _blank(book: Any) -> tuple[Any, ...]:
    return tuple("" for _ in book.fields)


def _filled(book: Any) -> tuple[Any, ...]:
    """Only the first field, a name, is another one."""
    return (_WORDS, *_blank(book)[1:])


def _draft(known: Known) -> Draft:
    return Draft(story_id=known.draft, former=("x",), characters=(known.sheet,))


def _kept_draft(house: House, place: Place, known: Known) -> Any:
    """A draft is kept, and the page opens on its strand."""
    view = drafts_view.pick(house, place, {"pick": "keep", "strand": known.side})
    assert view.place is not None
    return write_view.reopened(house, view.place)


def _asked(known: Known) -> Asked:
    return Asked(known.place.strand_id, 1, _WORDS, known.writing.id, _WORDS)


def _unwatched(place: Place) -> Place:
    return replace(place, writing_id="")


def _folder(house: House) -> Path:
    return Path(house.studio.shelf.database.location).parent


def _lorebook(house: House) -> Path:
    file = _folder(house) / "lore.json"
    file.write_text('{"entries": {"0": {"uid": 0, "key": ["tom"], "content": "Tom was here."}}}')
    return file


def _story_of_the_same_id(house: House, known: Known) -> Path:
    """A file that the second user made by hand, with the first one's ids."""
    story = next(one.id for one in house.studio.stories()) if house.studio.stories() else ""
    if not story:
        story = began(house, 1).story_id
    file = house.studio.export(story, _folder(house) / "same.json")
    file.write_text(file.read_text(encoding="utf-8").replace(story, known.place.story_id), encoding="utf-8")
    return file


def _rows(house: House) -> list[str]:
    """Everything that is in the database."""
    with house.studio.shelf.database._engine.connect() as connection:
        return list(connection.connection.dbapi_connection.iterdump())  # type: ignore[union-attr]


def _of_first(house: House, rows: list[str]) -> list[str]:
    """The rows of the first user's stories and batch; each of them holds one of these ids."""
    with house.studio.shelf.database.unit_of_work(write=False) as work:
        stories = [one.id for one in work.stories.list("local")]
        strands = [line.id for story in stories for line in work.strands.of_story(story)]
    ids = [f"'{one}'" for one in (*stories, *strands, BATCH.id)]
    return [row for row in rows if any(one in row for one in ids)]


def _handlers() -> set[str]:
    """Every function of a tab that works for a house."""
    found = set()
    for module_info in pkgutil.iter_modules(studio_package.__path__):
        if not module_info.name.endswith("_view"):
            continue
        module = import_module(f"{studio_package.__name__}.{module_info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            takes = inspect.signature(function).parameters
            if function.__module__ == module.__name__ and not name.startswith("_"):
                found |= {f"{module_info.name}.{name}"} if {"house", "_house"} & set(takes) else set()
    return found


def test_no_handler_is_left_out() -> None:
    assert set(CALLS) == _handlers()
    assert set(CALLS) >= OF_NO_STORY


def _is_refused(outcome: Any) -> bool:
    """Whether it was told that there is no such story or strand, by an error or in the view's notice."""
    if isinstance(outcome, list):
        return bool(outcome) and all(map(_is_refused, outcome))
    if isinstance(outcome, StoryloomError):
        return isinstance(outcome, (StoryNotFound, StrandNotFound))
    return "There is no story" in repr(outcome)


def _told(outcome: Any) -> str:
    """All that was told, but for the second user's own words of what there isn't."""
    return re.sub(r"There is no story \S{1,6}Zanzibar at dusk", "", repr(outcome))


def _is_at_work(known: Known) -> bool:
    """Whether the first user's writings go on, unasked to end."""
    all_of_them = (known.writing, known.rebuild, *known.drafting.writings)
    return not any(one.done or one.cancelled() for one in all_of_them)


def test_the_word_is_everywhere(house: House, known: Known) -> None:
    """What the other tests look for would be seen."""
    place = known.place
    for name in ("write_view.opened", "map_view.opened", "lore_view.note", "memory_view.opened"):
        assert SECRET in repr(CALLS[name](house, place, known))
    for name in ("book_view.listed", "write_view.follow", "play_view.follow", "drafts_view.follow"):
        assert SECRET in repr(_outcome(partial(CALLS[name], house, place, known))), name
    assert house.writers.of_strand(place.strand_id) is known.writing


@pytest.mark.usefixtures("own")
def test_nothing_of_anothers_story_is_seen_or_changed(house: House, other: House, known: Known) -> None:
    before = _rows(house)
    by_title = replace(known.place, story_id=f"{SECRET} at dusk")
    for name, call in CALLS.items():
        for place in (known.place, by_title, replace(known.place, strand_id="")):
            outcome = _outcome(partial(call, other, place, known))
            assert name in OF_NO_STORY or _is_refused(outcome), f"{name} answered: {outcome!r}"
            assert SECRET not in _told(outcome), f"{name} told: {outcome!r}"
            assert _rows(house) == before, f"{name} changed something"
            assert _is_at_work(known), f"{name} stopped something"
            assert [one.name for one in house.studio.presets.own()] == [PRESET], f"{name} touched a preset"


def test_ones_own_story_is_no_way_to_anothers(house: House, other: House, own: Place, known: Known) -> None:
    """The second user's story together with ids of the first one's, one at a time and all."""
    before = _of_first(house, _rows(house))
    assert len(before) > 20
    place = replace(own, writing_id=known.writing.id)
    for name, call in CALLS.items():
        for there in (
            replace(place, strand_id=known.place.strand_id),
            place,
            Place(writing_id=known.writing.id),
        ):
            outcome = _outcome(partial(call, other, there, known))
            assert SECRET not in _told(outcome), f"{name} told: {outcome!r}"
            for writing in list(other.writers._at_work()):
                assert writing.ended_within(WAIT)
            assert _of_first(house, _rows(house)) == before, f"{name} changed something"
            assert _is_at_work(known), f"{name} stopped something"


def test_a_draft_of_ones_own_takes_no_character_of_anothers(house: House, other: House, known: Known) -> None:
    mine = other.studio.drafts.outlined("ba9876543210", "Tom keeps a lamp.", Mode.NOVEL, Listener())
    before = _of_first(house, _rows(house))
    draft = Draft(story_id=mine.id, characters=(known.sheet, known.entry))
    view = new_story_view.to_first(other, Place(), draft, "Tom", "", _WORDS, "")
    assert SECRET not in repr(view)
    assert view.draft is not None
    assert not {known.sheet, known.entry} & set(view.draft.characters)
    assert _of_first(house, _rows(house)) == before


def test_a_file_made_by_hand_is_no_way_to_anothers_text(
    house: House, other: House, own: Place, known: Known
) -> None:
    """An edit in it may name any strand; taking it back would write there, and keep what stood there."""
    other.studio.editing.paragraph(own.story_id, 2, _WORDS, own.strand_id)
    other.studio.remembering.rewrite(own.story_id, _WORDS, own.strand_id)
    file = other.studio.export(own.story_id, _folder(other) / "mine.json")
    head, _, edits = file.read_text(encoding="utf-8").partition('"revisions": [')
    file.write_text(
        head + '"revisions": [' + edits.replace(own.strand_id, known.place.strand_id), encoding="utf-8"
    )
    other.studio.delete(own.story_id)
    other.studio.import_file(file, Listener())
    before = _of_first(house, _rows(house))
    edits_of = [one.id for one in other.studio.editing.revisions(own.story_id)]
    assert len(edits_of) == 2
    for one in edits_of:
        outcome = _outcome(partial(memory_view.undo, other, own, {"revisions": one}, *_BOX))
        assert isinstance(outcome, StrandNotFound)
    assert _of_first(house, _rows(house)) == before
    assert SECRET not in repr(other.studio.editing.revisions(own.story_id))


@pytest.mark.parametrize("suffix", ["json", "md", "txt"])
def test_no_file_of_anothers_story_is_downloaded(other: House, known: Known, suffix: str) -> None:
    with pytest.raises(StoryNotFound):
        exported(other.studio, known.place.story_id, suffix, known.place.strand_id)
    with pytest.raises(StoryNotFound):
        exported_lore(other.studio, known.place.story_id, "json")
