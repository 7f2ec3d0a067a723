"""Rebuilding: what edits made stale is made again, in the order of the steps; it can stop and go on.

Only an edited paragraph's own note needs the model. The pages of memory after it are replayed: each
step's own additions and omissions on top of the page before, so that no other sentence changes.
"""

from dataclasses import dataclass

from storyloom.app.agents.scene import Scene
from storyloom.app.castings import Castings
from storyloom.app.embedding import Embedding
from storyloom.app.events import Cancelled, Listener
from storyloom.app.memory_page import SHORT_MEMORY, PageBefore, page_at
from storyloom.app.recurrence import Cast
from storyloom.app.shelf import Shelf, revision
from storyloom.memory.page_changes import with_change, without_notes_of
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.story import MemoryChange, Origin, ShortMemory, Stale, StalePart, Step, Story, Strand

_REBUILT = frozenset({StalePart.NOTE, StalePart.PAGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How much was made again: notes by the model, pages by replay, vectors; ``kept`` is by hand."""

    notes: int = 0
    pages: int = 0
    kept: int = 0
    vectors: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    """A step whose memory is stale, the page and the paragraph before it."""

    step: Step
    before: ShortMemory
    last: str


class Rebuilding:
    """Makes stale memory and missing vectors again.

    Args:
        shelf: whose stories.
        castings: makes the memory keeper.
        embedding: makes vectors.
    """

    def __init__(self, shelf: Shelf, castings: Castings, embedding: Embedding) -> None:
        self._shelf = shelf
        self._castings = castings
        self._embedding = embedding

    def rebuild(
        self, reference: str, listener: Listener, strand: str | None = None, *, model: str | None = None
    ) -> Rebuilt:
        """Make again whatever is stale on a strand and on the steps that it shares.

        Each step is committed by itself: what was made before a stop or a crash stands.

        Raises:
            Cancelled: the listener asked to stop.
            ModelUnavailable, ModelFailed: a note can't be made; everything before it stands.
        """
        story, line = self._shelf.find(reference, strand)
        vectors = self._embedding.fill(line, listener)
        marks = self._marks(line)
        needs_model = any(StalePart.NOTE in parts for parts in marks.values())
        cast = self._castings.cast(model or story.settings.get("model")) if needs_model else None
        made = dict.fromkeys(("notes", "pages", "kept"), 0)
        for done, (depth, parts) in enumerate(sorted(marks.items())):
            if listener.cancelled():
                raise Cancelled(
                    f"Stopped. {done} of {len(marks)} steps were made again; run it again to go on."
                )
            listener.on_progress("pages of memory", done, len(marks))
            made[self._one(story, line, depth, parts, cast)] += 1
        if marks:
            listener.on_progress("pages of memory", len(marks), len(marks))
        return Rebuilt(**made, vectors=vectors)

    def _marks(self, line: Strand) -> dict[int, set[StalePart]]:
        with self._shelf.database.unit_of_work(write=False) as work:
            marks: list[Stale] = work.stale.path(work.steps.segments(line.id))
        found: dict[int, set[StalePart]] = {}
        for mark in marks:
            if mark.part in _REBUILT:
                found.setdefault(mark.depth, set()).add(mark.part)
        return found

    def _one(self, story: Story, line: Strand, depth: int, parts: set[StalePart], cast: Cast | None) -> str:
        """Make one step's page again and commit it; says which kind of work that was."""
        place = self._place(story, line, depth)
        step = place.step
        old = PageBefore(step.memory)
        if step.memory_origin is Origin.PERSON:
            kind, memory, change, origin = "kept", step.memory, None, step.memory_origin
        elif StalePart.NOTE in parts and cast is not None:
            update = cast.memory_keeper.update(_scene(story, place), step.paragraph)
            change = MemoryChange(
                strand_id=step.strand_id, depth=depth, added=update.added, dropped=update.dropped
            )
            kind, memory, origin = "notes", update.memory, update.origin
        else:
            memory = with_change(place.before, step.added, step.dropped)
            kind, change, origin = "pages", None, step.memory_origin
        with self._shelf.database.unit_of_work() as work:
            if kind != "kept":
                work.steps.set_memory(step.strand_id, depth, memory, origin=origin, change=change)
            if kind == "notes":
                owner = work.strands.get(step.strand_id)
                edit = revision(
                    story,
                    SHORT_MEMORY,
                    step.memory.text,
                    memory.text,
                    strand=owner,
                    depth=depth,
                    state=old.state(),
                )
                work.revisions.add(edit)
            work.stale.remove(step.strand_id, depth, parts)
            work.commit()
        return kind

    def _place(self, story: Story, line: Strand, depth: int) -> _Place:
        with self._shelf.database.unit_of_work(write=False) as work:
            step = work.steps.at(line.id, depth)
            previous = work.steps.at(line.id, depth - 1) if depth > 1 else None
            owner = work.strands.get(step.strand_id)
        # The first step of a branch may stand on a page that a person gave the branch.
        first = depth == owner.fork_depth + 1
        before = page_at(story, owner, previous).memory if first or previous is None else previous.memory
        return _Place(step, before, previous.paragraph if previous else "")


def _scene(story: Story, place: _Place) -> Scene:
    """The scene as the memory keeper needs it."""
    return Scene(
        story=story,
        depth=place.step.depth,
        plan=place.step.plan,
        memory=without_notes_of(place.before, place.step.depth),
        last=place.last,
        recalled=(),
        recent_plans=(),
        index=StoryIndex(),
        seed=place.step.seed,
    )
