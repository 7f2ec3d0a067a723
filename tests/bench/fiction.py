"""Whether the starter's stories answer what their reader does, beside the same model asked as a chat.

Games of fixed actions are played by the product as a person gets them, and again as a chat whose every turn
the model reads, with a repetition penalty of 1.1, in the same run. Likeness is MiniLM's, of each answer with
its own action less that with the other actions of its game; *matched* is the share of answers that are likest
to their own, of as many actions as a game has. Prints one JSON line.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from storyloom.app.beginning import Beginning
from storyloom.app.recurrence import Wish
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.generators.weights import pull_starter
from storyloom.memory.action import Manner, action
from storyloom.memory.form import is_first_person
from storyloom.memory.generation import Message, Request, Sampling, collect
from storyloom.memory.ports import Embedder
from storyloom.memory.repetition import rep
from storyloom.memory.story import Mode, Step
from storyloom.memory.text import count_words, joined, words
from storyloom.storage.database import Database
from tests.bench.prose import ROOT, Figures, Marker, Recorder, dot, studio_of

GAMES: dict[str, tuple[tuple[str, Manner], ...]] = {
    "You keep a lighthouse on a rock, and one night there is a knock at a door in the sea.": (
        ("open the door", Manner.DO),
        ("Who is there?", Manner.SAY),
        ("light the lamp and hold it over the water", Manner.DO),
        ("A gull lands on the rail with a ring in its beak.", Manner.STORY),
        ("take the ring from the gull", Manner.DO),
        ("I am not afraid of you.", Manner.SAY),
        ("climb down the iron ladder", Manner.DO),
        ("read the old log book", Manner.DO),
    ),
    "You are a thief in a city of canals, and tonight you break into the house of the blind duke.": (
        ("climb over the garden wall", Manner.DO),
        ("pick the lock of the kitchen door", Manner.DO),
        ("hide under the table", Manner.DO),
        ("A dog begins to bark in the yard.", Manner.STORY),
        ("throw the dog a piece of meat", Manner.DO),
        ("I only came to bring a letter.", Manner.SAY),
        ("steal the silver mask from the wall", Manner.DO),
        ("jump into the canal and swim", Manner.DO),
    ),
    "You are the last engineer on a ship between the stars, and the captain has stopped answering.": (
        ("knock at the captain's cabin", Manner.DO),
        ("Captain, are you in there?", Manner.SAY),
        ("cut the door open with a torch", Manner.DO),
        ("The lights go out on the whole deck.", Manner.STORY),
        ("put on my helmet", Manner.DO),
        ("follow the footprints in the dust", Manner.DO),
        ("Turn the ship around.", Manner.SAY),
        ("repair the broken engine", Manner.DO),
    ),
}
CHAT = Sampling(temperature=0.8, repetition_penalty=1.1, repetition_window=64)
CHAT_SYSTEM = (
    "You tell an interactive story in the second person, present tense, a paragraph at a time. {premise}"
)
_CHAT_TOKENS = 160
_SHORT = 20  # words: an answer with fewer is no paragraph


def play(model: Recorder, embedder: Embedder, premise: str, seed: int) -> tuple[list[Step], list[str]]:
    """One game through the product's own use cases: its turns, and why draws were thrown away."""
    marker = Marker(model)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        studio = studio_of(model, embedder, database, Path(folder))
        story = studio.begin(Beginning(premise=premise, seed=seed, mode=Mode.FICTION), marker).story
        list(studio.write(story.id, marker))
        marker.reasons.clear()
        steps: list[Step] = []
        for text, manner in GAMES[premise]:
            steps.extend(studio.write(story.id, marker, wish=Wish(plan=action(text, manner))))
        database.close()
    return steps, marker.reasons


def chat(model: Recorder, premise: str, seed: int) -> list[str]:
    """The same game as a chat: every action a user's turn, every answer read again."""
    turns = [Message("system", CHAT_SYSTEM.format(premise=premise)), Message("user", "Begin.")]
    told: list[str] = []
    for number, (text, manner) in enumerate((("", Manner.STORY), *GAMES[premise])):
        if number:
            turns.append(Message("user", action(text, manner)))
        request = Request(prompt=tuple(turns), max_tokens=_CHAT_TOKENS, seed=seed + number, sampling=CHAT)
        told.append(collect(model.stream(request)).text.strip())
        turns.append(Message("assistant", told[-1]))
    return told[1:]


def answers(embedder: Embedder, told: Sequence[str], actions: Sequence[str]) -> Figures:
    """How answers fit their actions, and how they read."""
    vectors, wanted = embedder.embed(told), embedder.embed(actions)
    table = [[dot(vector, one) for one in wanted] for vector in vectors]
    own = [row[place] for place, row in enumerate(table)]
    others = [fmean(row[:place] + row[place + 1 :]) for place, row in enumerate(table)]
    return {
        "likeness": round(fmean(own), 3),
        "less_others": round(fmean(own) - fmean(others), 3),
        "matched": round(fmean(row[place] == max(row) for place, row in enumerate(table)), 3),
        "words": round(fmean(count_words(one) for one in told), 1),
        "short": round(fmean(count_words(one) < _SHORT for one in told), 3),
        "first_person": round(fmean(is_first_person(one, "en") for one in told), 3),
        "rep4": round(100 * rep(words(joined(list(told))), 4), 2),
    }


def run(seeds: Sequence[int], threads: int | None, *, show: bool) -> Figures:
    """Every game at every seed, ours and as a chat."""
    model = Recorder(pull_starter(ROOT / "build" / "models", lambda _done, _total: None), threads)
    embedder = MiniLMEmbedder(threads=1)
    ours: list[Figures] = []
    raw: list[Figures] = []
    for premise in GAMES:
        actions = [action(text, manner) for text, manner in GAMES[premise]]
        for seed in seeds:
            steps, reasons = play(model, embedder, premise, seed)
            told = [step.paragraph for step in steps]
            if show:
                _print(actions, told)
            ours.append(
                {
                    **answers(embedder, told, actions),
                    "redraws_a_turn": round(len(reasons) / len(steps), 2),
                    "seconds_a_turn": round(fmean(step.seconds for step in steps), 2),
                    "reasons": dict(Counter(reasons)),
                }
            )
            raw.append(answers(embedder, chat(model, premise, seed), actions))
            print(
                json.dumps({"premise": premise, "seed": seed, "ours": ours[-1], "chat": raw[-1]}),
                file=sys.stderr,
            )
    model.close()
    return {"ours": _mean(ours), "chat": _mean(raw), "each": ours}


def _mean(each: Sequence[Figures]) -> dict[str, Any]:
    return {name: round(fmean(figures[name] for figures in each), 3) for name in each[0] if name != "reasons"}


def _print(actions: Sequence[str], told: Sequence[str]) -> None:
    for one, text in zip(actions, told, strict=True):
        print(f"> {one}\n\n{text}\n", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="each game once a seed")
    parser.add_argument("--threads", type=int, default=None, help="threads of the engine")
    parser.add_argument("--show", action="store_true", help="print the games on stderr")
    given = parser.parse_args()
    print(json.dumps({"bench": "fiction", **run(given.seeds, given.threads, show=given.show)}))


if __name__ == "__main__":
    main()
