"""Full-text search over the passages, by whatever the database has for it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from storyloom.storage.postgresql_search import PostgresqlTextSearch
from storyloom.storage.sqlite_search import SqliteTextSearch


class TextSearch(Protocol):
    """Finds the passages that hold words, in one unit of work."""

    def holders(self, terms: Sequence[str], *, first: int, last: int, most: int) -> list[NDArray[np.int64]]:
        """For each term the ids, ascending, of the passages that hold it in any of its forms.

        A person's text can't become search syntax: every term is a phrase, however it is written.

        Args:
            terms: what to look for.
            first: the least id that counts.
            last: the greatest.
            most: most ids of each term.
        """


def text_search(session: Session) -> TextSearch:
    """The search that fits the session's database."""
    if session.get_bind().dialect.name == "postgresql":
        return PostgresqlTextSearch(session)
    return SqliteTextSearch(session)
