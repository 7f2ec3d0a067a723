"""Vectors for passages that have none: imported, edited, or made by another embedder."""

import threading
from contextlib import suppress
from dataclasses import replace

from storyloom.app.events import Cancelled, Listener
from storyloom.memory.errors import StoryloomError
from storyloom.memory.ports import Embedder
from storyloom.memory.story import Strand
from storyloom.storage.database import Database

FEW = 32  # passages that are embedded at once
PASSAGES = "passages to embed"  # what the listener hears of


class Embedding:
    """Fills in missing vectors, a batch a transaction, so that whatever was made stands.

    Args:
        database: where the passages are.
        embedder: makes the vectors.
    """

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._busy = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def missing(self, strand: Strand) -> int:
        """How many passages of a strand and its ancestors have no vector of this embedder."""
        with self._database.unit_of_work(write=False) as work:
            segments = work.steps.segments(strand.id)
            return work.passages.count_missing_vectors(segments, embedder=self._embedder.name)

    def fill(self, strand: Strand, listener: Listener) -> int:
        """Make every missing vector of a strand and its ancestors; how many were made.

        Raises:
            Cancelled: the listener asked to stop; what was made stands.
        """
        total, done = self.missing(strand), 0
        while done < total:
            if self._closed.is_set() or listener.cancelled():
                raise Cancelled(f"Stopped. {done} of {total} passages were embedded; the rest comes later.")
            listener.on_progress(PASSAGES, done, total)
            made = self._batch(strand)
            if not made:
                break
            done += made
        if done:
            listener.on_progress(PASSAGES, done, done)
        return done

    def catch_up(self, strand: Strand, listener: Listener) -> None:
        """Make missing vectors: a few of them at once, so that recall knows them; many in the background.

        Raises:
            ModelUnavailable: the embedder can't be loaded.
            Cancelled: the listener asked to stop.
        """
        missing = self.missing(strand)
        if missing > FEW:
            self.fill_in_background(strand, listener)
        elif missing:
            self.fill(strand, listener)

    def fill_in_background(self, strand: Strand, listener: Listener) -> threading.Thread | None:
        """Make every missing vector beside whatever else goes on; None where that is being done already.

        Until it is through, search finds what has no vector by its words. An error ends it quietly:
        the next search or step tells the same error where a person can act on it.
        """
        if self._closed.is_set() or not self._busy.acquire(blocking=False):
            return None

        def fill() -> None:
            try:
                with suppress(StoryloomError):
                    self.fill(strand, listener)
            finally:
                self._busy.release()

        self._thread = threading.Thread(target=fill, name="embedding", daemon=True)
        self._thread.start()
        return self._thread

    def close(self) -> None:
        """Stop what is done in the background, and wait until its batch is kept."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _batch(self, strand: Strand) -> int:
        name = self._embedder.name
        with self._database.unit_of_work(write=False) as work:
            segments = work.steps.segments(strand.id)
            passages = work.passages.missing_vectors(segments, embedder=name, limit=FEW)
        if not passages:
            return 0
        vectors = self._embedder.embed([passage.text for passage in passages])
        with self._database.unit_of_work() as work:
            work.passages.set_vectors(
                replace(passage, vector=tuple(vector), embedder=name)
                for passage, vector in zip(passages, vectors, strict=True)
            )
            work.commit()
        return len(passages)
