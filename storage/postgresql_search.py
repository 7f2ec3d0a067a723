"""Full-text search by PostgreSQL's ``tsvector``."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlmodel import Session

_LONGEST_TERM = 100

# One statement for all terms. The queries are made first, once each, and not again for every row.
_HOLDERS = text(
    """
    WITH term AS MATERIALIZED (
        SELECT place, phraseto_tsquery('storyloom', storyloom_fold(value)) AS query
        FROM unnest(CAST(:terms AS text[])) WITH ORDINALITY AS given(value, place)
    )
    SELECT term.place, ARRAY(
        SELECT id FROM passage
        WHERE words @@ term.query AND id BETWEEN :first AND :last
        ORDER BY id LIMIT :most
    )
    FROM term
    """
)


class PostgresqlTextSearch:
    """``tsvector`` over the passages of one unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def holders(self, terms: Sequence[str], *, first: int, last: int, most: int) -> list[NDArray[np.int64]]:
        """For each term the ids of the passages that hold it; its text is only a value, never syntax."""
        parameters = {
            "terms": [_sendable(term) for term in terms],
            "first": first,
            "last": last,
            "most": most,
        }
        found: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(terms)
        for place, ids in self._session.connection().execute(_HOLDERS, parameters):
            found[place - 1] = np.array(ids, dtype=np.int64)
        return found


def _sendable(term: str) -> str:
    """A term without half characters, which can't be sent."""
    return term[:_LONGEST_TERM].encode("utf-8", "replace").decode()
