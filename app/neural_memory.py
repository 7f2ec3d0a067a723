"""The neural memory of a strand: it reads each step, is kept with it, and is made again where it is missing.

A state belongs to the paragraphs that were read, and their digest names them. So an edit, an undo or an
import need mark nothing: what is of another text is seen to be, and is read again from the last that isn't.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from storyloom.app.events import Cancelled, Listener
from storyloom.memory.errors import StateRefused
from storyloom.memory.neural import MOST_BYTES, NOTHING, NeuralState, chain, chained, stays
from storyloom.memory.ports import RememberingModel, TextModel
from storyloom.memory.story import Strand
from storyloom.storage.ancestry import owner
from storyloom.storage.database import Database

READING = "paragraphs for the model's memory"
_MEGABYTE = 10**6


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a model remembers of a text: its steps up to ``depth``, which the digest names."""

    depth: int
    digest: str
    data: bytes | None


# What every memory begins with.
_BEGINNING = Remembered(0, NOTHING, None)


@dataclass(frozen=True, slots=True)
class Read:
    """A paragraph read into a memory: what is known of the new state, and the state."""

    known: NeuralState
    data: bytes

    @property
    def remembered(self) -> Remembered:
        """What the next paragraph is read on top of."""
        return Remembered(self.known.depth, self.known.digest, self.data)


def memory_of(model: TextModel) -> RememberingModel | None:
    """The model as one that remembers; None where it has no memory."""
    return cast("RememberingModel", model) if "state" in model.features else None


class NeuralMemory:
    """What models remember of strands.

    Args:
        database: where the states are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # The last state that is too large to be kept, and its model: else each step would read all before.
        self._held: tuple[str, Remembered] | None = None

    def before(
        self, strand: Strand, depth: int, digest: str, model: RememberingModel, listener: Listener
    ) -> Remembered:
        """What the model remembers of a strand's first steps, read again as far as it must be.

        Args:
            strand: the line.
            depth: the last step to remember.
            digest: of the paragraphs up to it.
            model: whose memory it is.
            listener: hears how much is read again; may stop it, which keeps what was read.

        Raises:
            Cancelled: the listener asked to stop.
            ModelFailed: the model ran out of memory.
        """
        if depth == 0:
            return _BEGINNING
        held = self._held
        if held is not None and (held[0], held[1].digest) == (model.fingerprint, digest):
            return held[1]
        with self._database.unit_of_work(write=False) as work:
            states = work.neural_states.path(strand.id, first=depth, last=depth)
        fit = [state for state in states if state.digest == digest]
        return self._nearest(fit, model, listener) or self.replay(strand, depth, model, listener)

    def read(
        self, before: Remembered, paragraph: str, owner: str, model: RememberingModel, listener: Listener
    ) -> Read:
        """Read a step's paragraph on top of what is remembered of those before it.

        Args:
            before: of the step before.
            paragraph: the step's.
            owner: the strand that the step is of.
            model: whose memory it is.
            listener: is told where the new state is too large to be kept.

        Raises:
            ModelFailed: the model ran out of memory.
        """
        started = time.monotonic()
        data = model.remember(paragraph, before.data)
        known = NeuralState(
            strand_id=owner,
            depth=before.depth + 1,
            model=model.name,
            fingerprint=model.fingerprint,
            digest=chained(before.digest, paragraph),
            size=len(data),
            seconds=round(time.monotonic() - started, 3),
            created_at=datetime.now(UTC),
            is_kept=len(data) <= MOST_BYTES,
        )
        found = Read(known, data)
        if not known.is_kept:
            if self._held is None:
                listener.on_notice(_too_large(known))
            self._held = (model.fingerprint, found.remembered)
        return found

    def replay(self, strand: Strand, depth: int, model: RememberingModel, listener: Listener) -> Remembered:
        """Read a strand's first steps again, from the last one whose state is of the text as it stands.

        Raises:
            Cancelled, ModelFailed: as ``before``; what was read is kept.
        """
        with self._database.unit_of_work(write=False) as work:
            segments = work.steps.segments(strand.id)
            paragraphs = [text for _, text in work.steps.paragraphs(strand.id, last=depth)]
            states = work.neural_states.path(strand.id, last=depth - 1)
        digests = list(chain(paragraphs))
        fit = [state for state in states if state.digest == digests[state.depth - 1]]
        at = first = self._nearest(fit, model, listener) or _BEGINNING
        total = depth - first.depth
        for paragraph in paragraphs[first.depth :]:
            done = at.depth - first.depth
            if listener.cancelled():
                raise Cancelled(
                    f"Stopped. {done} of {total} {READING} were read again; the next try goes on there."
                )
            listener.on_progress(READING, done, total)
            found = self.read(at, paragraph, owner(segments, at.depth + 1), model, listener)
            self._keep(found, last=depth)
            at = found.remembered
        listener.on_progress(READING, total, total)
        return at

    def states(self, strand: Strand) -> dict[int, NeuralState]:
        """What is known of the state after each step of a strand, the newest where models took turns."""
        return {state.depth: state for state in self._judged(strand)}

    def rebuild(self, strand: Strand, model: TextModel, listener: Listener) -> int:
        """Make what is stale again by the model that writes; what only another could make goes.

        Returns:
            How many states were made.

        Raises:
            Cancelled, ModelFailed: as ``before``; what was read is kept.
        """
        stale = self.stale(strand)
        remembering = memory_of(model)
        name = remembering.fingerprint if remembering is not None else None
        own = [state for state in stale if state.fingerprint == name]
        if own and remembering is not None:
            self.replay(strand, own[-1].depth, remembering, listener)
        with self._database.unit_of_work() as work:
            work.neural_states.remove(state for state in stale if state.fingerprint != name)
            work.commit()
        return len(own)

    def stale(self, strand: Strand) -> list[NeuralState]:
        """Every model's states that were made of a text that has changed since, oldest step first."""
        return [state for state in self._judged(strand) if state.is_stale]

    def _judged(self, strand: Strand) -> list[NeuralState]:
        """All states of a strand, oldest step first, held against the paragraphs as they stand."""
        with self._database.unit_of_work(write=False) as work:
            found = work.neural_states.path(strand.id)
            paragraphs = [text for _, text in work.steps.paragraphs(strand.id)] if found else []
        digests = list(chain(paragraphs))
        return [replace(one, is_stale=one.digest != digests[one.depth - 1]) for one in found]

    def _nearest(
        self, states: Sequence[NeuralState], model: RememberingModel, listener: Listener
    ) -> Remembered | None:
        """The last of the states that the model can go on with."""
        for state in reversed(states):
            if state.fingerprint != model.fingerprint or not state.is_kept:
                continue
            with self._database.unit_of_work(write=False) as work:
                data = work.neural_states.data(state)
            if data is None:
                continue
            try:
                model.check_state(data)
            except StateRefused as error:
                listener.on_notice(f"The model's memory after step {state.depth} is read again: {error}")
                continue
            return Remembered(state.depth, state.digest, data)
        return None

    def _keep(self, found: Read, last: int) -> None:
        """Keep a state that was made again, its bytes where they are worth their room."""
        known = found.known
        worth = known.is_kept and stays(known.depth, last, known.size)
        with self._database.unit_of_work() as work:
            work.neural_states.put(known, found.data if worth else None)
            work.neural_states.thin_out(known.strand_id, known.depth)
            work.commit()


def _too_large(state: NeuralState) -> str:
    return (
        f"{state.model} remembers the story in {state.size // _MEGABYTE:,} MB, more than the "
        f"{MOST_BYTES // _MEGABYTE:,} MB that are kept with a step. While Storyloom runs it goes on from "
        "there; after a restart the story is read again, which takes a while. A model whose memory has a "
        "bound needs neither."
    )
