"""Facts planted in whole novels, and questions that should bring them back.

A hundred invented facts go into each novel as paragraphs of their own, from 10% to 90% of its length;
the novel becomes a story by the product's own reading of manuscripts, and recall is asked with its
shipped rule. ``DATA`` names a folder of novels (.txt or .md). Percentages of facts among the first five:
``literal`` questions use the fact's words, ``paraphrased`` ones keep only a first name and reword all
else, ``unnamed`` ones share no word with it. ``depths`` tells the first two by tenth of the novel.
"""

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from storyloom.app.recalling import Recalling
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.memory.recall import RecallRule
from storyloom.memory.recall_query import question
from storyloom.storage.formats.manuscript import Block, read_manuscript
from tests.bench.planted_text import Fact, facts
from tests.bench.recalled_story import Paragraph, segments, told

_DEFAULT = Path(__file__).parents[3] / "shared" / "data" / "novels"
_FACTS = 100
_FIRST, _LAST = 0.1, 0.9
_AMONG = 5
_NOTHING = replace(RecallRule(), bm25=0.0, beside=0.0, chapter=0.0, dense=0.0, threshold=float("-inf"))
# With the shipped threshold, and each part of the score alone with none.
_RULES = {
    "all": replace(RecallRule(), limit=_AMONG),
    "bm25": replace(_NOTHING, bm25=1.0, limit=_AMONG),
    "dense": replace(_NOTHING, dense=1.0, limit=_AMONG),
}
_KINDS = ("literal", "paraphrased", "unnamed")
Found = dict[tuple[str, str], list[tuple[float, bool]]]


def planted(blocks: Sequence[Block], made: Sequence[Fact]) -> tuple[list[Paragraph], list[int]]:
    """A novel's paragraphs with the facts among them, and the depth of each fact."""
    steps = (_LAST - _FIRST) / max(len(made) - 1, 1)
    places = [round((_FIRST + steps * number) * len(blocks)) for number in range(len(made))]
    paragraphs: list[Paragraph] = []
    depths: list[int] = []
    for place, block in enumerate(blocks):
        while len(depths) < len(made) and places[len(depths)] <= place:
            paragraphs.append(Paragraph(made[len(depths)].text))
            depths.append(len(paragraphs))
        paragraphs.append(Paragraph(block.text, block.heading or None))
    return paragraphs, depths


def measure(novel: Path, seed: int, embedder: MiniLMEmbedder) -> Found:
    """By rule and kind of question: (depth as a share of the novel, whether the fact was found)."""
    made = facts(_FACTS, seed)
    paragraphs, depths = planted(read_manuscript(novel).blocks, made)
    found: defaultdict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
    with told(paragraphs, embedder) as database:
        for name, rule in _RULES.items():
            recalling = Recalling(database=database, embedder=embedder, rule=rule)
            for number, (fact, depth) in enumerate(zip(made, depths, strict=True)):
                for kind in _KINDS:
                    asked = question(getattr(fact, kind))
                    hits = recalling.hits(segments(paragraphs), asked, len(paragraphs) + 1)
                    right = depth in {hit.candidate.depth for hit in hits}
                    found[name, kind].append((_FIRST + (_LAST - _FIRST) * number / _FACTS, right))
    return found


def _percent(right: Iterable[bool]) -> float:
    return round(100 * fmean(right), 1)


def _report(found: Found) -> dict[str, Any]:
    report: dict[str, Any] = {kind: _percent(right for _, right in found["all", kind]) for kind in _KINDS}
    report["baselines"] = {
        name: {kind: _percent(right for _, right in found[name, kind]) for kind in _KINDS}
        for name in _RULES
        if name != "all"
    }
    return report


def _by_depth(found: Found) -> dict[str, dict[str, float]]:
    tenths: defaultdict[str, defaultdict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for kind in _KINDS[:2]:
        for share, right in found["all", kind]:
            tenths[kind][f"{int(share * 10) * 10}%"].append(right)
    return {
        kind: {tenth: _percent(right) for tenth, right in parts.items()} for kind, parts in tenths.items()
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    folder = Path(os.environ.get("DATA") or _DEFAULT)
    novels = sorted(file for file in folder.glob("*") if file.suffix in {".txt", ".md"})
    if not novels:
        print(f"Skipped: there is no novel (.txt or .md) in {folder}. DATA=FOLDER names a folder of novels.")
        return
    embedder = MiniLMEmbedder()
    whole: Found = defaultdict(list)
    by_novel: dict[str, Any] = {}
    for number, novel in enumerate(novels):
        found = measure(novel, seed + number, embedder)
        by_novel[novel.stem] = _report(found)
        print(novel.stem, json.dumps(by_novel[novel.stem]), flush=True)
        for key, answers in found.items():
            whole[key] += answers
    print(json.dumps({**_report(whole), "depths": _by_depth(whole), "novels": by_novel, "seed": seed}))


if __name__ == "__main__":
    main()
