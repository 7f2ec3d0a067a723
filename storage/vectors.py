"""What a search needs of a strand's passages, kept in memory between searches. Knows no SQL."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# Little-endian wherever it is written, so that a database file can move between machines.
_STORED = np.dtype("<f4")
_MAX_BYTES = 256 * 2**20
_FIRST_ROWS = 64


class StoredPassage(NamedTuple):
    """A passage row: its ever-rising id, its place, its text's length and its vector's bytes or None.

    ``kind`` is a number for its kind; ``text`` names the text that it is a piece of, and is empty for a
    step's paragraph.
    """

    id: int
    depth: int
    kind: int
    part: int
    text: str
    length: int
    vector: bytes | None


class PassageSource(Protocol):
    """Reads a strand's rows as one unit of work sees them."""

    def state(self) -> tuple[int, int]:
        """How many rows there are, and the greatest id among them (0 without any)."""

    def newer(self, after: int) -> Iterable[StoredPassage]:
        """The rows with ids greater than ``after``, in the order of their ids."""

    def ids(self) -> Integers:
        """The ids of all rows, ascending."""


class Shelf(NamedTuple):
    """A strand's passages as columns of equal length, by ascending id. Nobody writes to them.

    ``texts`` numbers the text that a passage is a piece of, -1 for a step's paragraph; ``vectors`` has
    a row of NaN where there is no vector.
    """

    ids: Integers
    depths: Integers
    kinds: Integers
    parts: Integers
    texts: Integers
    lengths: Integers
    vectors: Floats


def to_bytes(vector: Sequence[float]) -> bytes:
    """A vector as it is stored: little-endian float32."""
    return np.asarray(vector, dtype=_STORED).tobytes()


def from_bytes(stored: bytes) -> Floats:
    """A stored vector, shape (dimensions,)."""
    return np.frombuffer(stored, dtype=_STORED).astype(np.float32, copy=False)


class VectorCache:
    """Shelves by strand and embedder; a search reads only the rows that are new to it.

    Safe to share between threads. The strands that were not used for longest are forgotten when all
    take more than ``max_bytes``.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._columns: OrderedDict[tuple[str, str, int], _Columns] = OrderedDict()
        self._lock = threading.Lock()

    def shelf(self, *, strand_id: str, embedder: str, dimensions: int, source: PassageSource) -> Shelf:
        """The strand's passages as ``source`` sees them, with this embedder's vectors.

        Args:
            strand_id: the strand.
            embedder: names the embedder of the vectors that ``source`` gives.
            dimensions: length of its vectors; one of another length counts as missing.
            source: reads the rows.
        """
        key = (strand_id, embedder, dimensions)
        with self._lock:
            columns = self._columns.pop(key, None) or _Columns(dimensions)
            self._columns[key] = columns
            columns.update(source)
            self._forget()
            return columns.shelf()

    def _forget(self) -> None:
        total = sum(columns.size for columns in self._columns.values())
        while total > self._max_bytes and len(self._columns) > 1:
            _, oldest = self._columns.popitem(last=False)
            total -= oldest.size


class _Columns:
    """The columns of one strand, with room to grow. Rows that were given out are never written again."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._clear()

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._numbers.nbytes + self._vectors.nbytes

    def shelf(self) -> Shelf:
        ids, depths, kinds, parts, texts, lengths = self._numbers[:, : self._count]
        return Shelf(ids, depths, kinds, parts, texts, lengths, self._vectors[: self._count])

    def update(self, source: PassageSource) -> None:
        """Become what ``source`` sees, whether that is newer than what was seen before, or older.

        Rows are only ever added with greater ids and taken away, so that the number of rows and the
        greatest id tell whether anything but an addition has happened.
        """
        count, greatest = source.state()
        if greatest > self._greatest:
            self._add(source.newer(self._greatest), count)
        if (self._count, self._greatest) != (count, greatest):
            self._keep(source.ids())
        if self._count != count:  # what is seen is older than what was, and holds rows that went since
            self._clear()
            self._add(source.newer(0), count)

    @property
    def _greatest(self) -> int:
        return int(self._numbers[0, self._count - 1]) if self._count else 0

    def _clear(self) -> None:
        self._count = 0
        self._numbers: Integers = np.empty((len(Shelf._fields) - 1, _FIRST_ROWS), dtype=np.int64)
        self._vectors: Floats = np.empty((_FIRST_ROWS, self._dimensions), dtype=np.float32)
        self._text_numbers: dict[str, int] = {"": -1}

    def _add(self, rows: Iterable[StoredPassage], expected: int) -> None:
        for row in rows:
            if self._count == len(self._vectors):
                self._grow(max(2 * self._count, min(expected, 2**20)))
            number = self._text_numbers.setdefault(row.text, len(self._text_numbers) - 1)
            self._numbers[:, self._count] = (row.id, row.depth, row.kind, row.part, number, row.length)
            self._vectors[self._count] = self._vector(row.vector)
            self._count += 1

    def _vector(self, stored: bytes | None) -> Floats | float:
        if stored is None or len(stored) != self._dimensions * _STORED.itemsize:
            return np.nan
        return from_bytes(stored)

    def _grow(self, rows: int) -> None:
        numbers = np.empty((len(self._numbers), rows), dtype=np.int64)
        numbers[:, : self._count] = self._numbers[:, : self._count]
        vectors = np.empty((rows, self._dimensions), dtype=np.float32)
        vectors[: self._count] = self._vectors[: self._count]
        self._numbers, self._vectors = numbers, vectors

    def _keep(self, ids: Integers) -> None:
        kept = np.isin(self._numbers[0, : self._count], ids)
        self._numbers = self._numbers[:, : self._count][:, kept]
        self._vectors = self._vectors[: self._count][kept]
        self._count = len(self._vectors)
