"""Proposals: what the memory keeper would change in short-term memory, until a person has decided."""

from collections.abc import Iterable

from sqlmodel import Session, col, delete, select

from storyloom.memory.story import MemoryChange
from storyloom.storage import rows
from storyloom.storage.tables import ProposalRow


class Proposals:
    """The proposals of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, proposal: MemoryChange) -> None:
        """Keep a proposal; the step that makes it must be there already."""
        self._session.add(rows.proposal_row(proposal))
        self._session.flush()

    def of_strand(self, strand_id: str) -> list[MemoryChange]:
        """What the strand's own steps propose, oldest first."""
        query = select(ProposalRow).where(ProposalRow.strand_id == strand_id).order_by(col(ProposalRow.depth))
        return [rows.proposal(row) for row in self._session.exec(query)]

    def remove(self, proposals: Iterable[MemoryChange]) -> None:
        """Take away what was decided."""
        for proposal in proposals:
            self._session.exec(
                delete(ProposalRow).where(
                    col(ProposalRow.strand_id) == proposal.strand_id,
                    col(ProposalRow.depth) == proposal.depth,
                )
            )
