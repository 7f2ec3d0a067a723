"""``memory``: what a story remembers, printed, replaced or searched."""

from storyloom.app.offline import stay_offline
from storyloom.app.settings import load_settings
from storyloom.app.wiring import open_studio
from storyloom.memory.story import Revision, ShortMemory
from storyloom.ui import given, output, shapes


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
            given.spoken(reference, "story"), given.spoken(query, "query"), strand
        )
    document = shapes.hits(hits)
    if as_json:
        output.emit(document)
        return
    for hit in document["hits"]:
        output.say(f"step {hit['depth']}, score {hit['score']:.2f}\n{hit['text']}\n")
    if not hits:
        output.note("Nothing in the story answers to that.")


def _tell(page: ShortMemory, revisions: list[Revision], *, as_json: bool) -> None:
    if as_json:
        output.emit(shapes.memory(page, revisions))
    else:
        output.say(page.text)
