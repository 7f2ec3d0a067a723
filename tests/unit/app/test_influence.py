"""Leave one memory out: each prompt lacks one item and nothing else, and what that changes is told."""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from storyloom.app.agents.calls import readable
from storyloom.app.beginning import Beginning
from storyloom.app.events import Cancelled, Listener
from storyloom.app.influence import Influence
from storyloom.app.recurrence import Wish
from storyloom.app.shelf import Shelf
from storyloom.app.studio import Studio
from storyloom.app.templates import Templates
from storyloom.memory.errors import NotRecorded, StoryNotFound, StrandNotFound, UnsupportedRequest
from storyloom.memory.generation import Likelihood, Prompt
from storyloom.memory.text import sentences, words
from storyloom.storage.database import Database

PREMISE = "Mara keeps a lighthouse on a cliff and finds a door in the sea."
DEPTH = 7


@dataclass
class Words:
    """A word of the text that the prompt lacks costs a nat, and its own words count as tokens."""

    name: str = "words"
    prompts: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    closed: bool = False

    def score(self, prompts: Sequence[Prompt], text: str) -> Generator[Likelihood]:
        try:
            for prompt in prompts:
                self.prompts.append(readable(prompt))
                self.texts.append(text)
                known = set(words(self.prompts[-1]))
                own = words(text)
                yield Likelihood(-float(sum(word not in known for word in own)), len(own))
        finally:
            self.closed = True


@pytest.fixture
def scorer() -> Words:
    return Words()


@pytest.fixture
def influence(database: Database, tmp_path: Path, scorer: Words) -> Influence:
    return Influence(Shelf(database, "local"), Templates(tmp_path / "templates"), lambda _spec: scorer)


@pytest.fixture
def story(studio: Studio) -> str:
    """The id of a story with seven steps; the prompt of the last holds notes, and recalls the second."""
    begun = studio.begin(Beginning(premise=PREMISE, seed=7), Listener()).story.id
    told = list(studio.write(begun, Listener(), paragraphs=DEPTH - 1))
    wish = Wish(plan=sentences(told[1].paragraph, "en")[0])
    list(studio.write(begun, Listener(), wish=wish))
    return begun


def remembered(studio: Studio, story: str) -> list[str]:
    slots = studio.provenance(story, DEPTH).slots
    return [one.text for one in slots if one.slot in {"memory", "recall"} and one.entered]


def _unheaded(prompt: str) -> str:
    """A slot's heading goes with its last item."""
    return prompt.replace("From earlier pages:", "")


def test_every_remembered_item_is_left_out_once(
    studio: Studio, story: str, influence: Influence, scorer: Words
) -> None:
    found = influence.why(story, DEPTH, Listener())
    items = remembered(studio, story)
    assert {effect.record.slot for effect in found.effects} == {"memory", "recall"}
    assert sorted(effect.record.text for effect in found.effects) == sorted(items)
    whole, *without = scorer.prompts
    for item, prompt in zip(items, without, strict=True):
        assert whole.count(item) == prompt.count(item) + 1
        assert words(_unheaded(whole.replace(item, "", 1))) == words(_unheaded(prompt))


def test_the_prompt_with_everything_is_the_first_call_s_and_the_paragraph_is_whole(
    studio: Studio, story: str, influence: Influence, scorer: Words
) -> None:
    begun = []
    for step in studio.show(story).steps:
        del scorer.prompts[:], scorer.texts[:]
        found = influence.why(story, step.depth, Listener())
        written = next(c for c in studio.provenance(story, step.depth).calls if c.agent == "writer")
        prompt, _, opening = written.prompt.partition("\n<assistant>\n")
        assert scorer.prompts[0] == prompt
        assert set(scorer.texts) == {step.paragraph}
        assert step.paragraph.startswith(opening)
        assert (found.depth, found.model, found.is_edited) == (step.depth, step.model, False)
        assert influence.model(story, step.depth) == step.model
        assert found.likelihood.tokens == len(words(step.paragraph))
        begun.append(opening)
    assert "Mara" in begun


def test_what_holds_the_paragraph_s_words_made_it_likelier(
    studio: Studio, story: str, influence: Influence, scorer: Words
) -> None:
    influence.why(story, DEPTH, Listener())
    slots = studio.provenance(story, DEPTH).slots
    passage = next(slot.text for slot in slots if slot.slot == "recall" and slot.entered)
    elsewhere = words(scorer.prompts[0].replace(passage, ""))
    odd = [word for word in dict.fromkeys(words(passage)) if word not in elsewhere][:5]
    studio.editing.paragraph(story, DEPTH, " ".join(odd))
    found = influence.why(story, DEPTH, Listener())
    assert found.is_edited
    first, *others = found.effects
    assert (first.record.text, first.change, first.change_per_token) == (passage, 5.0, 1.0)
    assert {effect.change for effect in others} == {0.0}


def test_an_item_that_got_in_the_way_comes_first_too(
    story: str, influence: Influence, scorer: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = iter([0.0, 1.0, 3.0, *[-2.0] * 99])

    def score(prompts: Sequence[Prompt], _text: str) -> Generator[Likelihood]:
        return (Likelihood(-10.0 + next(changes), 4) for _ in prompts)

    monkeypatch.setattr(scorer, "score", score)
    effects = influence.why(story, DEPTH, Listener()).effects
    assert [effect.change for effect in effects[:3]] == [-3.0, 2.0, 2.0]
    assert effects[-1].change == -1.0
    assert effects[0].change_per_token == -0.75


def test_a_paragraph_in_a_form_is_scored_inside_it(
    studio: Studio, story: str, influence: Influence, scorer: Words, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "stories.sqlite3")) as database, database:
        database.execute(
            "UPDATE weaving SET \"values\" = json_set(\"values\", '$.agent', 'one_call') WHERE depth = ?",
            (DEPTH,),
        )
    studio.editing.paragraph(story, DEPTH, 'Mara said: "No."\nShe left.')
    influence.why(story, DEPTH, Listener())
    assert all(prompt.endswith('<assistant>\n{"paragraph": "') for prompt in scorer.prompts)
    assert set(scorer.texts) == {r"Mara said: \"No.\"\nShe left."}


def test_the_first_step_has_nothing_to_leave_out(influence: Influence, story: str) -> None:
    found = influence.why(story, 1, Listener())
    assert found.effects == ()
    assert found.likelihood.tokens > 0


def test_progress_is_told_and_a_stop_ends_the_scoring(
    influence: Influence, story: str, scorer: Words
) -> None:
    class Watching(Listener):
        def __init__(self) -> None:
            self.told: list[tuple[int, int]] = []

        def on_progress(self, what: str, done: int, total: int) -> None:
            assert what == "prompts scored"
            self.told.append((done, total))

        def cancelled(self) -> bool:
            return len(self.told) > 2

    listener = Watching()
    with pytest.raises(Cancelled):
        influence.why(story, DEPTH, listener)
    total = listener.told[0][1]
    assert listener.told == [(0, total), (1, total), (2, total)]
    assert len(scorer.prompts) == 2 < total
    assert scorer.closed


def test_a_step_of_a_manuscript_cannot_be_explained(
    studio: Studio, influence: Influence, tmp_path: Path
) -> None:
    file = tmp_path / "tale.txt"
    file.write_text("The lamp burned.\n\nNobody came.\n")
    story = studio.import_file(file, Listener()).id
    with pytest.raises(NotRecorded, match="comes from a manuscript"):
        influence.why(story, 2, Listener())


def test_what_is_not_there_is_told(studio: Studio, influence: Influence, story: str) -> None:
    with pytest.raises(StrandNotFound):
        influence.why(story, DEPTH + 1, Listener())
    with pytest.raises(StoryNotFound):
        studio.of_owner("somebody").influence.why(story, 1, Listener())


def test_without_a_scorer_nothing_is_scored(studio: Studio, story: str) -> None:
    with pytest.raises(UnsupportedRequest, match="no scorer"):
        studio.influence.why(story, DEPTH, Listener())
