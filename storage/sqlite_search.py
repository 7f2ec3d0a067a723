"""Full-text search by SQLite's FTS5."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlmodel import Session

_LONGEST_TERM = 100

# One statement for all terms. FTS5's own bm25() would read a row of its tables for each passage found;
# a list of ids is a hundred times cheaper, and in short passages it ranks as well.
_HOLDERS = text(
    """
    SELECT term.key, (
        SELECT group_concat(id) FROM (
            SELECT rowid AS id FROM passage_fts
            WHERE passage_fts MATCH '{text}: ' || term.value AND rowid BETWEEN :first AND :last
            LIMIT :most
        )
    )
    FROM json_each(:terms) AS term
    """
)


class SqliteTextSearch:
    """FTS5 over the passages of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def holders(self, terms: Sequence[str], *, first: int, last: int, most: int) -> list[NDArray[np.int64]]:
        """For each term the ids of the passages that hold it; a quoted phrase is never search syntax."""
        parameters = {
            "terms": json.dumps([_quoted(term) for term in terms]),
            "first": first,
            "last": last,
            "most": most,
        }
        found: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(terms)
        for place, ids in self._session.connection().execute(_HOLDERS, parameters):
            if ids is not None:
                found[place] = np.fromstring(ids, dtype=np.int64, sep=",")
        return found


def _quoted(term: str) -> str:
    """A term as an FTS5 string; NUL would end the expression, and half characters can't be sent."""
    sendable = term[:_LONGEST_TERM].replace("\0", " ").encode("utf-8", "replace").decode()
    return '"' + sendable.replace('"', '""') + '"'
