"""Lore at work: what a story's entries and characters say to the step that is about to be written."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from storyloom.app.agents.scene import Scene
from storyloom.app.events import Listener
from storyloom.app.lore_book import Book, read_book
from storyloom.memory.lore import LoreEntry, label
from storyloom.memory.lore_macros import with_names
from storyloom.memory.lore_results import LoreScan
from storyloom.memory.lore_scan import scan
from storyloom.memory.pieces import passages as pieces_of
from storyloom.memory.ports import Embedder, TextModel
from storyloom.memory.recall_query import next_step
from storyloom.memory.story import Passage, PassageKind, Story, Strand
from storyloom.memory.text import count_words
from storyloom.memory.weaver import Item
from storyloom.storage.database import Database


class LoreKeeper:
    """Scans the lore for steps, and for a person who asks what would fire.

    Args:
        database: where stories and lore live.
        embedder: compares the texts of semantic entries with the story.
    """

    def __init__(self, *, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._mentioned: set[tuple[str, str]] = set()

    def told(self, scene: Scene, strand: Strand, model: TextModel, listener: Listener) -> Scene:
        """The scene with its characters and the lore that its plan and the story so far bring up.

        Lore that recall found gets its names put in, and is left out where its entry fired.

        Args:
            scene: with its plan and with what was recalled.
            strand: whose next step it is.
            model: counts the tokens, and says how large the prompt may be.
            listener: is told, once, of entries with a problem.

        Raises:
            InvalidSetting: a setting of the story's lore can't be used.
        """
        with self._database.unit_of_work(write=False) as work:
            book = read_book(work, scene.story, strand)
        likeness = self._likeness(book, scene.plan)
        seen = book.seen(plan=scene.plan, memory=scene.memory.text, seed=scene.seed, likeness=likeness)
        found = scan(
            book.entries,
            seen,
            book.settings,
            count=model.count_tokens,
            state=book.state,
            budget=book.budget(model.context_tokens),
        )
        self._mention(found, listener)
        recalled = _in_words(scene.recalled, found, book.names)
        return replace(scene, characters=book.characters, lore=found, recalled=recalled)

    def would_fire(self, story: Story, strand: Strand, text: str, *, seed: int) -> LoreScan:
        """What would fire at a strand's next step, without any bound of tokens.

        Args:
            story: whose lore.
            strand: whose last paragraphs and timed effects count.
            text: the next step's plan; it may be empty.
            seed: the next step's.

        Raises:
            InvalidSetting: a setting of the story's lore can't be used.
        """
        with self._database.unit_of_work(write=False) as work:
            book = read_book(work, story, strand)
        seen = book.seen(plan=text, memory="", seed=seed, likeness=self._likeness(book, text))
        return scan(book.entries, seen, book.settings, count=count_words, state=book.state)

    def _mention(self, found: LoreScan, listener: Listener) -> None:
        """Tell of each problem once."""
        for problem in found.problems:
            key = (problem.entry.id, problem.text)
            if key not in self._mentioned:
                listener.on_notice(f"The lore entry {label(problem.entry)!r}: {problem.text}")
            self._mentioned.add(key)

    def _likeness(self, book: Book, plan: str) -> dict[str, float]:
        """Cosine of semantic entries with plan and last paragraph, by id; of a long text its best piece."""
        semantic = {one.id: one for one in book.entries if one.enabled and one.semantic and one.content}
        query = next_step(plan, book.paragraphs[-1] if book.paragraphs else "", book.story.language).text
        if not semantic or not query:
            return {}
        (asked,) = self._embedder.embed([query])
        likeness: dict[str, float] = {}
        for entry_id, vector in self._vectors(book.story, semantic):
            product = sum(one * other for one, other in zip(asked, vector, strict=True))
            likeness[entry_id] = max(product, likeness.get(entry_id, -1.0))
        return likeness

    def _vectors(self, story: Story, entries: Mapping[str, LoreEntry]) -> list[tuple[str, tuple[float, ...]]]:
        """(id, vector) of every piece of the entries' texts; those that are missing are made and kept."""
        name = self._embedder.name
        with self._database.unit_of_work(write=False) as work:
            main = work.strands.main(story.id)
            kept = work.passages.vectors(main.id, PassageKind.LORE, embedder=name)
        found = [(source, vector) for source, vector in kept if source in entries]
        missing = [entries[one] for one in sorted(entries.keys() - {source for source, _ in found})]
        pieces = [piece for one in missing for piece in pieces_of(lore_passage(main, one))]
        if not pieces:
            return found
        vectors = self._embedder.embed([piece.text for piece in pieces])
        made = [
            replace(piece, vector=tuple(vector), embedder=name)
            for piece, vector in zip(pieces, vectors, strict=True)
        ]
        with self._database.unit_of_work() as work:
            work.passages.set_vectors(made)
            work.commit()
        return [*found, *((one.source, tuple(vector)) for one, vector in zip(made, vectors, strict=True))]


def lore_passage(main: Strand, entry: LoreEntry) -> Passage:
    """The text of an entry as recall finds it, before it is cut into pieces."""
    return Passage(strand_id=main.id, depth=0, text=entry.content, kind=PassageKind.LORE, source=entry.id)


def _in_words(recalled: Sequence[Item], found: LoreScan, names: Mapping[str, str]) -> tuple[Item, ...]:
    """What was recalled, without the entries that fired by themselves."""
    fired = {one.source for one in found.fired}
    return tuple(
        replace(item, text=with_names(item.text, names)) if item.source.startswith("lore:") else item
        for item in recalled
        if item.source not in fired
    )
