from collections.abc import Iterable

import numpy as np
import pytest

from storyloom.storage.vectors import (
    Integers,
    PassageSource,
    Shelf,
    StoredPassage,
    VectorCache,
    from_bytes,
    to_bytes,
)


class Table:
    """Rows of one strand, as one unit of work sees them, and how many of them each search read."""

    def __init__(self, rows: Iterable[StoredPassage] = (), number: int = 0) -> None:
        self.rows = list(rows)
        self.number = number
        self.read: list[int] = []

    def put(self, depth: int, *vector: float, text: str = "", part: int = 0) -> None:
        self.take(depth)
        self.number += 1
        stored = to_bytes(vector) if vector else None
        self.rows.append(StoredPassage(self.number, depth, 0, part, text, 10 * depth, stored))

    def take(self, depth: int) -> None:
        self.rows = [row for row in self.rows if row.depth != depth]

    def as_it_is(self) -> "Table":
        """What a reader goes on seeing whose moment is now."""
        return Table(self.rows, self.number)

    def state(self) -> tuple[int, int]:
        return len(self.rows), max((row.id for row in self.rows), default=0)

    def newer(self, after: int) -> Iterable[StoredPassage]:
        newer = [row for row in self.rows if row.id > after]
        self.read.append(len(newer))
        return newer

    def ids(self) -> Integers:
        return np.array([row.id for row in self.rows], dtype=np.int64)


@pytest.fixture
def table() -> Table:
    return Table()


def shelf(
    cache: VectorCache,
    source: PassageSource,
    dimensions: int = 1,
    strand: str = "s",
    embedder: str = "e",
) -> Shelf:
    return cache.shelf(strand_id=strand, embedder=embedder, dimensions=dimensions, source=source)


def vectors(found: Shelf) -> dict[int, list[float]]:
    return dict(zip(found.depths.tolist(), found.vectors.tolist(), strict=True))


def test_a_vector_is_stored_as_little_endian_float32() -> None:
    assert to_bytes([1.0, -2.5]) == b"\x00\x00\x80\x3f\x00\x00\x20\xc0"
    assert from_bytes(to_bytes([1.0, -2.5])).tolist() == [1.0, -2.5]


def test_each_search_reads_only_what_is_new(table: Table) -> None:
    cache = VectorCache()
    for depth in range(1, 201):
        table.put(depth, float(depth))
    found = shelf(cache, table)
    assert vectors(found) == {depth: [float(depth)] for depth in range(1, 201)}
    assert found.lengths.tolist() == [10 * depth for depth in range(1, 201)]
    table.put(201, 0.5)
    assert vectors(shelf(cache, table))[201] == [0.5]
    shelf(cache, table)
    assert table.read == [200, 1]


def test_a_changed_row_takes_the_old_ones_place_and_a_deleted_one_goes(table: Table) -> None:
    cache = VectorCache()
    for depth in (1, 2, 3):
        table.put(depth, float(depth))
    before = shelf(cache, table)
    table.put(1, 9.0)
    table.take(2)
    assert vectors(shelf(cache, table)) == {3: [3.0], 1: [9.0]}
    assert vectors(before) == {1: [1.0], 2: [2.0], 3: [3.0]}  # what was given out stays as it was
    table.take(1)  # the newest: the greatest id falls
    assert vectors(shelf(cache, table)) == {3: [3.0]}
    table.take(3)
    assert vectors(shelf(cache, table)) == {}
    table.put(4, 5.0)
    assert vectors(shelf(cache, table)) == {4: [5.0]}


def test_readers_of_different_moments_each_see_their_own(table: Table) -> None:
    cache = VectorCache()
    for depth in (1, 2, 3):
        table.put(depth, float(depth))
    old = table.as_it_is()
    table.put(2, 7.0)
    table.take(3)
    table.put(4, 4.0)
    for _ in range(2):
        assert vectors(shelf(cache, table)) == {1: [1.0], 2: [7.0], 4: [4.0]}
        assert vectors(shelf(cache, old)) == {1: [1.0], 2: [2.0], 3: [3.0]}


def test_a_vector_that_is_missing_or_of_another_length_is_not_a_number(table: Table) -> None:
    cache = VectorCache()
    table.put(1, 1.0, 2.0)
    table.put(2, 1.0, 2.0, 3.0)
    table.put(3)
    assert np.isnan(shelf(cache, table, 2).vectors).tolist() == [[False] * 2, [True] * 2, [True] * 2]
    assert np.isnan(shelf(cache, table, 3).vectors).any(axis=1).tolist() == [True, False, True]
    assert shelf(cache, table, 0).vectors.shape == (3, 0)


def test_pieces_of_one_text_share_its_number(table: Table) -> None:
    table.put(1)
    table.put(2, text="lore:a")
    table.put(3, text="lore:b")
    table.put(4, text="lore:a", part=1)
    found = shelf(VectorCache(), table)
    assert found.texts.tolist() == [-1, 0, 1, 0]
    assert found.parts.tolist() == [0, 0, 0, 1]


def test_strands_and_embedders_are_kept_apart(table: Table) -> None:
    cache = VectorCache()
    table.put(1, 1.0)
    other = Table()
    other.put(1, 7.0)
    assert vectors(shelf(cache, table)) == {1: [1.0]}
    assert vectors(shelf(cache, other, strand="t")) == {1: [7.0]}
    assert vectors(shelf(cache, other, embedder="f")) == {1: [7.0]}
    assert vectors(shelf(cache, table)) == {1: [1.0]}


def test_what_wasnt_used_longest_is_forgotten_when_memory_runs_out(table: Table) -> None:
    table.put(1, *np.ones(1000).tolist())
    cache = VectorCache(max_bytes=600_000)  # two strands of 64 rows of 1,000 numbers
    for strand in ("a", "b", "a", "c", "a", "b"):
        shelf(cache, table, 1000, strand=strand)
    assert table.read == [1, 1, 1, 1]
