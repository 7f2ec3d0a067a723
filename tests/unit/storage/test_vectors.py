from collections.abc import Callable, Iterable

import numpy as np
import pytest

from storyloom.storage.vectors import StoredVector, VectorCache, from_bytes, to_bytes


class Table:
    """Rows of one strand, and how many of them each search read."""

    def __init__(self) -> None:
        self.rows: list[StoredVector] = []
        self.read: list[int] = []

    def put(self, depth: int, *vector: float) -> None:
        self.rows = [row for row in self.rows if row.depth != depth]
        number = getattr(self, "number", 0) + 1
        self.number = number
        self.rows.append(StoredVector(number, depth, to_bytes(vector) if vector else None))

    def load(self, after: int) -> Iterable[StoredVector]:
        newer = [row for row in self.rows if row.id > after]
        self.read.append(len(newer))
        return newer


@pytest.fixture
def table() -> Table:
    return Table()


def search(
    cache: VectorCache, table: Table, *vector: float, strand: str = "s", embedder: str = "e"
) -> dict[int, float]:
    depths, scores = cache.scores(strand_id=strand, embedder=embedder, vector=vector, load=table.load)
    return dict(zip(depths.tolist(), scores.tolist(), strict=True))


def test_a_vector_is_stored_as_little_endian_float32() -> None:
    assert to_bytes([1.0, -2.5]) == b"\x00\x00\x80\x3f\x00\x00\x20\xc0"
    assert from_bytes(to_bytes([1.0, -2.5])).tolist() == [1.0, -2.5]


def test_each_search_reads_only_what_is_new(table: Table) -> None:
    cache = VectorCache()
    for depth in range(1, 201):
        table.put(depth, float(depth), 1.0)
    assert search(cache, table, 1.0, 0.0) == {depth: float(depth) for depth in range(1, 201)}
    table.put(201, 0.5, 0.0)
    assert search(cache, table, 1.0, 0.0)[201] == 0.5
    search(cache, table, 1.0, 0.0)
    assert table.read == [200, 1, 0]


def test_a_changed_row_takes_the_old_ones_place_and_an_emptied_one_goes(table: Table) -> None:
    cache = VectorCache()
    for depth in (1, 2, 3):
        table.put(depth, float(depth), 0.0)
    search(cache, table, 1.0, 0.0)
    table.put(1, 9.0, 0.0)
    table.put(2)
    table.put(4)
    assert search(cache, table, 1.0, 0.0) == {1: 9.0, 3: 3.0}
    table.put(3)
    table.put(1)
    assert search(cache, table, 1.0, 0.0) == {}
    table.put(2, 5.0, 0.0)
    assert search(cache, table, 1.0, 0.0) == {2: 5.0}


def test_some_depths_can_be_asked_for(table: Table) -> None:
    cache = VectorCache()
    for depth in (1, 2, 3):
        table.put(depth, float(depth), 0.0)
    ask: Callable[[list[int]], dict[int, float]] = lambda depths: cache.scores_at(  # noqa: E731
        strand_id="s", embedder="e", vector=(2.0, 0.0), depths=depths, load=table.load
    )
    assert ask([3, 1, 8]) == {3: 6.0, 1: 2.0}
    assert ask([]) == {}


def test_vectors_of_another_length_arent_compared(table: Table) -> None:
    cache = VectorCache()
    table.put(1, 1.0, 2.0)
    table.put(2, 1.0, 2.0, 3.0)
    assert search(cache, table, 1.0, 1.0) == {1: 3.0}
    assert search(cache, table, 1.0, 1.0, 1.0) == {2: 6.0}
    assert search(cache, table, 1.0, 1.0) == {1: 3.0}


def test_strands_and_embedders_are_kept_apart(table: Table) -> None:
    cache = VectorCache()
    table.put(1, 1.0)
    other = Table()
    other.put(1, 7.0)
    assert search(cache, table, 1.0) == {1: 1.0}
    assert search(cache, other, 1.0, strand="t") == {1: 7.0}
    assert search(cache, other, 1.0, embedder="f") == {1: 7.0}
    assert search(cache, table, 1.0) == {1: 1.0}


def test_what_wasnt_used_longest_is_forgotten_when_memory_runs_out(table: Table) -> None:
    table.put(1, *np.ones(1000).tolist())
    cache = VectorCache(max_bytes=600_000)  # two strands of 64 rows of 1,000 numbers
    query = np.ones(1000).tolist()
    for strand in ("a", "b", "a", "c", "a", "b"):
        search(cache, table, *query, strand=strand)
    assert table.read == [1, 1, 0, 1, 0, 1]
