"""Passages: what recall searches, by words and by vectors, never outside the given ancestry."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Row, func
from sqlalchemy import select as select_columns
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from storyloom.memory.errors import StepConflict
from storyloom.memory.pieces import passages as pieces_of
from storyloom.memory.recall import RecallRule
from storyloom.memory.story import Candidate, Passage, PassageKind, Segment
from storyloom.storage.locks import hold_strand
from storyloom.storage.passage_search import PassageQuery, PassageSearch
from storyloom.storage.tables import PassageRow
from storyloom.storage.vectors import VectorCache, from_bytes, to_bytes

# Enough to read a long paragraph by, and never a whole document.
_READ_PIECES = 3
_ROWS_AT_A_TIME = 500
# All of a row but its vector, which is most of it.
_READ = (
    col(PassageRow.strand_id),
    col(PassageRow.depth),
    col(PassageRow.text),
    col(PassageRow.kind),
    col(PassageRow.source),
    col(PassageRow.part),
)


class Passages:
    """The passages of one unit of work.

    Args:
        session: the unit's session.
        vectors: the cache that all units share. A unit that has written passages goes on with a cache
            of its own, because what it wrote may yet be rolled back.
    """

    def __init__(self, session: Session, *, vectors: VectorCache) -> None:
        self._session = session
        self._vectors = vectors

    def add(self, passages: Sequence[Passage]) -> None:
        """Keep new passages.

        Raises:
            StepConflict: there is a passage at one of these places already.
        """
        self._vectors = VectorCache()
        self._hold(passage.strand_id for passage in passages)
        try:
            for start in range(
                0, len(passages), _ROWS_AT_A_TIME
            ):  # a whole novel's rows would fill the memory
                self._session.add_all(_new_row(one) for one in passages[start : start + _ROWS_AT_A_TIME])
                self._session.flush()
        except IntegrityError as error:
            raise StepConflict(
                "A passage stands at this place already: somebody else wrote the step first. "
                "Nothing of theirs was touched; continue from the new last step."
            ) from error

    def of_strand(self, strand_id: str) -> Iterator[Passage]:
        """The strand's own passages with their vectors, by depth."""
        query = (
            select(PassageRow)
            .where(PassageRow.strand_id == strand_id)
            .order_by(
                col(PassageRow.depth), col(PassageRow.kind), col(PassageRow.source), col(PassageRow.part)
            )
        )
        for row in self._session.exec(query):
            vector = None if row.vector is None else tuple(from_bytes(row.vector).tolist())
            yield replace(_passage(row), vector=vector, embedder=row.embedder)

    def set_text(self, strand_id: str, depth: int, text: str) -> None:
        """Replace a paragraph's text; the vectors are of the old one and go. No passage there is no error."""
        self.replace(Passage(strand_id=strand_id, depth=depth, text=text))

    def replace(self, whole: Passage) -> None:
        """Put a text in the place of what stands there, in as many pieces as it needs.

        No passage there is no error; then there is none afterwards either.
        """
        if self.remove(whole):
            self.add(pieces_of(whole))

    def remove(self, whole: Passage) -> bool:
        """Take away all pieces of what stands at a place; whether there were any. Its text doesn't matter."""
        self._vectors = VectorCache()
        self._hold([whole.strand_id])
        rows = self._session.exec(select(PassageRow).where(*_place(whole))).all()
        for row in rows:
            self._session.delete(row)
        self._session.flush()
        return bool(rows)

    def set_vectors(self, passages: Iterable[Passage]) -> None:
        """Give passages their vectors. One that is gone or has another text by now is left alone."""
        for passage in passages:
            row = self._session.exec(select(PassageRow).where(*_place(passage), _part(passage))).first()
            if row is not None and row.text == passage.text:
                self._session.delete(row)
                self._session.flush()
                # A new row in the old one's place: its greater id is how every cache learns of the change.
                self.add([passage])

    def missing_vectors(
        self,
        segments: Sequence[Segment],
        *,
        embedder: str,
        limit: int,
        kinds: Collection[PassageKind] = tuple(PassageKind),
    ) -> list[Passage]:
        """Passages of the ancestry, of these kinds, without a vector of this embedder, at most ``limit``."""
        found: list[Passage] = []
        for segment in segments:
            for other in _made_by_others(embedder):
                query = (
                    select_columns(*_READ)
                    .where(col(PassageRow.strand_id) == segment.strand_id, other)
                    .where(col(PassageRow.depth) + 0 <= segment.depth, col(PassageRow.kind).in_(kinds))
                    .order_by(col(PassageRow.embedder), col(PassageRow.depth))
                    .limit(limit - len(found))
                )
                found += [_passage(row) for row in self._session.connection().execute(query)]
        return found

    def count_missing_vectors(self, segments: Sequence[Segment], *, embedder: str) -> int:
        """How many passages of the ancestry have no vector of this embedder."""
        query = select(func.count()).select_from(PassageRow)
        return sum(
            self._session.exec(
                query.where(PassageRow.strand_id == segment.strand_id, other).where(
                    col(PassageRow.depth) + 0 <= segment.depth
                )
            ).one()
            for segment in segments
            for other in _made_by_others(embedder)
        )

    def search(
        self,
        *,
        terms: Mapping[str, float],
        vector: Sequence[float],
        embedder: str,
        segments: Sequence[Segment],
        before: int,
        limit: int,
        rule: RecallRule | None = None,
        kinds: Collection[PassageKind] | None = None,
    ) -> list[Candidate]:
        """The passages that a rule scores highest, with what speaks for each.

        Args:
            terms: words to look for, and how much each counts; never read as search syntax. None:
                likeness alone.
            vector: the query's unit vector; an empty one: words alone.
            embedder: names the vector's embedder; other embedders' vectors count as missing.
            segments: the ancestry that is searched; nothing outside it is ever found or counts.
            before: only passages of a smaller depth are found.
            limit: most passages.
            rule: gives the weights; None: the usual ones.
            kinds: kinds of passages that are searched; None: all.

        Returns:
            At most ``limit`` candidates, best first; each holds a term or has a vector.
        """
        query = PassageQuery(
            terms=terms,
            vector=vector,
            embedder=embedder,
            segments=segments,
            before=before,
            limit=limit,
            kinds=kinds,
        )
        return PassageSearch(self._session, self._vectors).best(query, rule or RecallRule())

    def read(self, found: Candidate) -> str:
        """A found piece as it is read: joined with those beside it, three in all where there are as many."""
        query = (
            select(PassageRow.part, PassageRow.text)
            .where(*_place(found))
            .where(col(PassageRow.part).between(found.part - _READ_PIECES + 1, found.part + _READ_PIECES - 1))
            .order_by(col(PassageRow.part))
        )
        pieces = dict(self._session.exec(query).all())
        first = max(min(found.part - _READ_PIECES // 2, max(pieces, default=0) - _READ_PIECES + 1), 0)
        return "".join(pieces.get(part, "") for part in range(first, first + _READ_PIECES)).strip()

    def vector(self, found: Candidate) -> tuple[float, ...]:
        """The vector of a found piece; empty where it has none."""
        query = select(PassageRow.vector).where(*_place(found), _part(found))
        stored = self._session.exec(query).first()
        return () if stored is None else tuple(from_bytes(stored).tolist())

    def vectors(
        self, strand_id: str, kind: PassageKind, *, embedder: str
    ) -> list[tuple[str, tuple[float, ...]]]:
        """(source, vector) of a strand's own passages of a kind that have one of this embedder."""
        query = select(PassageRow.source, PassageRow.vector).where(
            PassageRow.strand_id == strand_id,
            PassageRow.kind == kind.value,
            PassageRow.embedder == embedder,
        )
        return [
            (source, tuple(from_bytes(vector).tolist()))
            for source, vector in self._session.exec(query)
            if vector is not None
        ]

    def _hold(self, strand_ids: Iterable[str]) -> None:
        """Wait for others who write passages of these strands: caches rely on ids that rise with commits."""
        for strand_id in set(strand_ids):
            hold_strand(self._session, strand_id)


def _place(passage: Passage | Candidate) -> tuple[ColumnElement[bool], ...]:
    """Where all pieces of a passage's text stand."""
    return (
        col(PassageRow.strand_id) == passage.strand_id,
        col(PassageRow.depth) == passage.depth,
        col(PassageRow.kind) == passage.kind.value,
        col(PassageRow.source) == passage.source,
    )


def _part(passage: Passage | Candidate) -> ColumnElement[bool]:
    return col(PassageRow.part) == passage.part


def _made_by_others(embedder: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Two ranges of the index on (strand, embedder, depth): "not equal" would read every row.

    So would the index on (strand, depth), which "+ 0" on the depth keeps the database from.
    """
    return col(PassageRow.embedder) < embedder, col(PassageRow.embedder) > embedder


def _new_row(passage: Passage) -> PassageRow:
    vector = passage.vector
    return PassageRow(
        strand_id=passage.strand_id,
        depth=passage.depth,
        kind=passage.kind.value,
        source=passage.source,
        part=passage.part,
        # Only a vector has an embedder: that is how the index finds the passages without one.
        embedder="" if vector is None else passage.embedder,
        text=passage.text,
        vector=None if vector is None else to_bytes(vector),
    )


def _passage(row: PassageRow | Row[*tuple[Any, ...]]) -> Passage:
    """A row, or what was read of it, without its vector."""
    return Passage(
        strand_id=row.strand_id,
        depth=row.depth,
        text=row.text,
        kind=PassageKind(row.kind),
        source=row.source,
        part=row.part,
    )
