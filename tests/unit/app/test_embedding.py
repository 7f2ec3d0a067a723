"""Vectors that are missing: made at once, or beside other work, and kept batch by batch."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from storyloom.app.embedding import FEW, Embedding
from storyloom.app.events import Cancelled, Listener
from storyloom.app.studio import Studio
from storyloom.memory.errors import ModelUnavailable
from storyloom.memory.story import Passage, Strand
from storyloom.storage.database import Database
from tests.stand_ins import WordEmbedder

MANY = 3 * FEW


class Slow(WordEmbedder):
    """Waits for leave before each batch."""

    name = "slow"

    def __init__(self) -> None:
        self.leave = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)
        self.sizes: list[int] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.sizes.append(len(texts))
        self.asked.release()
        assert self.leave.acquire(timeout=20)
        return super().embed(texts)


class Broken(WordEmbedder):
    """Can't be loaded."""

    name = "broken"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise ModelUnavailable(f"No weights for {len(texts)} texts.")


class Heard(Listener):
    """Notes progress, and stops after so many looks."""

    def __init__(self, looks: int = 10**9) -> None:
        self.progress: list[tuple[int, int]] = []
        self._looks = looks

    def on_progress(self, what: str, done: int, total: int) -> None:
        assert what == "passages to embed"
        self.progress.append((done, total))

    def cancelled(self) -> bool:
        self._looks -= 1
        return self._looks < 0


@pytest.fixture
def passages(database: Database, strand: Strand) -> Callable[[int], Strand]:
    """Gives the strand so many passages without vectors."""

    def add(count: int) -> Strand:
        with database.unit_of_work() as work:
            work.passages.add(
                [Passage(strand_id=strand.id, depth=0, text=f"Lamp {at}.", part=at) for at in range(count)]
            )
            work.commit()
        return strand

    return add


def test_all_are_made_and_their_number_is_told(database: Database, passages: Callable[[int], Strand]) -> None:
    strand, embedding, heard = passages(MANY), Embedding(database, WordEmbedder()), Heard()
    assert embedding.missing(strand) == MANY
    assert embedding.fill(strand, heard) == MANY
    assert heard.progress == [*((FEW * at, MANY) for at in range(3)), (MANY, MANY)]
    assert embedding.missing(strand) == 0
    assert embedding.fill(strand, heard) == 0
    assert len(heard.progress) == 4


def test_a_stop_keeps_what_was_made(database: Database, passages: Callable[[int], Strand]) -> None:
    strand, embedding = passages(MANY), Embedding(database, WordEmbedder())
    with pytest.raises(Cancelled, match=f"{FEW} of {MANY}"):
        embedding.fill(strand, Heard(1))
    assert embedding.missing(strand) == 2 * FEW


def test_few_are_made_at_once_and_many_beside_the_work(
    database: Database, passages: Callable[[int], Strand]
) -> None:
    embedder = Slow()
    embedding = Embedding(database, embedder)
    embedder.leave.release()
    strand = passages(FEW)
    embedding.catch_up(strand, Listener())
    assert (embedding.missing(strand), embedder.sizes) == (0, [FEW])
    embedding.catch_up(strand, Listener())
    assert embedder.sizes == [FEW]
    others = Embedding(database, other := Slow())
    other.name = "other"
    with database.unit_of_work() as work:
        work.passages.add(
            [Passage(strand_id=strand.id, depth=0, text="Sea.", part=at) for at in range(FEW, MANY)]
        )
        work.commit()
    heard = Heard()
    others.catch_up(strand, heard)
    assert other.asked.acquire(timeout=20)
    assert others.missing(strand) == MANY
    assert others.fill_in_background(strand, heard) is None  # one at a time
    for _ in range(3):
        other.leave.release()
    while others.missing(strand):
        threading.Event().wait(0.01)
    others.close()
    assert heard.progress[0] == (0, MANY)


def test_closing_waits_for_the_batch_at_hand_and_no_longer(
    database: Database, passages: Callable[[int], Strand]
) -> None:
    embedder = Slow()
    strand, embedding = passages(MANY), Embedding(database, embedder)
    thread = embedding.fill_in_background(strand, Listener())
    assert thread is not None
    assert embedder.asked.acquire(timeout=20)
    closing = threading.Thread(target=embedding.close)
    closing.start()
    embedder.leave.release()
    closing.join(timeout=20)
    assert not thread.is_alive()
    assert embedding.missing(strand) == 2 * FEW
    assert embedding.fill_in_background(strand, Listener()) is None


def test_a_broken_embedder_is_told_where_a_person_waits(
    database: Database, passages: Callable[[int], Strand]
) -> None:
    strand, embedding = passages(MANY), Embedding(database, Broken())
    thread = embedding.fill_in_background(strand, Listener())
    assert thread is not None
    thread.join(timeout=20)
    again = embedding.fill_in_background(strand, Listener())
    assert again is not None
    again.join(timeout=20)
    with pytest.raises(ModelUnavailable):
        embedding.fill(strand, Listener())


def test_an_import_that_was_cut_off_is_made_up_for(
    studio: Studio, told: Callable[[int], Path], database: Database
) -> None:
    story = studio.import_file(told(12), Listener()).id
    line = studio.show(story).strand
    mine = Embedding(database, WordEmbedder())
    for depth in range(1, 4):
        studio.editing.paragraph(story, depth, f"The whale ate wall {depth}.")
    assert mine.missing(line) == 3
    assert studio.remembering.search(story, "whale wall")
    assert mine.missing(line) == 0
    studio.editing.paragraph(story, 5, "The whale came back.")
    list(studio.write(story, Listener()))
    assert mine.missing(line) == 0
