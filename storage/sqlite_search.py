"""Full-text search by SQLite's FTS5. PostgreSQL's counterpart would offer the same three methods."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlmodel import Session

from storyloom.memory.story import Segment

# Scoring costs about 10 µs a row, so a search scores at most this many. They are those of the rarest
# terms: a term that half of the passages hold weighs nothing in BM25 anyway. So the cost of a search
# doesn't grow with the story.
_MOST_ROWS = 250
_MOST_TERMS = 64
_LONGEST_TERM = 100

# One statement for all terms; each is counted no further than the most rows that are scored.
_COUNTS = text(
    """
    SELECT term.value, (
        SELECT count(*) FROM (
            SELECT 1 FROM passage_fts
            WHERE passage_fts MATCH :scope || '({text}: ' || term.value || ')' LIMIT :most
        )
    )
    FROM json_each(:terms) AS term
    """
)
# The newest rows win where even the rarest term has too many; FTS5 reads them newest first by itself.
_RANK = text(
    """
    WITH segment AS MATERIALIZED (
        SELECT json_extract(value, '$[0]') AS strand_id, json_extract(value, '$[1]') AS depth
        FROM json_each(:segments)
    )
    SELECT passage.id, -bm25(passage_fts, 0.0, 1.0) AS score
    FROM passage_fts CROSS JOIN passage ON passage.id = passage_fts.rowid
    WHERE passage_fts MATCH :match AND passage.depth < :before AND EXISTS (
        SELECT 1 FROM segment
        WHERE segment.strand_id = passage.strand_id AND passage.depth <= segment.depth
    )
    ORDER BY passage_fts.rowid DESC LIMIT :most
    """
)
_SCORES = text(
    """
    SELECT rowid, -bm25(passage_fts, 0.0, 1.0) FROM passage_fts
    WHERE passage_fts MATCH :match AND +rowid IN (SELECT value FROM json_each(:ids))
    """
)
_LAST_ID = text("SELECT max(id) FROM passage")


class SqliteTextSearch:
    """FTS5 over the passages of one unit of work. Scores are BM25, higher is better."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def expression(self, terms: Iterable[str], segments: Sequence[Segment]) -> str:
        """The search for any of the terms in the strands of ``segments``; empty when it would find nothing.

        A person's text can't become search syntax: every term is a quoted phrase.
        """
        quoted = list(dict.fromkeys(_quoted(term) for term in terms if term.strip()))[:_MOST_TERMS]
        scope = self._scope(segments)
        chosen: list[str] = []
        rows = 0
        for count, term in sorted((count, term) for term, count in self._counts(quoted, scope).items()):
            if count and (not chosen or rows + count <= _MOST_ROWS):
                chosen.append(term)
                rows += count
        return f"{scope}({{text}}: ({' OR '.join(chosen)}))" if chosen else ""

    def rank(self, expression: str, *, segments: Sequence[Segment], before: int, limit: int) -> list[int]:
        """Ids of the best passages of ``segments`` of smaller depth than ``before``, best first."""
        if not expression:
            return []
        parameters = {
            "match": expression,
            "segments": json.dumps([[segment.strand_id, segment.depth] for segment in segments]),
            "before": before,
            "most": _MOST_ROWS,
        }
        found = sorted(self._rows(_RANK, parameters), key=lambda row: (-row[1], row[0]))
        return [row[0] for row in found[:limit]]

    def scores(self, expression: str, ids: Iterable[int]) -> dict[int, float]:
        """Scores by passage id, of those of ``ids`` that the search finds."""
        if not expression:
            return {}
        return {
            row[0]: row[1] for row in self._rows(_SCORES, {"match": expression, "ids": json.dumps(list(ids))})
        }

    def _scope(self, segments: Sequence[Segment]) -> str:
        """Narrows a search to the strands, or nothing where they are most of the database.

        Other stories' passages would use up the rows that may be scored. Narrowing reads all of the
        strands' entries, so it isn't done where there is little else to leave out.
        """
        last_id = self._rows(_LAST_ID, {})[0][0] or 0
        if not segments or 2 * max(segment.depth for segment in segments) >= last_id:
            return ""
        strands = " OR ".join(_quoted(segment.strand_id) for segment in segments)
        return f"({{strand_id}}: ({strands})) AND "

    def _counts(self, terms: list[str], scope: str) -> dict[str, int]:
        """In how many passages each term is, counted up to the most rows that are scored."""
        parameters = {"terms": json.dumps(terms), "scope": scope, "most": _MOST_ROWS}
        return {row[0]: row[1] for row in self._rows(_COUNTS, parameters)}

    def _rows(self, statement: TextClause, parameters: dict[str, Any]) -> Sequence[Row[*tuple[Any, ...]]]:
        return self._session.connection().execute(statement, parameters).all()


def _quoted(term: str) -> str:
    """A term as an FTS5 string; NUL would end the expression, and half characters can't be sent."""
    sendable = term[:_LONGEST_TERM].replace("\0", " ").encode("utf-8", "replace").decode()
    return '"' + sendable.replace('"', '""') + '"'
