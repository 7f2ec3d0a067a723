"""Recall: which passages of the past belong to the step being written. Pure ranking, no search."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from storyloom.memory.story import Candidate, PassageKind
from storyloom.memory.text import words
from storyloom.memory.weaver import Item

# Whoever asks the past a question is shown more than a prompt has room for.
SEARCH_LIMIT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRule:
    """How recall chooses.

    A passage's score is the sum of four parts, and each part is a weight times what was found. The
    first three are shares of the query between 0 and 1 (BM25, divided by the most that the query allows):
    each word counts more the rarer it is in the story, and a passage of ordinary length that holds all of
    them has a share of about a half. Likeness is counted from the story's own average. So a score doesn't
    depend on how many passages were found: near 0 nothing speaks for a passage, at 1 nearly everything.

    Attributes:
        bm25: weight of the query's words in the passage itself.
        beside: weight of its words in the passages right before and after, where the reader finds what
            the passage answers or is answered by.
        chapter: weight of its words in the whole chapter, its title included.
        dense: weight of the embeddings' likeness, for each standard deviation by which it lies above
            that of the story's other passages.
        recent: how many of the newest steps are left out: the prompt and memory hold them anyway.
        limit: most passages that are recalled.
        threshold: a passage below this score isn't recalled.
        alike: two passages that share more of their words than this count as one; the better one stays.
    """

    bm25: float = 1.0
    beside: float = 0.35
    chapter: float = 0.5
    dense: float = 0.09
    recent: int = 3
    limit: int = 3
    threshold: float = 0.1
    alike: float = 0.8

    def score(self, *, bm25: Any, beside: Any, chapter: Any, dense: Any) -> Any:
        """The fused score of one passage, or of many: takes numbers and arrays alike."""
        return self.bm25 * bm25 + self.beside * beside + self.chapter * chapter + self.dense * dense


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A candidate with its score and the parts that add up to it."""

    candidate: Candidate
    score: float
    bm25: float
    beside: float
    chapter: float
    dense: float

    def item(self, text: str = "") -> Item:
        """The hit as something to weave, its provenance with it.

        Args:
            text: what is read in place of the piece that was found, if not that.
        """
        parts = {"bm25": self.bm25, "beside": self.beside, "chapter": self.chapter, "dense": self.dense}
        return Item(
            text=text or self.candidate.text,
            source=source(self.candidate),
            score=round(self.score, 4),
            parts={name: round(value, 4) for name, value in parts.items()},
        )


def source(found: Candidate) -> str:
    """The row that a passage comes from, as provenance names it."""
    if found.kind is PassageKind.PARAGRAPH:
        return f"step:{found.strand_id}:{found.depth}"
    if found.kind is PassageKind.SUMMARY:
        return f"summary:{found.strand_id}:{found.depth}"
    return f"{found.kind}:{found.source}"


def fuse(candidates: Iterable[Candidate], rule: RecallRule) -> list[Hit]:
    """Candidates by their fused score, best first; equal scores by place.

    Weighted fusion of scores beats rank fusion on long dialogues (``docs/decisions.md``).
    """
    hits = [_hit(candidate, rule) for candidate in candidates]
    return sorted(hits, key=lambda hit: (-hit.score, hit.candidate.depth, hit.candidate.part))


def choose(candidates: Iterable[Candidate], rule: RecallRule) -> list[Hit]:
    """The hits worth weaving into the prompt: over the threshold, each new, at most ``limit``."""
    chosen: list[Hit] = []
    seen: set[tuple[object, ...]] = set()
    vocabularies: list[frozenset[str]] = []
    for hit in fuse(candidates, rule):
        if len(chosen) == rule.limit or hit.score < rule.threshold:
            break
        found = hit.candidate
        place = (found.strand_id, found.depth, found.kind, found.source)
        vocabulary = frozenset(words(found.text))
        if place in seen or any(_alike(vocabulary, other, rule.alike) for other in vocabularies):
            continue
        seen.add(place)
        vocabularies.append(vocabulary)
        chosen.append(hit)
    return chosen


def _hit(candidate: Candidate, rule: RecallRule) -> Hit:
    parts = {
        "bm25": rule.bm25 * candidate.bm25,
        "beside": rule.beside * candidate.beside,
        "chapter": rule.chapter * candidate.chapter,
        "dense": rule.dense * candidate.dense,
    }
    return Hit(candidate=candidate, score=sum(parts.values()), **parts)


def _alike(first: frozenset[str], second: frozenset[str], most: float) -> bool:
    """Whether two texts share more of their words than ``most`` (Jaccard)."""
    fewer, more = sorted((len(first), len(second)))
    if fewer <= most * more:  # they can't, and most pairs end here
        return False
    return len(first & second) > most * len(first | second)
