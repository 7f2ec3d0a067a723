"""Recall: which passages of the past belong to the step being written. Pure ranking, no search."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from storyloom.memory.story import Candidate
from storyloom.memory.text import words
from storyloom.memory.weaver import Item

# A word that short carries no topic in the languages that put blanks between words, and the full-text
# search spends its time on it; a single CJK character does carry one.
_SHORTEST_TERM = 3
_MOST_TERMS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRule:
    """How recall chooses.

    Attributes:
        bm25: weight of the full-text score, in standard deviations.
        dense: weight of the embedding's likeness, in standard deviations.
        recent: how many of the newest steps are left out: the prompt and memory hold them anyway.
        limit: most passages that are recalled.
        threshold: a passage below this fused score isn't recalled.
    """

    bm25: float = 1.0
    dense: float = 1.0
    recent: int = 3
    limit: int = 3
    threshold: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A candidate with its fused score and what it is made of."""

    candidate: Candidate
    score: float
    bm25: float
    dense: float

    def item(self) -> Item:
        """The hit as something to weave, its provenance with it."""
        found = self.candidate
        return Item(
            text=found.text,
            source=f"step:{found.strand_id}:{found.depth}",
            score=round(self.score, 4),
            parts={"bm25": round(self.bm25, 4), "dense": round(self.dense, 4)},
        )


def query_terms(text: str) -> list[str]:
    """Distinct words worth a full-text search, in order of appearance."""
    terms = dict.fromkeys(word for word in words(text) if len(word) >= _SHORTEST_TERM or not word.isascii())
    return list(terms)[:_MOST_TERMS]


def fuse(candidates: Iterable[Candidate], rule: RecallRule) -> list[Hit]:
    """Candidates by the weighted sum of their z-scores, best first; equal scores by depth.

    A score that a search didn't give counts as the lowest that it gave. Weighted fusion of normalised
    scores beats rank fusion on long dialogues (``docs/decisions.md``).
    """
    found = list(candidates)
    bm25 = _z_scores([candidate.bm25 for candidate in found])
    dense = _z_scores([candidate.dense for candidate in found])
    hits = [
        Hit(candidate=candidate, score=rule.bm25 * text + rule.dense * likeness, bm25=text, dense=likeness)
        for candidate, text, likeness in zip(found, bm25, dense, strict=True)
    ]
    return sorted(hits, key=lambda hit: (-hit.score, hit.candidate.depth))


def choose(candidates: Iterable[Candidate], rule: RecallRule) -> list[Hit]:
    """The hits worth weaving into the prompt: over the threshold, at most ``limit``."""
    return [hit for hit in fuse(candidates, rule) if hit.score >= rule.threshold][: rule.limit]


def _z_scores(scores: Sequence[float | None]) -> list[float]:
    """Standard scores; all zero where the search told nothing apart."""
    known = [score for score in scores if score is not None]
    if not known:
        return [0.0] * len(scores)
    floor = min(known)
    filled = [floor if score is None else score for score in scores]
    mean, deviation = fmean(filled), pstdev(filled)
    return [(score - mean) / deviation if deviation > 0 else 0.0 for score in filled]
