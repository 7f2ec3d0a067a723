"""Recall on long dialogues with questions and the turns that answer them (LoCoMo, arXiv 2402.17753).

Each conversation becomes a story in a fresh database: a turn a paragraph, as a reader sees it (who
speaks, what is said, what a picture shows), a session a chapter with its date as title. Search, rule and
weights are the product's; nothing is chosen here. A session ranks where its first turn ranks.

``DATA`` names a file of LoCoMo's form. Percentages over the questions that have evidence:
session hit@1 and recall@k: an evidence session is first, or among the first k; ``share@k``: the share of
evidence sessions among the first k; turn recall@k: the share of evidence turns among the first k;
``budget_1024``: the share of evidence that is left when the ranking is cut at 1,024 tokens of the
embedder's tokenizer. ``baselines`` are the same search with one part of the score alone.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import log2
from pathlib import Path
from typing import Any

from storyloom.app.recalling import Recalling
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.memory.recall import Hit, RecallRule
from storyloom.memory.recall_query import question
from storyloom.storage.database import Database
from tests.bench.recalled_story import Paragraph, segments, told

_DEFAULT = Path(__file__).parents[3] / "shared" / "data" / "locomo-dev.json"
_TURN = re.compile(r"D:?(\d+):(\d+)")
_BUDGET = 1_024
# Far more than the budget holds.
_RANKED = 200
_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
Scores = dict[str, float]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its category, and the depths of the turns that answer it."""

    text: str
    category: int
    evidence: frozenset[int]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A dialogue as a story; ``sessions`` numbers the chapter of each depth."""

    paragraphs: list[Paragraph]
    sessions: dict[int, int]
    questions: list[Question]


def conversation(data: Mapping[str, Any]) -> Conversation:
    """Read one conversation; evidence that names no turn is left out, and so are questions without any."""
    said = data["conversation"]
    numbers = sorted(int(key[8:]) for key in said if re.fullmatch(r"session_\d+", key) and said[key])
    paragraphs: list[Paragraph] = []
    sessions: dict[int, int] = {}
    places: dict[tuple[int, int], int] = {}
    for number in numbers:
        title: str | None = str(said.get(f"session_{number}_date_time") or f"Session {number}")
        for turn in said[f"session_{number}"]:
            paragraphs.append(Paragraph(_as_read(turn), title))
            title = None
            sessions[len(paragraphs)] = number
            if found := _TURN.search(str(turn.get("dia_id", ""))):
                places[int(found[1]), int(found[2])] = len(paragraphs)
    questions = [
        Question(str(one["question"]), int(one.get("category") or 0), evidence)
        for one in data["qa"]
        if (evidence := _evidence(one.get("evidence"), places))
    ]
    return Conversation(paragraphs, sessions, questions)


def measure(
    conversations: Iterable[Conversation], embedder: MiniLMEmbedder
) -> dict[str, list[tuple[int, Scores]]]:
    """(category, scores) of every question by name of the rule: the product's own, and its parts alone."""
    usual = replace(RecallRule(), limit=_RANKED, threshold=float("-inf"))
    nothing = replace(usual, bm25=0.0, beside=0.0, chapter=0.0, dense=0.0)
    rules = {"all": usual, "bm25": replace(nothing, bm25=1.0), "dense": replace(nothing, dense=1.0)}
    tokens = _token_counter(embedder)
    found: defaultdict[str, list[tuple[int, Scores]]] = defaultdict(list)
    for one in conversations:
        with told(one.paragraphs, embedder) as database:
            for name, rule in rules.items():
                found[name] += _answers(one, database, embedder, rule, tokens)
    return dict(found)


def _answers(
    one: Conversation,
    database: Database,
    embedder: MiniLMEmbedder,
    rule: RecallRule,
    tokens: Callable[[str], int],
) -> list[tuple[int, Scores]]:
    recalling = Recalling(database=database, embedder=embedder, rule=rule)
    everything = segments(one.paragraphs)
    answers: list[tuple[int, Scores]] = []
    for asked in one.questions:
        hits = recalling.hits(everything, question(asked.text), len(one.paragraphs) + 1)
        answers.append((asked.category, _scores(asked, hits, one.sessions, tokens)))
    return answers


def _scores(
    asked: Question, hits: Sequence[Hit], sessions: Mapping[int, int], tokens: Callable[[str], int]
) -> Scores:
    turns = [hit.candidate.depth for hit in hits]
    ranked = list(dict.fromkeys(sessions[depth] for depth in turns))
    wanted = {sessions[depth] for depth in asked.evidence}
    gains = sum(1 / log2(place + 2) for place, session in enumerate(ranked[:5]) if session in wanted)
    most = sum(1 / log2(place + 2) for place in range(min(5, len(wanted))))
    return {
        "session hit@1": float(bool(wanted & set(ranked[:1]))),
        **{f"session recall@{k}": float(bool(wanted & set(ranked[:k]))) for k in (5, 10)},
        **{f"session share@{k}": len(wanted & set(ranked[:k])) / len(wanted) for k in (5, 10)},
        "session ndcg@5": gains / most,
        **{f"turn recall@{k}": _share(asked.evidence, turns[:k]) for k in (5, 10, 20)},
        "budget_1024": _share(asked.evidence, _within(hits, tokens)),
    }


def _within(hits: Sequence[Hit], tokens: Callable[[str], int]) -> list[int]:
    """Depths of the hits that fit into the budget, best first; what doesn't fit ends it."""
    kept: list[int] = []
    used = 0
    for hit in hits:
        used += tokens(hit.candidate.text)
        if used > _BUDGET:
            break
        kept.append(hit.candidate.depth)
    return kept


def _share(evidence: frozenset[int], depths: Iterable[int]) -> float:
    return len(evidence.intersection(depths)) / len(evidence)


def _evidence(names: Any, places: Mapping[tuple[int, int], int]) -> frozenset[int]:
    """The depths that evidence names, however they are written: "D8:6; D9:17", "D:11:26", a list."""
    found = _TURN.findall(json.dumps(names or []))
    return frozenset(
        places[int(session), int(turn)] for session, turn in found if (int(session), int(turn)) in places
    )


def _as_read(turn: Mapping[str, Any]) -> str:
    picture = turn.get("blip_caption")
    return f"{turn.get('speaker', '')}: {turn.get('text', '')}" + (f" [{picture}]" if picture else "")


def _token_counter(embedder: MiniLMEmbedder) -> Callable[[str], int]:
    embedder.load()
    tokenizer = embedder._model.tokenizer
    return cache(lambda text: len(tokenizer.encode(text, add_special_tokens=False)))


def _report(answers: Sequence[tuple[int, Scores]]) -> dict[str, Any]:
    """Means in percent, as {"session": {...}, "turn": {...}, "budget_1024": …}."""
    report: dict[str, Any] = {"session": {}, "turn": {}}
    for name in answers[0][1]:
        mean = round(100 * sum(scores[name] for _, scores in answers) / len(answers), 1)
        group, _, measure_name = name.partition(" ")
        if measure_name:
            report[group][measure_name] = mean
        else:
            report[group] = mean
    return report | {"questions": len(answers)}


def main() -> None:
    """Print the figures."""
    path = Path(os.environ.get("DATA") or _DEFAULT)
    if not path.is_file():
        print(f"Skipped: there is no {path}. DATA=FILE names a file of LoCoMo's form.")
        return
    conversations = [conversation(data) for data in json.loads(path.read_text("utf-8"))]
    found = measure(conversations, MiniLMEmbedder())
    if not found.get("all"):
        print(f"Skipped: no question in {path} names a turn that is there.")
        return
    by_category: defaultdict[str, list[tuple[int, Scores]]] = defaultdict(list)
    for category, scores in found["all"]:
        by_category[_CATEGORIES.get(category, str(category))].append((category, scores))
    categories = {name: _report(answers) for name, answers in sorted(by_category.items())}
    baselines = {name: _report(answers) for name, answers in found.items() if name != "all"}
    print(json.dumps({**_report(found["all"]), "categories": categories, "baselines": baselines}))


if __name__ == "__main__":
    main()
