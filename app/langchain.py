"""A story's memory for LangChain: its recall as a retriever, the documents beside it as a vector store.

Nothing in Storyloom imports this file; ``docs/langchain.md`` shows how to use it.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, PrivateAttr, SkipValidation, field_validator

from storyloom.app.langchain_store import Opened, StoryStore
from storyloom.app.recalling import Recalling
from storyloom.app.settings import load_settings
from storyloom.app.shelf import Shelf
from storyloom.app.story_settings import rule_of
from storyloom.app.wiring import open_memory
from storyloom.memory import story as values
from storyloom.memory.ports import Embedder
from storyloom.memory.recall import SEARCH_LIMIT, Hit, RecallRule
from storyloom.memory.recall_query import question
from storyloom.memory.text import clean
from storyloom.memory.weaver import Item

__all__ = ["StoryRetriever", "StoryStore"]


class StoryRetriever(Opened, BaseRetriever):
    """What a story remembers about a query, best first: the search of ``storyloom memory --search``.

    A result's ``metadata`` has ``story``, ``strand``, ``depth``, ``kind``, ``source``, ``chapter`` (its
    title), ``score`` with its ``parts``, and ``about`` for a document beside the story.

    Attributes:
        story: the story's id, the beginning of it, or its title.
        strand: the strand's id, the beginning of it, or its name; the main one by default.
        k: most results; by default the rule's. A call of ``invoke`` can be given another.
        rule: fields of ``RecallRule`` that win over the story's own. Below the ``threshold`` nothing is
            found, so that there can be fewer than ``k`` results.
        shelf: whose stories.
        embedder: makes the queries' vectors.
    """

    story: str
    strand: str | None = None
    k: int | None = Field(default=None, ge=1)
    rule: Mapping[str, int | float] = Field(default_factory=dict)
    shelf: Annotated[Shelf, SkipValidation] = Field(exclude=True, repr=False)
    embedder: Annotated[Embedder, SkipValidation] = Field(exclude=True, repr=False)
    _opened: ExitStack = PrivateAttr(default_factory=ExitStack)

    @field_validator("rule")
    @classmethod
    def _checked_rule(cls, rule: Mapping[str, int | float]) -> Mapping[str, int | float]:
        if unknown := sorted(set(rule) - set(RecallRule.__dataclass_fields__)):
            raise ValueError(f"a recall rule has no {', '.join(unknown)}")
        return rule

    @classmethod
    def open(cls, story: str, *, home: str | Path | None = None, **fields: Any) -> Self:
        """A retriever with a database of its own, for a ``with`` statement or until ``close``.

        Args:
            story: as the field.
            home: the data folder; by default as the command line's.
            **fields: further fields.

        Raises:
            StoryNotFound: the reference names no story, or more than one.
            StoreUnavailable: the database can't be opened.
        """
        with ExitStack() as stack:
            shelf, embedder = stack.enter_context(open_memory(load_settings(home=home)))
            shelf.find(story, fields.get("strand"))
            made = cls(story=story, shelf=shelf, embedder=embedder, **fields)
            made._opened = stack.pop_all()
        return made

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  (LangChain's signature)
        k: int | None = None,
    ) -> list[Document]:
        story, line = self.shelf.find(self.story, self.strand)
        with self.shelf.database.unit_of_work(write=False) as work:
            segments = work.steps.segments(line.id)
            depth = work.steps.depth(line.id)
            chapters = work.chapters.path(line.id)
        given: dict[str, Any] = {**self.rule}
        rule = replace(rule_of(story, RecallRule(limit=SEARCH_LIMIT)), **given)
        rule = replace(rule, limit=k or self.k or rule.limit)
        recalling = Recalling(database=self.shelf.database, embedder=self.embedder, rule=rule)
        hits = recalling.hits(segments, question(clean(query), story.language), before=depth + 1)
        with self.shelf.database.unit_of_work(write=False) as work:
            texts = [work.passages.read(hit.candidate) for hit in hits]
            about = {one.id: one.about for one in work.documents.get(story.id, _sources(hits))}
        return [
            _recalled(hit.item(text), hit.candidate, story=story.id, chapters=chapters, about=about)
            for hit, text in zip(hits, texts, strict=True)
        ]


def _sources(hits: Sequence[Hit]) -> list[str]:
    """Ids of the documents that were found."""
    return [hit.candidate.source for hit in hits if hit.candidate.kind is values.PassageKind.DOCUMENT]


def _recalled(
    item: Item,
    found: values.Candidate,
    *,
    story: str,
    chapters: Sequence[values.Chapter],
    about: Mapping[str, Mapping[str, Any]],
) -> Document:
    begun = bisect_right(chapters, found.depth, key=lambda chapter: chapter.depth)
    metadata = {
        "story": story,
        "strand": found.strand_id,
        "depth": found.depth,
        "kind": found.kind.value,
        "source": item.source,
        "chapter": chapters[begun - 1].title if begun else "",
        "score": item.score,
        "parts": dict(item.parts),
    }
    if found.kind is values.PassageKind.DOCUMENT:
        metadata["about"] = dict(about.get(found.source, {}))
    return Document(id=item.source, page_content=item.text, metadata=metadata)
