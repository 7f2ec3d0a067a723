"""A unit of work: one transaction and the repositories that read and write in it."""

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import Engine
from sqlmodel import Session

from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.storage.chapters import Chapters
from storyloom.storage.documents import Documents
from storyloom.storage.jobs import Jobs
from storyloom.storage.lore import Lore
from storyloom.storage.neural_states import NeuralStates
from storyloom.storage.passages import Passages
from storyloom.storage.progress import Progress
from storyloom.storage.proposals import Proposals
from storyloom.storage.provenance import ProvenanceRecords
from storyloom.storage.revisions import Revisions
from storyloom.storage.stale import StaleMarks
from storyloom.storage.steps import Steps
from storyloom.storage.stories import Stories
from storyloom.storage.strands import Strands
from storyloom.storage.tasks import Tasks
from storyloom.storage.vectors import VectorCache


class UnitOfWork:
    """All or nothing: what isn't committed when the ``with`` block ends is rolled back.

    The transaction begins with the first read or write and never outlives the block; keep no unit
    open while a model runs. One thread uses a unit at a time.
    """

    stories: Stories
    strands: Strands
    steps: Steps
    chapters: Chapters
    documents: Documents
    lore: Lore[LoreEntry]
    characters: Lore[CharacterSheet]
    passages: Passages
    revisions: Revisions
    jobs: Jobs
    tasks: Tasks
    progress: Progress
    provenance: ProvenanceRecords
    proposals: Proposals
    stale: StaleMarks
    neural_states: NeuralStates

    def __init__(
        self, engine: Engine, *, vectors: VectorCache, clock: Callable[[], datetime], writes: bool
    ) -> None:
        self._engine = engine
        self._vectors = vectors
        self._clock = clock
        self._writes = writes

    def __enter__(self) -> Self:
        self._session = Session(self._engine, expire_on_commit=False)
        self.stories = Stories(self._session, clock=self._clock)
        self.strands = Strands(self._session)
        self.passages = Passages(self._session, vectors=self._vectors)
        self.steps = Steps(self._session, passages=self.passages)
        self.chapters = Chapters(self._session)
        self.documents = Documents(self._session)
        self.lore = Lore(self._session, LoreEntry, kind="entry", called="lore entry")
        self.characters = Lore(self._session, CharacterSheet, kind="character", called="character")
        self.revisions = Revisions(self._session)
        self.jobs = Jobs(self._session, clock=self._clock)
        self.tasks = Tasks(self._session, clock=self._clock)
        self.progress = Progress(self._session)
        self.provenance = ProvenanceRecords(self._session)
        self.proposals = Proposals(self._session)
        self.stale = StaleMarks(self._session)
        self.neural_states = NeuralStates(self._session)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Closing a session rolls back what wasn't committed.
        self._session.close()

    def commit(self) -> None:
        """Make everything done so far last, all at once.

        Raises:
            StoreUnavailable: the disk is full or fails; nothing was kept.
            RuntimeError: the unit was opened for reading only.
        """
        if not self._writes:
            raise RuntimeError("this unit of work only reads; open it with write=True to change anything")
        self._session.commit()
