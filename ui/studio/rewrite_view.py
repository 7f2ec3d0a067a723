"""Words of the picked paragraph put otherwise by the model, and the handlers for it. Knows no component.

A proposal lives with the server's writers and in the page's boxes; a reload loses it and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from storyloom.app.events import Stage
from storyloom.memory.errors import InvalidText
from storyloom.ui.studio import paragraph_html, rewrite_html, rewrites, write_html
from storyloom.ui.studio.languages import gettext, gettext_noop
from storyloom.ui.studio.place import House, Place
from storyloom.ui.studio.rewrites import Rewrite
from storyloom.ui.studio.showing import Labelled, Ticking, Visible

_DOING: Mapping[Stage, str] = {"loading": gettext_noop("Waking the model…")}
_THINKING = gettext_noop("Finding other words…")


@dataclass(frozen=True, slots=True)
class Asked:
    """The paragraph whose words are rewritten, and the proposal for it.

    Attributes:
        strand_id: the strand that it is kept on; empty where the form is closed.
        depth: its number.
        kept: its words when the form was opened.
        rewrite_id: the rewriting that the page looks at.
        proposed: the words that were proposed; empty where none wait for a person's word.
    """

    strand_id: str = ""
    depth: int = 0
    kept: str = ""
    rewrite_id: str = ""
    proposed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What changes on the page.

    Attributes:
        asked: what is rewritten.
        box: the form.
        note: on how many strands the change will show, as HTML.
        words: the paragraph, in which words are marked.
        meant: which words are meant, as HTML.
        asking: the button that asks for a proposal, and the one that closes the form.
        coming: the button that stops it.
        shown: the words that come, then the difference, as HTML.
        proposal: the proposed words, to be changed.
        deciding: the buttons that keep it, ask again, or throw it away.
        clock: calls ``look`` while words come.
    """

    notice: str | None = None
    status: str | None = None
    asked: Asked | None = None
    box: Visible | None = None
    note: str | None = None
    words: Labelled | None = None
    meant: str | None = None
    asking: Visible | None = None
    coming: Visible | None = None
    shown: str | None = None
    proposal: Labelled | None = None
    deciding: Visible | None = None
    clock: Ticking | None = None


def open_(
    house: House, place: Place, depth: int | None, asked: Asked, words: str | None, proposal: str | None
) -> View:
    """Open the form with a paragraph's words."""
    if asked.strand_id:
        _refuse_to_lose(asked, words or "", proposal or "")
        _stop(house, asked)
    found = house.studio.versions.alternatives(place.story_id, depth or 0, place.strand_id)
    shown = next(one for one in found if one.is_shown)
    step = shown.step
    fresh = Asked(step.strand_id, step.depth, step.paragraph)
    return replace(
        _at_rest(fresh, ""),
        box=Visible(True),
        note=paragraph_html.shared(step.depth, shown.sharing),
        words=Labelled(
            step.paragraph, gettext("Paragraph {depth}: mark the words that shall change", depth=step.depth)
        ),
        meant=rewrite_html.meant(),
    )


def propose(house: House, place: Place, asked: Asked, words: str, instruction: str, span: str) -> View:
    """Begin to find other words for what is marked: ``span`` has its first character and the one after it."""
    marked = house.studio.rewriting.mark(
        place.story_id,
        asked.depth,
        instruction or "",
        asked.strand_id,
        seen=(asked.kept, words),
        span=_numbers(span),
    )
    return _begun(asked, rewrites.begin(house.writers, house.studio, marked, 0))


def again(house: House, place: Place, asked: Asked, words: str, instruction: str, proposal: str) -> View:
    """Begin to find others for the same words; the instruction may be another by now."""
    before = _proposed(house, asked, words)
    if proposal.strip() != asked.proposed.strip():
        raise InvalidText(
            gettext("You changed the proposal. Keep it, or throw it away, before you ask again.")
        )
    marked = house.studio.rewriting.mark(
        place.story_id,
        asked.depth,
        instruction or "",
        asked.strand_id,
        seen=(asked.kept, words),
        span=(before.marked.start, before.marked.end),
    )
    return _begun(asked, rewrites.begin(house.writers, house.studio, marked, before.attempt + 1))


def look(house: House, place: Place, asked: Asked) -> View:  # noqa: ARG001  (a handler like all others)
    """How far it is; once it has ended, the difference."""
    rewrite = house.writers.get(asked.rewrite_id)
    if not isinstance(rewrite, Rewrite):
        return replace(_at_rest(asked, ""), box=Visible(bool(asked.strand_id)))
    if not rewrite.done:
        doing = gettext(_DOING.get(rewrite.progress.stage, _THINKING))
        return View(shown=rewrite_html.coming(rewrite.progress.text, doing))
    if rewrite.error is not None:
        told = write_html.status(gettext("Stopped. The paragraph is as it was."))
        return _at_rest(asked, told if rewrite.stopped else write_html.notice(rewrite.message))
    return View(
        asked=replace(asked, proposed=rewrite.words),
        coming=Visible(False),
        shown=rewrite_html.difference(rewrite.marked.passage, rewrite.words),
        proposal=Labelled(rewrite.words, gettext("Change it before you keep it, if you like")),
        deciding=Visible(True),
        clock=Ticking(False),
    )


def stop(house: House, place: Place, asked: Asked) -> View:
    """Ask it to end."""
    _stop(house, asked)
    return look(house, place, asked)


def keep(house: House, place: Place, asked: Asked, words: str, proposal: str) -> View:  # noqa: ARG001
    """Put the proposal, as the person has it now, in the place of the marked words, and close the form."""
    house.studio.rewriting.keep(_proposed(house, asked, words).marked, proposal)
    done = gettext("The new words of paragraph {depth} are saved.", depth=asked.depth)
    return replace(_closed(), status=write_html.status(done))


def throw_away(house: House, place: Place, asked: Asked) -> View:  # noqa: ARG001
    """Forget the proposal; the paragraph is as it was, and other words can be marked."""
    return _at_rest(asked, "")


def cancel(house: House, place: Place, asked: Asked) -> View:  # noqa: ARG001
    """Close the form."""
    _stop(house, asked)
    return _closed()


def _begun(asked: Asked, rewrite: Rewrite) -> View:
    return View(
        notice="",
        status="",
        asked=replace(asked, rewrite_id=rewrite.id, proposed=""),
        asking=Visible(False),
        coming=Visible(True),
        shown=rewrite_html.coming("", gettext(_THINKING)),
        proposal=Labelled("", "", shown=False),
        deciding=Visible(False),
        clock=Ticking(True),
    )


def _at_rest(asked: Asked, shown: str) -> View:
    """The form without a proposal."""
    return View(
        notice="",
        asked=replace(asked, rewrite_id="", proposed=""),
        asking=Visible(True),
        coming=Visible(False),
        shown=shown,
        proposal=Labelled("", "", shown=False),
        deciding=Visible(False),
        clock=Ticking(False),
    )


def _closed() -> View:
    return replace(_at_rest(Asked(), ""), box=Visible(False))


def _proposed(house: House, asked: Asked, words: str) -> Rewrite:
    """The rewriting whose proposal is on the page."""
    rewrite = house.writers.get(asked.rewrite_id)
    if not isinstance(rewrite, Rewrite) or not rewrite.done:
        raise InvalidText(gettext("This proposal is no longer known. Copy its words, and ask for another."))
    if words != rewrite.marked.text:
        raise InvalidText(
            gettext(
                "The words of the paragraph were changed after the proposal was made. "
                "Throw the proposal away, and ask for another."
            )
        )
    return rewrite


def _refuse_to_lose(asked: Asked, words: str, proposal: str) -> None:
    """No other paragraph takes the place of words that are nowhere else yet."""
    if asked.proposed or proposal.strip() or words.strip() != asked.kept.strip():
        raise InvalidText(
            gettext("A rewriting is open whose words aren't kept. Keep them, or press Cancel there, first.")
        )


def _stop(house: House, asked: Asked) -> None:
    rewrite = house.writers.get(asked.rewrite_id)
    if rewrite is not None:
        rewrite.stop()


def _numbers(span: str) -> tuple[int, int]:
    """The two numbers that the page's script wrote; nothing is marked where it wrote none."""
    first, _, last = (span or "").partition(" ")
    return (int(first), int(last)) if first.isdecimal() and last.isdecimal() else (0, 0)
