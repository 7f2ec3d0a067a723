"""Passages: what recall searches, by words and by vectors, never outside the given ancestry."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, func
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from storyloom.memory.errors import StepConflict
from storyloom.memory.story import Candidate, Passage, PassageKind, Segment
from storyloom.storage.sqlite_search import SqliteTextSearch
from storyloom.storage.tables import PassageRow
from storyloom.storage.vectors import Load, StoredVector, VectorCache, from_bytes, to_bytes

# A strand's id and a depth.
Place = tuple[str, int]


class _Hit(NamedTuple):
    """A passage that a search found; hits sort by depth."""

    depth: int
    strand_id: str
    id: int
    text: str


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
        self._text_search = SqliteTextSearch(session)

    def add(self, passages: Sequence[Passage]) -> None:
        """Keep new passages.

        Raises:
            StepConflict: there is a passage at one of these places already.
        """
        self._vectors = VectorCache()
        self._session.add_all(_new_row(passage) for passage in passages)
        try:
            self._session.flush()
        except IntegrityError as error:
            raise StepConflict(
                "A passage stands at this place already: somebody else wrote the step first. "
                "Nothing of theirs was touched; continue from the new last step."
            ) from error

    def of_strand(self, strand_id: str) -> Iterator[Passage]:
        """The strand's own passages with their vectors, by depth."""
        query = select(PassageRow).where(PassageRow.strand_id == strand_id).order_by(col(PassageRow.depth))
        for row in self._session.exec(query):
            yield _passage(row)

    def set_text(self, strand_id: str, depth: int, text: str) -> None:
        """Replace a passage's text; its vector is of the old text and goes. No passage there is no error."""
        row = self._row(strand_id, depth)
        if row is not None:
            self._replace(row, Passage(strand_id=strand_id, depth=depth, text=text))

    def set_vectors(self, passages: Iterable[Passage]) -> None:
        """Give passages their vectors. One that is gone or has another text by now is left alone."""
        for passage in passages:
            row = self._row(passage.strand_id, passage.depth)
            if row is not None and row.text == passage.text:
                self._replace(row, passage)

    def missing_vectors(self, segments: Sequence[Segment], *, embedder: str, limit: int) -> list[Passage]:
        """Passages of the ancestry that have no vector of this embedder, at most ``limit``."""
        found: list[Passage] = []
        for segment in segments:
            for other in _made_by_others(embedder):
                query = (
                    select(PassageRow.depth, PassageRow.text)
                    .where(PassageRow.strand_id == segment.strand_id, other)
                    .where(col(PassageRow.depth) + 0 <= segment.depth)
                    .limit(limit - len(found))
                )
                found += [
                    Passage(strand_id=segment.strand_id, depth=depth, text=text)
                    for depth, text in self._session.exec(query)
                ]
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
        terms: Sequence[str],
        vector: Sequence[float],
        embedder: str,
        segments: Sequence[Segment],
        before: int,
        limit: int,
    ) -> list[Candidate]:
        """The best passages by words and the nearest by likeness, each with both scores where it has them.

        Args:
            terms: words to look for, any of them; never read as search syntax. None: likeness alone.
            vector: the query's unit vector; an empty one: words alone.
            embedder: names the vector's embedder; other embedders' vectors are left out.
            segments: the ancestry that is searched; nothing outside it is ever found.
            before: only passages of a smaller depth are found.
            limit: most passages of each of the two searches.

        Returns:
            At most ``2 * limit`` candidates, oldest passages first.
        """
        expression = self._text_search.expression(terms, segments)
        ranked = self._text_search.rank(expression, segments=segments, before=before, limit=limit)
        nearest = self._nearest(vector, segments=segments, before=before, limit=limit, embedder=embedder)
        found = {*self._with_ids(ranked), *self._at_places(nearest)}
        by_text = self._text_search.scores(expression, [hit.id for hit in found])
        by_likeness = self._likeness(found, vector=vector, embedder=embedder)
        return [
            Candidate(
                strand_id=hit.strand_id,
                depth=hit.depth,
                text=hit.text,
                bm25=by_text.get(hit.id),
                dense=by_likeness.get((hit.strand_id, hit.depth)),
            )
            for hit in sorted(found)
        ]

    def _nearest(
        self, vector: Sequence[float], *, segments: Sequence[Segment], before: int, limit: int, embedder: str
    ) -> list[Place]:
        """Places of the passages nearest to the vector."""
        if not len(vector):
            return []
        best: list[tuple[float, Place]] = []
        for segment in segments:
            depths, scores = self._vectors.scores(
                strand_id=segment.strand_id,
                embedder=embedder,
                vector=vector,
                load=self._loader(segment.strand_id, embedder),
            )
            allowed = np.flatnonzero((depths <= segment.depth) & (depths < before) & np.isfinite(scores))
            if len(allowed) > limit:
                allowed = allowed[np.argpartition(-scores[allowed], limit - 1)[:limit]]
            best += [(float(scores[row]), (segment.strand_id, int(depths[row]))) for row in allowed]
        return [place for _, place in sorted(best, reverse=True)[:limit]]

    def _likeness(
        self, found: Iterable[_Hit], *, vector: Sequence[float], embedder: str
    ) -> dict[Place, float]:
        """Dot products of the vector with the passages found, by place."""
        if not len(vector):
            return {}
        depths: defaultdict[str, list[int]] = defaultdict(list)
        for hit in found:
            depths[hit.strand_id].append(hit.depth)
        scores: dict[Place, float] = {}
        for strand_id, wanted in depths.items():
            load = self._loader(strand_id, embedder)
            products = self._vectors.scores_at(
                strand_id=strand_id, embedder=embedder, vector=vector, depths=wanted, load=load
            )
            scores |= {(strand_id, depth): score for depth, score in products.items() if isfinite(score)}
        return scores

    def _loader(self, strand_id: str, embedder: str) -> Load:
        """Reads the strand's rows that are newer than an id; other embedders' vectors count as missing."""
        query = select(PassageRow.id, PassageRow.depth, PassageRow.embedder, PassageRow.vector).where(
            PassageRow.strand_id == strand_id
        )

        def load(after: int) -> Iterator[StoredVector]:
            newer = query.where(col(PassageRow.id) > after).order_by(col(PassageRow.id))
            for id_, depth, made_by, vector in self._session.exec(newer):
                yield StoredVector(id_ or 0, depth, vector if made_by == embedder else None)

        return load

    def _with_ids(self, ids: Sequence[int]) -> list[_Hit]:
        return self._hits(col(PassageRow.id).in_(ids)) if ids else []

    def _at_places(self, places: Iterable[Place]) -> list[_Hit]:
        depths: defaultdict[str, list[int]] = defaultdict(list)
        for strand_id, depth in places:
            depths[strand_id].append(depth)
        found: list[_Hit] = []
        for strand_id, wanted in depths.items():
            found += self._hits((col(PassageRow.strand_id) == strand_id) & col(PassageRow.depth).in_(wanted))
        return found

    def _hits(self, condition: ColumnElement[bool]) -> list[_Hit]:
        query = select(PassageRow.depth, PassageRow.strand_id, PassageRow.id, PassageRow.text).where(
            condition
        )
        return [
            _Hit(depth, strand_id, id_ or 0, text)
            for depth, strand_id, id_, text in self._session.exec(query)
        ]

    def _row(self, strand_id: str, depth: int) -> PassageRow | None:
        query = select(PassageRow).where(PassageRow.strand_id == strand_id, PassageRow.depth == depth)
        return self._session.exec(query).first()

    def _replace(self, row: PassageRow, passage: Passage) -> None:
        """A new row in the old one's place: its greater id is how every cache learns of the change."""
        self._vectors = VectorCache()
        self._session.delete(row)
        self._session.flush()
        self._session.add(_new_row(passage))
        self._session.flush()


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


def _passage(row: PassageRow) -> Passage:
    return Passage(
        strand_id=row.strand_id,
        depth=row.depth,
        text=row.text,
        kind=PassageKind(row.kind),
        source=row.source,
        part=row.part,
        vector=None if row.vector is None else tuple(from_bytes(row.vector).tolist()),
        embedder=row.embedder,
    )
