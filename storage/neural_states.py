"""Neural states: a model's own memory after each step, its bytes kept for the newest and for some before."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from storyloom.memory.errors import StrandNotFound
from storyloom.memory.neural import NeuralState, stays
from storyloom.storage import ancestry
from storyloom.storage.locks import hold_strand
from storyloom.storage.tables import NeuralStateRow

# All but the bytes; whether there are any is asked without reading them.
_KNOWN = (
    col(NeuralStateRow.strand_id),
    col(NeuralStateRow.depth),
    col(NeuralStateRow.model),
    col(NeuralStateRow.fingerprint),
    col(NeuralStateRow.digest),
    col(NeuralStateRow.size),
    col(NeuralStateRow.seconds),
    col(NeuralStateRow.created_at),
    col(NeuralStateRow.data).is_not(None).label("is_kept"),
)
# What follows from the rest.
_FOLLOWS = frozenset({"is_kept", "is_stale"})


class NeuralStates:
    """The neural states of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def path(self, strand_id: str, first: int = 1, last: int | None = None) -> list[NeuralState]:
        """The states after steps ``first`` to ``last`` through ancestry, without their bytes.

        The oldest step's come first, and of one step's the oldest.

        Raises:
            StrandNotFound: there is no such strand.
        """
        found: list[NeuralState] = []
        for span in reversed(ancestry.spans(self._session, strand_id)):
            low = max(first, span.after + 1)
            high = span.depth if last is None else min(last, span.depth)
            query = select(*_KNOWN).where(
                col(NeuralStateRow.strand_id) == span.strand_id, col(NeuralStateRow.depth).between(low, high)
            )
            order = (col(NeuralStateRow.depth), col(NeuralStateRow.created_at))
            rows = self._session.execute(query.order_by(*order)).mappings()
            found += [NeuralState(**row) for row in rows]
        return found

    def data(self, state: NeuralState) -> bytes | None:
        """The memory itself; None where it isn't kept, or was made of another text meanwhile."""
        same_text = col(NeuralStateRow.digest) == state.digest
        query = select(col(NeuralStateRow.data)).where(*_place(state), same_text)
        found: bytes | None = self._session.execute(query).scalar()
        return found

    def put(self, state: NeuralState, data: bytes | None) -> None:
        """Keep a state in the place of what was there of the same step and model.

        Args:
            state: what is known of it.
            data: the memory itself; None keeps only what is known.

        Raises:
            StrandNotFound: the step isn't there any more.
        """
        hold_strand(self._session, state.strand_id)
        self._session.execute(delete(NeuralStateRow).where(*_place(state)))
        try:
            self._session.execute(insert(NeuralStateRow).values(**_known(state), data=data))
        except IntegrityError as error:
            raise StrandNotFound(
                f"The strand {state.strand_id!r} has no step {state.depth} any more: the story was deleted "
                "while it was read."
            ) from error

    def thin_out(self, strand_id: str, last: int) -> None:
        """Let go of the bytes that aren't worth their room once the strand's own steps come to ``last``."""
        kept = select(col(NeuralStateRow.depth), col(NeuralStateRow.size)).where(
            col(NeuralStateRow.strand_id) == strand_id, col(NeuralStateRow.data).is_not(None)
        )
        gone = [depth for depth, size in self._session.execute(kept) if not stays(depth, last, size)]
        self._session.execute(
            update(NeuralStateRow)
            .where(col(NeuralStateRow.strand_id) == strand_id, col(NeuralStateRow.depth).in_(gone))
            .values(data=None)
        )

    def remove(self, states: Iterable[NeuralState]) -> None:
        """Take states away."""
        for state in states:
            same_text = col(NeuralStateRow.digest) == state.digest
            self._session.execute(delete(NeuralStateRow).where(*_place(state), same_text))


def _known(state: NeuralState) -> dict[str, Any]:
    return {name: value for name, value in asdict(state).items() if name not in _FOLLOWS}


def _place(state: NeuralState) -> tuple[ColumnElement[bool], ...]:
    return (
        col(NeuralStateRow.strand_id) == state.strand_id,
        col(NeuralStateRow.depth) == state.depth,
        col(NeuralStateRow.fingerprint) == state.fingerprint,
    )
