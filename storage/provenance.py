"""Provenance: what went into each step's prompt, how it was woven, and every agent's call."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from sqlmodel import Session, col, select

from storyloom.memory.measures import PromptTokens, SlotTokens
from storyloom.memory.story import Call, Provenance, Segment, SlotRecord
from storyloom.storage import rows
from storyloom.storage.tables import CallRow, SlotRow, StrandRow, WeavingRow


class ProvenanceRecords:
    """The provenance of one unit of work. A step owned by an ancestor is asked for by that strand's id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, strand_id: str, depth: int, provenance: Provenance) -> None:
        """Keep a step's provenance; the step itself must be there already."""
        self._session.add_all(
            rows.slot_row(slot, strand_id=strand_id, depth=depth, position=position)
            for position, slot in enumerate(provenance.slots)
        )
        self._session.add_all(
            rows.call_row(call, strand_id=strand_id, depth=depth, position=position)
            for position, call in enumerate(provenance.calls)
        )
        if provenance.weaving is not None:
            self._session.add(rows.weaving_row(provenance.weaving, strand_id=strand_id, depth=depth))
        self._session.flush()

    def get(self, strand_id: str, depth: int) -> Provenance:
        """A step's provenance; empty where none was kept."""
        slots = (
            select(SlotRow)
            .where(SlotRow.strand_id == strand_id, SlotRow.depth == depth)
            .order_by(col(SlotRow.position))
        )
        calls = (
            select(CallRow)
            .where(CallRow.strand_id == strand_id, CallRow.depth == depth)
            .order_by(col(CallRow.position))
        )
        weaving = self._session.get(WeavingRow, (strand_id, depth))
        return Provenance(
            slots=tuple(rows.slot(row) for row in self._session.exec(slots)),
            calls=tuple(rows.call(row) for row in self._session.exec(calls)),
            weaving=None if weaving is None else rows.weaving(weaving),
        )

    def tokens(
        self, segments: Sequence[Segment], first: int = 1
    ) -> tuple[list[SlotTokens], list[PromptTokens]]:
        """What the prompts along a strand's ancestry held from step ``first`` on; no text is read."""
        slots: list[SlotTokens] = []
        prompts: list[PromptTokens] = []
        for segment, before in zip_longest(segments, segments[1:]):
            low, high = max(first, before.depth + 1 if before else 1), segment.depth
            held = (
                select(SlotRow.depth, SlotRow.slot, SlotRow.source, SlotRow.tokens)
                .where(SlotRow.strand_id == segment.strand_id, col(SlotRow.depth).between(low, high))
                .where(col(SlotRow.tokens) > 0)
                .order_by(col(SlotRow.depth), col(SlotRow.position))
            )
            whole = select(WeavingRow.depth, WeavingRow.tokens, WeavingRow.budget).where(
                WeavingRow.strand_id == segment.strand_id, col(WeavingRow.depth).between(low, high)
            )
            slots += [SlotTokens(*row) for row in self._session.exec(held)]
            prompts += [PromptTokens(*row) for row in self._session.exec(whole)]
        return slots, prompts

    def of_kind(self, story_id: str, kind: str) -> list[tuple[str, str, int]]:
        """(source, strand, depth) for whatever of a kind, such as ``lore``, a story's prompts held."""
        query = (
            select(SlotRow.source, SlotRow.strand_id, SlotRow.depth)
            .join(StrandRow, col(StrandRow.id) == col(SlotRow.strand_id))
            .where(StrandRow.story_id == story_id, col(SlotRow.tokens) > 0)
            .where(col(SlotRow.source).startswith(f"{kind}:", autoescape=True))
            .distinct()
        )
        return list(self._session.exec(query).all())

    def of_strand(self, strand_id: str) -> Iterator[tuple[int, Provenance]]:
        """(depth, provenance) of the strand's own steps that have some, by depth."""
        slots = (
            select(SlotRow)
            .where(SlotRow.strand_id == strand_id)
            .order_by(col(SlotRow.depth), col(SlotRow.position))
        )
        calls = (
            select(CallRow)
            .where(CallRow.strand_id == strand_id)
            .order_by(col(CallRow.depth), col(CallRow.position))
        )
        found: dict[int, tuple[list[SlotRecord], list[Call]]] = {}
        for slot in self._session.exec(slots):
            found.setdefault(slot.depth, ([], []))[0].append(rows.slot(slot))
        for call in self._session.exec(calls):
            found.setdefault(call.depth, ([], []))[1].append(rows.call(call))
        weavings = select(WeavingRow).where(WeavingRow.strand_id == strand_id)
        woven = {row.depth: rows.weaving(row) for row in self._session.exec(weavings)}
        for depth in sorted(found.keys() | woven.keys()):
            records, made = found.get(depth, ((), ()))
            yield depth, Provenance(slots=tuple(records), calls=tuple(made), weaving=woven.get(depth))
