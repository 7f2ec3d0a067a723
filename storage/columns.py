"""Column types of our own: moments in UTC, long texts kept compressed, and vectors."""

import zlib
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import DateTime, Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator, TypeEngine

from storyloom.storage.vectors import from_bytes, to_bytes


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with a time zone, stored in UTC; SQLite keeps no zone of its own."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn any zone into UTC; a moment without a zone would be a guess, so it is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone can't be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        return value if value is None else value.replace(tzinfo=UTC)


class CompressedText(TypeDecorator[str]):
    """UTF-8 text compressed by zlib: prompts repeat themselves and are rarely read."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Compress."""
        return None if value is None else zlib.compress(value.encode())

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Decompress."""
        return None if value is None else zlib.decompress(value).decode()


class StoredVector(TypeDecorator[bytes]):
    """A vector as little-endian float32: a blob in SQLite, pgvector's type in PostgreSQL.

    pgvector keeps finite numbers only. A vector with another is kept as none there, which searches
    take it for anyway.
    """

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column's type."""
        if dialect.name != "postgresql":
            return super().load_dialect_impl(dialect)
        from pgvector.sqlalchemy import VECTOR  # an extra, which only PostgreSQL needs

        return dialect.type_descriptor(VECTOR())

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> Any:
        """Bytes as the column takes them."""
        if value is None or dialect.name != "postgresql":
            return value
        numbers = from_bytes(value)
        return numbers.tolist() if len(numbers) and np.isfinite(numbers).all() else None

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """Bytes from what the column gives."""
        return value if value is None or dialect.name != "postgresql" else to_bytes(value)
