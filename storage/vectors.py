"""Unit vectors of a strand's passages, kept in memory between searches. Knows no SQL."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Depths = NDArray[np.int64]

# Little-endian wherever it is written, so that a database file can move between machines.
_STORED = np.dtype("<f4")
_MAX_BYTES = 256 * 2**20


class StoredVector(NamedTuple):
    """A passage row: its ever-rising id, its depth, and its vector's bytes or None."""

    id: int
    depth: int
    vector: bytes | None


# Gives the strand's rows with ids greater than the argument, in the order of their ids.
Load = Callable[[int], Iterable[StoredVector]]


def to_bytes(vector: Sequence[float]) -> bytes:
    """A vector as it is stored: little-endian float32."""
    return np.asarray(vector, dtype=_STORED).tobytes()


def from_bytes(stored: bytes) -> Floats:
    """A stored vector, shape (dimensions,)."""
    return np.frombuffer(stored, dtype=_STORED).astype(np.float32, copy=False)


class VectorCache:
    """Matrices of vectors by strand and embedder; a search reads only the rows that are new to it.

    Safe to share between threads. The strands that were not used for longest are forgotten when all
    take more than ``max_bytes``.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._matrices: OrderedDict[tuple[str, str], _Matrix] = OrderedDict()
        self._lock = threading.Lock()

    def scores(
        self, *, strand_id: str, embedder: str, vector: Sequence[float], load: Load
    ) -> tuple[Depths, Floats]:
        """Depths of a strand's passages and their dot products with ``vector``, both of shape (n,)."""
        query = np.asarray(vector, dtype=np.float32)
        with self._lock:
            return self._refreshed(strand_id, embedder, len(query), load).scores(query)

    def scores_at(
        self, *, strand_id: str, embedder: str, vector: Sequence[float], depths: Iterable[int], load: Load
    ) -> dict[int, float]:
        """Dot products of ``vector`` with the passages at some depths, by depth; none where none is kept."""
        query = np.asarray(vector, dtype=np.float32)
        with self._lock:
            return self._refreshed(strand_id, embedder, len(query), load).scores_at(query, depths)

    def _refreshed(self, strand_id: str, embedder: str, dimensions: int, load: Load) -> "_Matrix":
        key = (strand_id, embedder)
        matrix = self._matrices.pop(key, None)
        if matrix is None or matrix.dimensions != dimensions:
            matrix = _Matrix(dimensions)
        matrix.update(load(matrix.seen))
        self._matrices[key] = matrix
        self._forget()
        return matrix

    def _forget(self) -> None:
        total = sum(matrix.size for matrix in self._matrices.values())
        while total > self._max_bytes and len(self._matrices) > 1:
            _, oldest = self._matrices.popitem(last=False)
            total -= oldest.size


class _Matrix:
    """A growing matrix of one strand; row i holds the vector of depth ``_depths[i]``."""

    def __init__(self, dimensions: int) -> None:
        self.seen = 0
        self._place: dict[int, int] = {}
        self._depths: Depths = np.empty(64, dtype=np.int64)
        self._rows: Floats = np.empty((64, dimensions), dtype=np.float32)

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._rows.nbytes

    @property
    def dimensions(self) -> int:
        """Length of every vector."""
        return int(self._rows.shape[1])

    def update(self, stored: Iterable[StoredVector]) -> None:
        for row in stored:
            self.seen = row.id
            vector = None if row.vector is None else from_bytes(row.vector)
            # A vector of another length can't be compared; it counts as missing.
            if vector is None or len(vector) != self.dimensions:
                self._remove(row.depth)
            else:
                self._put(row.depth, vector)

    def scores(self, query: Floats) -> tuple[Depths, Floats]:
        count = len(self._place)
        # Row by row on one thread: a matrix product would wake every core, which slows a text model in
        # this process and, beside busy ones, takes ten times as long (25 ms instead of 0.7 at 10,000 rows).
        return self._depths[:count].copy(), np.vecdot(self._rows[:count], query)

    def scores_at(self, query: Floats, depths: Iterable[int]) -> dict[int, float]:
        places = {depth: self._place[depth] for depth in depths if depth in self._place}
        products = np.vecdot(self._rows[list(places.values())], query)
        return dict(zip(places, products.tolist(), strict=True))

    def _put(self, depth: int, vector: Floats) -> None:
        place = self._place.setdefault(depth, len(self._place))
        if place == len(self._depths):
            self._depths = np.concatenate([self._depths, np.empty_like(self._depths)])
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._depths[place] = depth
        self._rows[place] = vector

    def _remove(self, depth: int) -> None:
        place = self._place.pop(depth, None)
        if place is None:
            return
        last = len(self._place)
        if place != last:  # the last row moves into the gap
            self._depths[place] = self._depths[last]
            self._rows[place] = self._rows[last]
            self._place[int(self._depths[place])] = place
