"""How a paragraph was made, and what the paragraphs of a strand cost: everything that was kept of it."""

from dataclasses import dataclass

from storyloom.app.prompt_pieces import Piece, pieces
from storyloom.app.shelf import Shelf
from storyloom.app.templates import Templates
from storyloom.app.weaving import is_shown
from storyloom.memory.errors import InvalidSetting
from storyloom.memory.measures import Moment, moments
from storyloom.memory.story import Call, Provenance, Step, Weaving

WRITERS = ("writer", "one_call")
MOST_MOMENTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A paragraph, and how it was made.

    Attributes:
        step: the step that brought it.
        last: depth of the strand's last step.
        provenance: what went into it.
        prompt: the prompt that its writer was first asked with; empty where none was kept.
        is_matched: the prompt's pieces tell which words came from which slot.
        unseen: slots that the prompt's template has no place for.
    """

    step: Step
    last: int
    provenance: Provenance
    prompt: tuple[Piece, ...]
    is_matched: bool
    unseen: frozenset[str]

    @property
    def first_call(self) -> Call | None:
        """The call whose prompt this is."""
        return _first_call(self.provenance)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The last steps of a strand, oldest first, and how many steps it has."""

    moments: tuple[Moment, ...]
    last: int


class Inspecting:
    """Shows what was kept of a story's making.

    Args:
        shelf: whose stories.
        templates: make the prompts again.
    """

    def __init__(self, shelf: Shelf, templates: Templates) -> None:
        self._shelf = shelf
        self._templates = templates

    def paragraph(self, reference: str, depth: int | None = None, strand: str | None = None) -> Inspection:
        """A paragraph and how it was made; the last one by default.

        Raises:
            StoryNotFound, StrandNotFound: there is no such step.
        """
        _, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            last = work.steps.depth(line.id)
            step = work.steps.at(line.id, last if depth is None else depth)
            provenance = work.provenance.get(step.strand_id, step.depth)
        prompt, is_matched = self._prompt(provenance)
        return Inspection(
            step=step,
            last=last,
            provenance=provenance,
            prompt=prompt,
            is_matched=is_matched,
            unseen=self._unseen(provenance),
        )

    def history(self, reference: str, strand: str | None = None, *, most: int = MOST_MOMENTS) -> History:
        """What the last steps of a strand cost and remembered, at most so many; no text is read."""
        _, line = self._shelf.find(reference, strand)
        with self._shelf.database.unit_of_work(write=False) as work:
            last = work.steps.depth(line.id)
            first = max(1, last - most + 1)
            measures = work.steps.measures(line.id, first=first)
            slots, prompts = work.provenance.tokens(work.steps.segments(line.id), first=first)
        return History(moments=moments(measures, slots, prompts), last=last)

    def _prompt(self, provenance: Provenance) -> tuple[tuple[Piece, ...], bool]:
        """The first call's prompt; in pieces where they give exactly that prompt."""
        call = _first_call(provenance)
        if call is None:
            return (), False
        found = self._pieces(provenance)
        if found is None or "".join(piece.text for piece in found) != call.prompt:
            return (Piece(call.prompt),), False
        return found, True

    def _pieces(self, provenance: Provenance) -> tuple[Piece, ...] | None:
        if provenance.weaving is None:
            return None
        try:
            return pieces(provenance.slots, provenance.weaving, self._templates)
        except InvalidSetting:  # what a user's template took in is gone
            return None

    def _unseen(self, provenance: Provenance) -> frozenset[str]:
        weaving = provenance.weaving
        if weaving is None:
            return frozenset()
        names = {record.slot for record in provenance.slots if not record.entered}
        return frozenset(name for name in names if not self._is_shown(name, weaving))

    def _is_shown(self, slot: str, weaving: Weaving) -> bool:
        try:
            reads = self._templates.reads(str(weaving.values["agent"]), weaving.template)
        except InvalidSetting:
            return True
        return is_shown(slot, weaving.template, reads, weaving.values.get("note_depth"))


def _first_call(provenance: Provenance) -> Call | None:
    return next((call for call in provenance.calls if call.agent in WRITERS), None)
