"""What differs from one kind of database to another, and which module knows a kind."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from sqlalchemy import URL, Connection, Engine

from storyloom.storage import postgresql, sqlite


class Dialect(Protocol):
    """A module that knows one kind of database."""

    def open_engines(self, url: URL, *, busy_seconds: float) -> tuple[Engine, Engine]:
        """An engine for readers and one for writers, on one pool of connections to what ``url`` names.

        Args:
            url: the database.
            busy_seconds: how long to wait for another writer before giving up.

        Raises:
            StoreUnavailable: it can't be opened.
        """

    def hold_schema(self, connection: Connection) -> None:
        """Keep others from changing the schema until the writer's transaction ends."""

    def problems(self, connection: Connection) -> list[str]:
        """What the database's own checks find wrong; empty when it is well."""

    def location(self, url: URL) -> str:
        """Where the database is, for a person, without a password."""


DIALECTS: Mapping[str, Dialect] = MappingProxyType({"sqlite": sqlite, "postgresql": postgresql})
