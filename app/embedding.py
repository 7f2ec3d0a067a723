"""Vectors for passages that have none: imported, edited, or made by another embedder."""

import threading
from contextlib import suppress
from dataclasses import replace

from storyloom.app.events import Cancelled, Listener
from storyloom.memory.errors import StoryloomError
from storyloom.memory.ports import Embedder
from storyloom.memory.story import Strand
from storyloom.storage.database import Database

_BATCH = 32


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
            if listener.cancelled():
                raise Cancelled(f"Stopped. {done} of {total} passages were embedded; the rest comes later.")
            listener.on_progress("passages to embed", done, total)
            made = self._batch(strand)
            if not made:
                break
            done += made
        if done:
            listener.on_progress("passages to embed", done, done)
        return done

    def fill_in_background(self, strand: Strand, listener: Listener) -> threading.Thread | None:
        """The same beside whatever else goes on; None where nothing is missing or it is done already.

        Until it is through, search finds what has no vector by its words. An error ends it quietly:
        the next search or step tells the same error where a person can act on it.
        """
        if not self.missing(strand) or not self._busy.acquire(blocking=False):
            return None

        def fill() -> None:
            try:
                with suppress(StoryloomError):
                    self.fill(strand, listener)
            finally:
                self._busy.release()

        thread = threading.Thread(target=fill, name="embedding", daemon=True)
        thread.start()
        return thread

    def _batch(self, strand: Strand) -> int:
        name = self._embedder.name
        with self._database.unit_of_work(write=False) as work:
            segments = work.steps.segments(strand.id)
            passages = work.passages.missing_vectors(segments, embedder=name, limit=_BATCH)
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
