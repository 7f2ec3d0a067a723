"""``memory``: what a story remembers, printed, replaced or searched."""

from storyloom.app.embedding import FEW, PASSAGES
from storyloom.app.events import Listener
from storyloom.app.offline import stay_offline
from storyloom.app.settings import load_settings
from storyloom.app.wiring import open_studio
from storyloom.memory.errors import InvalidText
from storyloom.memory.story import Revision, ShortMemory
from storyloom.ui import given, output, shapes

_MOST_DIGITS = 9  # of a step


class _Told(Listener):
    """Says what a search lacks."""

    def on_progress(self, what: str, done: int, total: int) -> None:
        if what == PASSAGES and not done and total > FEW:
            output.note(
                f"{total:,} passages are found by their words only, because they have no vector yet. "
                "`storyloom memory STORY --rebuild` makes all of them."
            )


def show(reference: str, *, strand: str | None, as_json: bool) -> None:
    """The page of short-term memory that the next step will read."""
    reference = given.spoken(reference, "story")
    with open_studio(load_settings()) as studio:
        page = studio.remembering.page(reference, strand)
        revisions = studio.editing.revisions(reference)
    _tell(page, revisions, as_json=as_json)


def rewrite(reference: str, text: str, *, strand: str | None, as_json: bool) -> None:
    """Replace the page by a person's text."""
    reference = given.spoken(reference, "story")
    page = given.text(text, "short-term memory")
    with open_studio(load_settings()) as studio:
        new = studio.remembering.rewrite(reference, page, strand)
        revisions = studio.editing.revisions(reference)
    output.note("Short-term memory was replaced; the old page is among the revisions (--json).")
    _tell(new, revisions, as_json=as_json)


def search(reference: str, query: str, *, strand: str | None, as_json: bool) -> None:
    """Ask long-term memory."""
    settings = load_settings()
    stay_offline(())
    with open_studio(settings) as studio:
        hits = studio.remembering.search(
            given.spoken(reference, "story"), given.spoken(query, "query"), strand, _Told()
        )
    document = shapes.hits(hits)
    if as_json:
        output.emit(document)
        return
    for hit in document["hits"]:
        kind = hit["source"].partition(":")[0]
        place = f"{kind} {hit['depth']}" if hit["depth"] else kind
        output.say(f"{place}, score {hit['score']:.2f}\n{hit['text']}\n")
    if not hits:
        output.note("Nothing in the story answers to that.")


def _tell(page: ShortMemory, revisions: list[Revision], *, as_json: bool) -> None:
    if as_json:
        output.emit(shapes.memory(page, revisions))
    else:
        output.say(page.text)


def blame(reference: str, *, strand: str | None, as_json: bool) -> None:
    """Which step brought each sentence of the page, and why the others left it."""
    with open_studio(load_settings()) as studio:
        found = studio.remembering.blame(given.spoken(reference, "story"), strand)
    if as_json:
        output.emit(shapes.blame(found))
        return
    for number, note in enumerate(found.notes, start=1):
        origin = f"step {note.depth}" if note.depth else "premise"
        marks = ", ".join([origin, note.origin.value, *(["pinned"] if note.pinned else [])])
        output.say(f"{number:>3}. {note.text}\n     {marks}")
    if found.gone:
        output.say("\n— what left the page —")
    for gone in found.gone:
        note = gone.dropped.note
        output.say(
            f"     {note.text}\n     from step {note.depth}, left at step {gone.depth}: {gone.dropped.reason}"
        )


def pin(reference: str, which: str, *, pinned: bool, strand: str | None, as_json: bool) -> None:
    """Pin a sentence or set it free."""
    with open_studio(load_settings()) as studio:
        reference, which = given.spoken(reference, "story"), given.spoken(which, "sentence")
        page = studio.remembering.pin(reference, which, strand, pinned=pinned)
        revisions = studio.editing.revisions(reference)
    _tell(page, revisions, as_json=as_json)


def pending(reference: str, *, strand: str | None, as_json: bool) -> None:
    """The changes of memory that wait for a person's word."""
    with open_studio(load_settings()) as studio:
        changes = studio.remembering.proposals(given.spoken(reference, "story"), strand)
    if as_json:
        output.emit({"pending": [shapes.memory_change(one) for one in changes]})
        return
    for change in changes:
        output.say(f"step {change.depth}")
        for note in change.added:
            output.say(f"  + {note.text}")
        for dropped in change.dropped:
            output.say(f"  - {dropped.note.text}\n    {dropped.reason}")
    if not changes:
        output.note("No change of memory waits for a decision.")


def decide(reference: str, which: str, *, approve: bool, strand: str | None, as_json: bool) -> None:
    """Take up or turn down what the memory keeper proposed."""
    with open_studio(load_settings()) as studio:
        reference = given.spoken(reference, "story")
        page = studio.remembering.decide(reference, _depth(which), strand, approve=approve)
        revisions = studio.editing.revisions(reference)
    _tell(page, revisions, as_json=as_json)


def _depth(which: str) -> int | None:
    if which.strip().lower() == "all":
        return None
    if not which.strip().isdecimal() or len(which) > _MOST_DIGITS:
        raise InvalidText(f"{which[:40]!r} is no step. Give a step's number, or all.")
    return int(which)
