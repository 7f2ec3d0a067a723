"""Documents beside a story: kept with the passages that recall finds them by, and searched by likeness."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from storyloom.app.recalling import Recalling
from storyloom.app.shelf import Shelf
from storyloom.memory.errors import InvalidText
from storyloom.memory.ports import Embedder
from storyloom.memory.recall import RecallRule
from storyloom.memory.story import Candidate, Document, Passage, PassageKind, Segment, Strand
from storyloom.memory.text import clean

_LONGEST_ID = 500
_GREATEST_NUMBER = 2**63
_KINDS = (PassageKind.DOCUMENT,)
_BATCH = 32
# When pieces of one text or unwanted documents fill a search, the next one asks for so many times more.
_WIDER = 4


@dataclass(frozen=True, slots=True)
class Likeness:
    """A document that was found: by which vector, of its likest piece, and its product with the query's."""

    document: Document
    score: float
    vector: tuple[float, ...]


class Library:
    """The documents beside one story. What a story's recall finds are their passages, kept in step here.

    A passage has one vector: where two libraries of one story have different embedders, each makes the
    vectors that it misses anew before it searches.

    Args:
        shelf: whose stories.
        embedder: makes the vectors.
        story: the story's id, the beginning of it, or its title.

    Raises:
        StoryNotFound: the reference names no story, or more than one.
    """

    def __init__(self, shelf: Shelf, embedder: Embedder, story: str) -> None:
        self.story_id = shelf.find(story)[0].id
        self._shelf = shelf
        self._embedder = embedder
        self._recalling = Recalling(database=shelf.database, embedder=embedder, rule=RecallRule())

    def put(self, texts: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Keep documents, all or none; each takes the place of the one with its id.

        Args:
            texts: id, text and what is to be known about it, in JSON's types; of two with one id the
                later counts.

        Raises:
            InvalidText: an id is empty or too long, or something isn't of JSON's types.
            StoryNotFound: the story is gone.
        """
        story, main = self._shelf.find(self.story_id)
        documents = {id_: self._document(id_, text, about) for id_, text, about in texts}
        wholes = [_whole(main, document.id, document.text) for document in documents.values()]
        passages = self._recalling.embedded(wholes, story.language)
        with self._shelf.database.unit_of_work() as work:
            work.documents.put(documents.values())
            for whole in wholes:
                work.passages.remove(whole)
            work.passages.add(passages)
            work.commit()

    def get(self, ids: Iterable[str]) -> list[Document]:
        """The documents of these ids, in their order; those that aren't there are left out."""
        with self._shelf.database.unit_of_work(write=False) as work:
            return work.documents.get(self.story_id, ids)

    def remove(self, ids: Collection[str] | None) -> None:
        """Remove the documents of these ids, or all where there is None; one that isn't there is no error."""
        _, main = self._shelf.find(self.story_id)
        with self._shelf.database.unit_of_work() as work:
            if ids is None:
                ids = [document.id for document in work.documents.of_story(self.story_id)]
            work.documents.remove(self.story_id, ids)
            for id_ in ids:
                work.passages.remove(_whole(main, id_))
            work.commit()

    def nearest(
        self, vector: Sequence[float], limit: int, wanted: Callable[[Document], bool]
    ) -> list[Likeness]:
        """The wanted documents that are likest to a vector, best first, each by its likest piece.

        Args:
            vector: the query's unit vector, of this library's embedder.
            limit: most documents.
            wanted: says which may be found.
        """
        _, main = self._shelf.find(self.story_id)
        self._embed_missing(main)
        asked = max(limit, 1)
        while True:
            found, exhausted = self._likest(main, vector, asked, wanted)
            if exhausted or len(found) >= limit:
                return found[: max(limit, 0)]
            asked *= _WIDER

    def _likest(
        self, main: Strand, vector: Sequence[float], limit: int, wanted: Callable[[Document], bool]
    ) -> tuple[list[Likeness], bool]:
        """Documents of the likest pieces, at most so many pieces; and whether there are no more."""
        with self._shelf.database.unit_of_work(write=False) as work:
            pieces = work.passages.search(
                terms={},
                vector=vector,
                embedder=self._embedder.name,
                segments=_segments(main),
                before=1,
                limit=limit,
                kinds=_KINDS,
            )
            likest: dict[str, Candidate] = {}
            for piece in pieces:
                likest.setdefault(piece.source, piece)
            documents = [one for one in work.documents.get(self.story_id, likest) if wanted(one)]
            found = [
                Likeness(one, likest[one.id].likeness or 0.0, work.passages.vector(likest[one.id]))
                for one in documents
            ]
        return found, len(pieces) < limit

    def _embed_missing(self, main: Strand) -> None:
        """Vectors of this embedder for what has another's, a batch a transaction."""
        name = self._embedder.name
        while True:
            with self._shelf.database.unit_of_work(write=False) as work:
                passages = work.passages.missing_vectors(
                    _segments(main), embedder=name, limit=_BATCH, kinds=_KINDS
                )
            if not passages:
                return
            vectors = self._embedder.embed([passage.text for passage in passages])
            with self._shelf.database.unit_of_work() as work:
                work.passages.set_vectors(
                    replace(passage, vector=tuple(vector), embedder=name)
                    for passage, vector in zip(passages, vectors, strict=True)
                )
                work.commit()

    def _document(self, id_: str, text: str, about: Mapping[str, Any]) -> Document:
        if not 0 < len(id_) <= _LONGEST_ID or not id_.isprintable():
            raise InvalidText(
                f"A document can't have the id {id_[:40]!a}: it must have 1 to {_LONGEST_ID} printable "
                "characters."
            )
        return Document(story_id=self.story_id, id=id_, text=clean(text), about=_checked(id_, about))


def _whole(main: Strand, id_: str, text: str = "") -> Passage:
    """Where a document's passages stand."""
    return Passage(strand_id=main.id, depth=0, text=text, kind=PassageKind.DOCUMENT, source=id_)


def _segments(main: Strand) -> tuple[Segment, ...]:
    return (Segment(main.id, 0),)


def _checked(id_: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The same, once it is sure that a story's file can hold it and give it back."""
    given = dict(about)
    try:
        text = json.dumps(given, allow_nan=False, ensure_ascii=False)
        text.encode()
        same: bool = json.loads(text, parse_int=_whole_number) == given
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise InvalidText(
            f"What is said about the document {id_[:40]!r} can't be kept: it must be JSON, made of texts, "
            "finite numbers, true, false, null, lists, and mappings by text."
        )
    return given


def _whole_number(digits: str) -> int:
    number = int(digits)
    if not -_GREATEST_NUMBER <= number < _GREATEST_NUMBER:
        raise ValueError("too large")
    return number
