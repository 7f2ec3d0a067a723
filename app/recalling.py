"""Recall at work: the embedder, the database's search and the rule that chooses, put together."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from storyloom.memory.pieces import passages
from storyloom.memory.ports import Embedder
from storyloom.memory.recall import Hit, RecallRule, choose
from storyloom.memory.recall_query import Query
from storyloom.memory.story import Passage, PassageKind, Segment
from storyloom.memory.text import count_words
from storyloom.memory.weaver import Item
from storyloom.storage.database import Database

# So many candidates for each that is chosen: near-duplicates and other pieces of the same text go.
_CANDIDATES = 4


class Recalling:
    """Finds what long-term memory holds.

    Args:
        database: where the passages are.
        embedder: makes the vectors of passages and queries.
        rule: how recall chooses.
    """

    def __init__(self, *, database: Database, embedder: Embedder, rule: RecallRule) -> None:
        self.rule = rule
        self._database = database
        self._embedder = embedder

    def hits(
        self,
        segments: Sequence[Segment],
        query: Query,
        before: int,
        *,
        kinds: Collection[PassageKind] | None = None,
        rule: RecallRule | None = None,
    ) -> list[Hit]:
        """The pieces that the rule chooses, best first, among the given ancestors and before a depth.

        Args:
            segments: the ancestry.
            query: what is looked for.
            before: only what is of a smaller depth is found.
            kinds: kinds of passages that are searched; None: all.
            rule: how recall chooses here; None: as always.
        """
        if not segments:
            return []
        rule = rule or self.rule
        vector = self._embedder.embed([query.text])[0]
        with self._database.unit_of_work(write=False) as work:
            candidates = work.passages.search(
                terms=query.terms,
                vector=vector,
                embedder=self._embedder.name,
                segments=segments,
                before=before,
                limit=_CANDIDATES * rule.limit,
                rule=rule,
                kinds=kinds,
            )
        return choose(candidates, rule)

    def items(
        self,
        segments: Sequence[Segment],
        query: Query,
        before: int,
        *,
        rule: RecallRule | None = None,
        most_words: int | None = None,
    ) -> tuple[Item, ...]:
        """The same as texts to weave or to show: each found piece joined with those around it.

        Args:
            segments: as in ``hits``, and so are query, before and rule.
            query: what is looked for.
            before: only what is of a smaller depth is found.
            rule: how recall chooses here.
            most_words: where the joined text has more, the found piece stands alone; None: never.
        """
        hits = self.hits(segments, query, before, rule=rule)
        with self._database.unit_of_work(write=False) as work:
            whole = [(hit, work.passages.read(hit.candidate)) for hit in hits]
        return tuple(
            hit.item("" if most_words is not None and count_words(text) > most_words else text)
            for hit, text in whole
        )

    def embedded(self, wholes: Iterable[Passage], language: str = "en") -> list[Passage]:
        """The passages that texts are searched by: their pieces, with vectors."""
        made = [piece for whole in wholes for piece in passages(whole, language)]
        vectors = self._embedder.embed([piece.text for piece in made])
        return [
            replace(piece, vector=tuple(vector), embedder=self._embedder.name)
            for piece, vector in zip(made, vectors, strict=True)
        ]
