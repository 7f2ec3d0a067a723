"""Searches the passages of an ancestry: what speaks for each of them, and the best by a rule."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, case, func, null
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from storyloom.memory.recall import RecallRule
from storyloom.memory.story import UNNAMED_CHAPTER, Candidate, PassageKind, Segment
from storyloom.memory.text import words
from storyloom.storage import evidence
from storyloom.storage.evidence import Doubles, Term
from storyloom.storage.tables import ChapterRow, PassageRow
from storyloom.storage.text_search import text_search
from storyloom.storage.vectors import Floats, Integers, Shelf, StoredPassage, VectorCache

# A term that more passages hold says little, and reading their ids would be what grows with a story.
_MOST_HOLDERS = 1_000
_MOST_TERMS = 64
_ROWS_AT_A_TIME = 1_000
# A table of places is quicker than searching, while the ids don't lie too far apart for one.
_SPREAD = 16
_KINDS = list(PassageKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageQuery:
    """What is searched for and where.

    Attributes:
        terms: words to look for and how much each counts; never read as search syntax.
        vector: the query's unit vector; an empty one: words alone.
        embedder: names the vector's embedder; other embedders' vectors count as missing.
        segments: the ancestry that is searched; nothing outside it is found or counts.
        before: only passages of a smaller depth are found or count.
        limit: most candidates.
        kinds: what is searched; None: everything.
    """

    terms: Mapping[str, float]
    vector: Sequence[float]
    embedder: str
    segments: Sequence[Segment]
    before: int
    limit: int
    kinds: Collection[PassageKind] | None = None


@dataclass(frozen=True, slots=True)
class _Searched:
    """The passages that a search looks at, as columns of equal length.

    ``groups`` numbers the chapter of each, or the text where it stands in none, and there are ``size``
    of them; ``order`` puts the rows in the order in which they are read.
    """

    ids: Integers
    lengths: Integers
    likeness: Doubles
    groups: Integers
    order: Integers
    size: int


class PassageSearch:
    """Searches in one unit of work.

    Args:
        session: the unit's session.
        vectors: the cache to read through.
    """

    def __init__(self, session: Session, vectors: VectorCache) -> None:
        self._session = session
        self._vectors = vectors
        self._text_search = text_search(session)

    def best(self, query: PassageQuery, rule: RecallRule) -> list[Candidate]:
        """The passages that the rule scores highest, best first: each holds a term or has a vector."""
        chapters = self._chapters(query.segments, query.before)
        searched = self._searched(query, np.array(list(chapters), dtype=np.int64))
        if not len(searched.ids):
            return []
        terms, titled = self._terms(query, searched.ids, list(chapters.values()))
        bm25 = evidence.shares(terms, searched.lengths)
        beside = evidence.beside(bm25, searched.groups, searched.order)
        chapter = evidence.group_shares(terms, titled, searched.lengths, searched.groups, searched.size)
        dense = evidence.standard_scores(searched.likeness)
        scores = rule.score(bm25=bm25, beside=beside, chapter=chapter, dense=dense)
        known = np.isfinite(searched.likeness)
        found = np.flatnonzero((bm25 > 0) | known)
        chosen = found[_first(-scores[found], query.limit)]
        rows = self._rows(searched.ids[chosen])
        return [
            Candidate(
                strand_id=row.strand_id,
                depth=row.depth,
                text=row.text,
                kind=PassageKind(row.kind),
                source=row.source,
                part=row.part,
                bm25=float(bm25[place]),
                beside=float(beside[place]),
                chapter=float(chapter[place]),
                likeness=float(searched.likeness[place]) if known[place] else None,
                dense=float(dense[place]),
            )
            for place, row in zip(chosen, rows, strict=True)
        ]

    def _chapters(self, segments: Sequence[Segment], before: int) -> dict[int, str]:
        """Titles of the ancestry's chapters by the depth that begins them, the story's beginning first."""
        found = {0: ""}
        for segment in reversed(segments):
            query = select(ChapterRow.depth, ChapterRow.title).where(
                ChapterRow.strand_id == segment.strand_id,
                col(ChapterRow.depth) <= segment.depth,
                col(ChapterRow.depth) < before,
            )
            found |= dict(self._session.exec(query.order_by(col(ChapterRow.depth))).all())
        return found

    def _searched(self, query: PassageQuery, starts: Integers) -> _Searched:
        vector = np.asarray(query.vector, dtype=np.float32)
        columns, likeness = [np.empty((5, 0), dtype=np.int64)], [np.empty(0)]
        texts = 0
        for segment in query.segments:
            shelf = self._shelf(segment.strand_id, query.embedder, len(vector))
            allowed = _allowed(shelf, segment, query)
            alone = np.where(shelf.texts < 0, -1, shelf.texts + texts)
            texts += int(shelf.texts.max(initial=-1)) + 1
            columns.append(np.stack([shelf.ids, shelf.depths, shelf.parts, alone, shelf.lengths])[:, allowed])
            likeness.append(_likeness(shelf, vector)[allowed])
        numbers = np.concatenate(columns, axis=1)
        by_id = np.argsort(numbers[0], kind="stable")
        ids, depths, parts, alone, lengths = numbers[:, by_id]
        chapters = _chapter_numbers(depths, starts)
        size = int(chapters.max(initial=-1)) + 1
        return _Searched(
            ids=ids,
            lengths=lengths,
            likeness=np.concatenate(likeness)[by_id],
            groups=np.where(alone < 0, chapters, size + alone),
            order=np.argsort(((alone + 1) << 40) + (depths << 16) + parts, kind="stable"),
            size=size + texts,
        )

    def _shelf(self, strand_id: str, embedder: str, dimensions: int) -> Shelf:
        rows = _StrandRows(self._session, strand_id, embedder if dimensions else None)
        return self._vectors.shelf(strand_id=strand_id, embedder=embedder, dimensions=dimensions, source=rows)

    def _terms(
        self, query: PassageQuery, ids: Integers, titles: Sequence[str]
    ) -> tuple[list[Term], list[Integers]]:
        """The query's terms with the rows that hold them, and the chapters whose titles do.

        A term that is nearly everywhere is left out, unless all are.
        """
        wanted = {term: weight for term, weight in query.terms.items() if words(term)}
        names = list(wanted)[:_MOST_TERMS]
        holders = self._text_search.holders(
            names, first=int(ids[0]), last=int(ids[-1]), most=_MOST_HOLDERS + 1
        )
        common = [len(held) > _MOST_HOLDERS for held in holders]
        place_of = _places(ids)
        title_words = [frozenset(words(title)) for title in titles]
        terms: list[Term] = []
        titled: list[Integers] = []
        for name, held, everywhere in zip(names, holders, common, strict=True):
            if everywhere and not all(common):
                continue
            terms.append(Term(wanted[name], place_of(held)))
            found = [place for place, title in enumerate(title_words) if title.issuperset(words(name))]
            titled.append(np.array(found, dtype=np.int64))
        return terms, titled

    def _rows(self, ids: Integers) -> list[Row[*tuple[Any, ...]]]:
        """What a person reads of the rows of these ids, in their order."""
        query = select_columns(
            col(PassageRow.id),
            col(PassageRow.strand_id),
            col(PassageRow.depth),
            col(PassageRow.kind),
            col(PassageRow.source),
            col(PassageRow.part),
            col(PassageRow.text),
        ).where(col(PassageRow.id).in_(ids.tolist()))
        found = {row.id: row for row in self._session.connection().execute(query)}
        return [found[id_] for id_ in ids.tolist()]


class _StrandRows:
    """A strand's rows as the unit of work sees them; without an embedder no vector is read."""

    def __init__(self, session: Session, strand_id: str, embedder: str | None) -> None:
        self._session = session
        self._of_strand = col(PassageRow.strand_id) == strand_id
        self._embedder = embedder

    def state(self) -> tuple[int, int]:
        query = select(func.count(), func.max(PassageRow.id)).where(self._of_strand)
        count, greatest = self._session.exec(query).one()
        return count, greatest or 0

    def newer(self, after: int) -> Iterator[StoredPassage]:
        vector = (
            null()
            if self._embedder is None
            else case((col(PassageRow.embedder) == self._embedder, PassageRow.vector))
        )
        query = (
            select_columns(
                col(PassageRow.id),
                col(PassageRow.depth),
                col(PassageRow.kind),
                col(PassageRow.source),
                col(PassageRow.part),
                func.length(PassageRow.text),
                vector,
            )
            .where(self._of_strand, col(PassageRow.id) > after)
            .order_by(col(PassageRow.id))
            .execution_options(yield_per=_ROWS_AT_A_TIME)
        )
        for id_, depth, kind, source, part, length, stored in self._session.connection().execute(query):
            text = "" if kind == PassageKind.PARAGRAPH else f"{kind}:{depth}:{source}"
            yield StoredPassage(id_, depth, _KINDS.index(kind), part, text, length, stored)

    def ids(self) -> Integers:
        query = select(PassageRow.id).where(self._of_strand).order_by(col(PassageRow.id))
        return np.fromiter(self._session.exec(query), dtype=np.int64)


def _allowed(shelf: Shelf, segment: Segment, query: PassageQuery) -> NDArray[np.bool_]:
    """Which rows of a strand belong to the ancestry and may be found."""
    allowed = (shelf.depths <= segment.depth) & (shelf.depths < query.before)
    if query.kinds is not None:
        allowed &= np.isin(shelf.kinds, [_KINDS.index(kind) for kind in query.kinds])
    return allowed


def _places(ids: Integers) -> Callable[[Integers], Integers]:
    """A function from ids to their places in the ascending ``ids``; those that aren't there fall out."""
    first, last = int(ids[0]), int(ids[-1])
    if last - first < _SPREAD * len(ids):
        table = np.full(last - first + 1, -1, dtype=np.int64)
        table[ids - first] = np.arange(len(ids))

        def look_up(wanted: Integers) -> Integers:
            places: Integers = table[wanted - first]
            found: Integers = places[places >= 0]
            return found

        return look_up

    def search(wanted: Integers) -> Integers:
        places: Integers = np.searchsorted(ids, wanted)  # never past the end: no id is greater than the last
        found: Integers = places[ids[places] == wanted]
        return found

    return search


def _likeness(shelf: Shelf, vector: Floats) -> Doubles:
    """Dot products of the vector with the shelf's; NaN where there is none."""
    if not len(vector):
        return np.full(len(shelf.ids), np.nan)
    # Row by row on one thread: a matrix product would wake every core, which slows a text model in this
    # process and, beside busy ones, takes ten times as long (25 ms instead of 0.7 at 10,000 rows).
    products: Floats = np.vecdot(shelf.vectors, vector)
    return products.astype(np.float64)


def _first(keys: Doubles, count: int) -> Integers:
    """Places of the smallest keys in their order; equal ones by place."""
    if count < len(keys):
        places = np.flatnonzero(keys <= np.partition(keys, count)[count])
    else:
        places = np.arange(len(keys))
    return places[np.argsort(keys[places], kind="stable")][:count]


def _chapter_numbers(depths: Integers, starts: Integers) -> Integers:
    """The chapter of each depth, counted from 0; a fixed number of steps makes one where none is named."""
    if len(starts) > 1:
        return np.searchsorted(starts, depths, side="right") - 1
    return np.maximum(depths - 1, 0) // UNNAMED_CHAPTER
