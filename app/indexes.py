"""What every strand has said so far: its n-grams and its digest, so that no step reads the whole story."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from storyloom.memory.neural import NOTHING, chained
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.story import Step
from storyloom.storage.database import Database

_KEPT = 16


@dataclass(slots=True)
class Told:
    """A strand up to ``depth``, as the story stood at ``version``: its n-grams, and what names its text."""

    index: StoryIndex
    depth: int
    version: int
    digest: str = NOTHING

    def add(self, paragraph: str) -> None:
        """Take in the next paragraph."""
        self.index.add(paragraph)
        self.digest = chained(self.digest, paragraph)
        self.depth += 1


class Indexes:
    """The indexes of the strands written lately. Safe for threads that write different strands."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._read: OrderedDict[str, Told] = OrderedDict()

    def of(self, strand_id: str, *, depth: int, version: int) -> Told:
        """A strand's steps 1 to ``depth``. It grows by the steps that are committed on top of it.

        Args:
            strand_id: the strand.
            depth: its head's depth.
            version: the story's; another one means that something was edited, and all is read again.
        """
        with self._lock:
            read = self._read.pop(strand_id, None)
        if read is None or read.version != version or read.depth > depth:
            read = Told(StoryIndex(), 0, version)
        if read.depth < depth:
            with self._database.unit_of_work(write=False) as work:
                for _, text in work.steps.paragraphs(strand_id, first=read.depth + 1, last=depth):
                    read.add(text)
        with self._lock:
            self._read[strand_id] = read
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)
        return read

    def add(self, step: Step) -> None:
        """Take in a step that was committed on top of what was read."""
        with self._lock:
            read = self._read.get(step.strand_id)
            if read is not None and read.depth == step.depth - 1:
                read.add(step.paragraph)
