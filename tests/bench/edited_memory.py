"""Whether the starter's next paragraph takes up a sentence that a person has just put into short-term memory.

Six stories are begun. Behind their third paragraph each sentence is put into the page, on a strand of its
own, and the next paragraph is written by the product's own use cases: with the page as it was (*unedited*),
with the sentence in the page alone (*in memory*), with the sentence once more before the plan (*before the
plan*), and as it is shipped (*insisting*), where a paragraph that tells nothing of it is begun again with the
sentence's own words: that it then has them says little of the model. A paragraph takes it up where it has one
of the words named beside the sentence, unless that stood in the story, its premise, outline, memory or plan
before. Prints one JSON line.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.recurrence import Wish
from storyloom.app.studio import Studio
from storyloom.generators.embedder import MiniLMEmbedder
from storyloom.generators.weights import pull_starter
from storyloom.memory.action import action
from storyloom.memory.ports import Embedder
from storyloom.memory.story import Mode, Step
from storyloom.memory.text import words
from storyloom.storage.database import Database
from tests.bench.fiction import GAMES
from tests.bench.prose import ROOT, Recorder, studio_of

# By premise, the games' first: sentences, and which words show that a paragraph took them up.
EDITS: dict[str, tuple[tuple[str, str], ...]] = {
    "You keep a lighthouse on a rock, and one night there is a knock at a door in the sea.": (
        ("The lamp of the lighthouse burns green.", "green"),
        ("You have a wooden leg.", "wooden"),
        ("It is snowing hard.", "snow snowing snowy snowflakes"),
        ("A small black dog follows you everywhere.", "dog dogs"),
    ),
    "You are a thief in a city of canals, and tonight you break into the house of the blind duke.": (
        ("You carry a lantern of blue glass.", "lantern lanterns blue glass"),
        ("The duke has a daughter named Elena.", "daughter elena"),
        ("It is snowing hard.", "snow snowing snowy snowflakes"),
        ("Your left hand is bleeding.", "bleeding blood bleed"),
    ),
    "You are the last engineer on a ship between the stars, and the captain has stopped answering.": (
        ("The ship is full of smoke.", "smoke smoky"),
        ("You have a robot named Tik with you.", "robot robots tik"),
        ("Your left hand is bleeding.", "bleeding blood bleed"),
        ("There is music from the loudspeakers.", "music loudspeaker loudspeakers"),
    ),
    "Mara keeps a lighthouse and finds a door in the sea.": (
        ("The lamp of the lighthouse burns green.", "green"),
        ("Mara has a wooden leg.", "wooden"),
        ("It is snowing hard.", "snow snowing snowy snowflakes"),
        ("A small black dog follows Mara everywhere.", "dog dogs"),
    ),
    "A widow buys an old mill that nobody dares to enter.": (
        ("The mill is full of white owls.", "owl owls"),
        ("The widow carries a lantern of blue glass.", "lantern lanterns blue glass"),
        ("Her left hand is bleeding.", "bleeding blood bleed"),
        ("It is snowing hard.", "snow snowing snowy snowflakes"),
    ),
    "Doctor Venn drives the only ambulance of a mountain town in the winter of the great snow.": (
        ("Venn's daughter Elena sits beside him.", "daughter elena"),
        ("The ambulance has lost a wheel.", "wheel wheels"),
        ("Venn's left hand is bleeding.", "bleeding blood bleed"),
        ("A small black dog follows Venn everywhere.", "dog dogs"),
    ),
}
ARMS = ("unedited", "in memory", "before the plan", "insisting")
_PARAGRAPHS = 3  # before the edit


def begun(studio: Studio, premise: str, seed: int) -> tuple[str, str]:
    """A story of three paragraphs, and the plan of the one that will follow."""
    game = GAMES.get(premise)
    mode = Mode.FICTION if game else Mode.NOVEL
    story = studio.begin(Beginning(premise=premise, seed=seed, mode=mode), Listener()).story
    plans = ["", *(action(*done) for done in game or ())]
    steps: list[Step] = []
    for number in range(_PARAGRAPHS):
        wish = Wish(plan=plans[number]) if game and number else None
        steps += studio.write(story.id, Listener(), wish=wish)
    return story.id, plans[_PARAGRAPHS] if game else steps[-1].plans[0].text


def follows(studio: Studio, story_id: str, plan: str, edit: str, arm: str) -> Step:
    """The next step, on a strand of its own."""
    strand = studio.branch(story_id, _PARAGRAPHS).id
    if arm != "unedited":
        page = studio.remembering.page(story_id, strand).text
        studio.remembering.rewrite(story_id, f"{page} {edit}", strand)
    with ExitStack() as stack:
        if arm == "in memory":
            stack.enter_context(patch("storyloom.app.recurrence.edited_notes", lambda *_: ()))
        if arm != "insisting":
            stack.enter_context(patch("storyloom.app.agents.writer.untold", lambda *_: ""))
        (step,) = studio.write(story_id, Listener(), wish=Wish(plan=plan), strand=strand)
    return step


def run(seeds: Sequence[int], threads: int | None, *, show: bool) -> dict[str, dict[str, float]]:
    """How many paragraphs of each arm took their sentence up, and of how many."""
    model = Recorder(pull_starter(ROOT / "build" / "models", lambda _done, _total: None), threads)
    embedder = MiniLMEmbedder(threads=1)
    found = {arm: {"took_up": 0, "of": 0, "seconds": 0.0} for arm in ARMS}
    for seed in seeds:
        for premise in EDITS:
            for arm, took_up, seconds in _asked(model, embedder, premise, seed, show=show):
                found[arm]["took_up"] += took_up
                found[arm]["of"] += 1
                found[arm]["seconds"] += seconds
    model.close()
    return found


def _asked(
    model: Recorder, embedder: Embedder, premise: str, seed: int, *, show: bool
) -> list[tuple[str, bool, float]]:
    """Every edit of one story in every arm: whether it was taken up, and the seconds of the step."""
    answers: list[tuple[str, bool, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        studio = studio_of(model, embedder, database, Path(folder))
        story_id, plan = begun(studio, premise, seed)
        written = studio.show(story_id)
        texts = [premise, written.story.outline, plan, *(step.paragraph for step in written.steps)]
        known = set(words(" ".join([*texts, written.steps[-1].memory.text])))
        for edit, marks in EDITS[premise]:
            fresh = set(marks.split()) - known
            for arm in ARMS:
                step = follows(studio, story_id, plan, edit, arm)
                took_up = not fresh.isdisjoint(words(step.paragraph))
                answers.append((arm, took_up, step.seconds))
                if show:
                    print(f"[{arm}] {edit} {took_up}\n{step.paragraph}\n", file=sys.stderr, flush=True)
        database.close()
    return answers


def main() -> None:
    """Ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="each story once a seed")
    parser.add_argument("--threads", type=int, default=None, help="threads of the engine")
    parser.add_argument("--show", action="store_true", help="print the paragraphs on stderr")
    given = parser.parse_args()
    print(json.dumps({"bench": "edited_memory", **run(given.seeds, given.threads, show=given.show)}))


if __name__ == "__main__":
    main()
