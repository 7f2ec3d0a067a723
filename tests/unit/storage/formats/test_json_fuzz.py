"""Whatever a story file holds is imported or refused, and what was imported comes out the same again."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import CharacterSheet, LoreEntry
from storyloom.memory.story import (
    Chapter,
    Document,
    Dropped,
    MemoryChange,
    Note,
    Passage,
    PassageKind,
    Provenance,
    Revision,
    ShortMemory,
    Stale,
    StalePart,
    Story,
    Strand,
    Weaving,
)
from storyloom.storage.database import Database
from storyloom.storage.formats.json_format import dump_story, import_story, load_story
from storyloom.storage.formats.json_model import StoryFile
from storyloom.storage.unit_of_work import UnitOfWork

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    9,
    1.5,
    -0.0,
    1e308,
    2**31,
    2**63 - 1,
    2**63,
    "",
    "main",
    "side",
    "paragraph",
    "document",
    "lore",
    "summary",
    "1",
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-05:00",
    "2024-01-01T00:00:00",
    "AADAfw==",  # a vector that is no number
    "AACAPwAAgD8AAIA/",
    "\0\x1b[31m\u2028",
    "\ud800",
    "x" * 5_000,
    [],
    [None],
    [[]],
    {},
    {"a": {"a": {"a": []}}},
]
# What a mutation does to a place: puts something else there, takes it away, or puts it there twice.
MUTATIONS = ("odd", "other", "gone", "twice")


@pytest.fixture
def whole(
    database: Database,
    story: Story,
    grow: Callable[..., None],
    branch: Callable[..., Strand],
    provenance: Provenance,
) -> dict[str, Any]:
    """The data of a file that has every part; the database is without the story."""
    grow("main", 1, 3)
    branch("side", "main", 2, memory=ShortMemory((Note("Kept.", 2, pinned=True),)))
    grow("side", 3, 4)
    note = Note("The key is lost.", 2)
    weaving = Weaving(strategy="plain", budget=900, tokens=40, template="{{ plan }}", values={"plan": ["x"]})
    with database.unit_of_work() as work:
        work.documents.put([Document(story_id=story.id, id="tides", text="Low.", about={"page": [1, None]})])
        work.lore.add(
            story.id, [LoreEntry(id="l1", keys=("bell",), extensions={"uid": 3}), LoreEntry(id="l2")]
        )
        work.characters.add(story.id, [CharacterSheet(id="c1", name="Mara")])
        work.passages.add(_passages())
        work.chapters.add([Chapter(strand_id="main", depth=1, title="One")])
        work.proposals.add(
            MemoryChange(strand_id="main", depth=2, added=(note,), dropped=(Dropped(note, "old"),))
        )
        work.stale.add(
            [Stale(strand_id="side", depth=3, part=StalePart.PAGE, cause="edit", created_at=story.created_at)]
        )
        work.provenance.add("main", 2, replace(provenance, weaving=weaving))
        work.revisions.add(_revision(story))
        data: dict[str, Any] = json.loads(dump_story(work, story.id))
        work.stories.delete(story.id)
        work.commit()
    assert all(data.values()), "every part has something to break"
    return data


def _passages() -> list[Passage]:
    beside = Passage(strand_id="main", depth=0, text="Low.", vector=(1.0, 0.0), embedder="e")
    return [
        replace(beside, kind=PassageKind.DOCUMENT, source="tides"),
        replace(beside, kind=PassageKind.DOCUMENT, source="tides", part=1),
        replace(beside, kind=PassageKind.LORE, source="l1"),
        replace(beside, kind=PassageKind.SUMMARY, depth=2, text="All so far."),
    ]


def _revision(story: Story) -> Revision:
    return Revision(
        id="r1",
        story_id=story.id,
        strand_id="main",
        depth=2,
        subject="paragraph",
        old="before",
        new="after",
        created_at=story.created_at,
        state={"notes": []},
    )


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every place in the data: what holds it, and its name or number there."""
    names = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    return [found for name in names for found in [(data, name), *places(data[name])]]


def mutate(data: dict[str, Any], how: str, part: str, at: float, other: float, odd: int) -> None:
    """Change one place of one part; ``at`` and ``other`` pick places, from 0 to 1."""
    everywhere = places(data)
    here = places(data[part]) if part in data else everywhere
    holder, name = _picked(here or everywhere, at)
    if how == "gone":
        del holder[name]
    elif how == "twice" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[name]))
    elif how == "other":
        source, theirs = _picked(everywhere, other)
        holder[name] = copy.deepcopy(source[theirs])
    else:
        holder[name] = copy.deepcopy(ODD[odd])


def _picked(found: list[tuple[Any, Any]], share: float) -> tuple[Any, Any]:
    return found[int(share * (len(found) - 1))]


def is_taken(work: UnitOfWork, text: str) -> bool:
    """Whether a file is imported; if so, what is exported then must be the same story, to the byte."""
    try:
        story = import_story(work, text, owner="local")
    except ImportRefused:
        return False
    for terms in ({"low": 1.0, "paragraph": 1.0}, {}):
        for strand in work.strands.of_story(story.id):
            segments = work.steps.segments(strand.id)
            assert segments
            work.passages.search(
                terms=terms, vector=(1.0, 0.0), embedder="e", segments=segments, before=9, limit=9
            )
    exported = dump_story(work, story.id)
    assert _counts(exported) == _counts(text), "nothing is lost or doubled"
    work.stories.delete(story.id)
    assert dump_story(work, import_story(work, exported, owner="local").id) == exported
    return True


def _counts(text: str) -> dict[str, int]:
    """How many entries every part has."""
    file = load_story(text)
    return {
        name: len(part) for name in StoryFile.model_fields if isinstance(part := getattr(file, name), tuple)
    }


SAFE = [HealthCheck.function_scoped_fixture]  # nothing is committed: each example finds the database empty
SHARE = st.floats(min_value=0, max_value=1)
MUTATION = st.tuples(
    st.sampled_from(MUTATIONS),
    st.sampled_from([*StoryFile.model_fields, "anywhere"]),
    SHARE,
    SHARE,
    st.integers(0, len(ODD) - 1),
)


@settings(max_examples=120, deadline=None, suppress_health_check=SAFE)
@given(mutations=st.lists(MUTATION, min_size=1, max_size=2))
def test_a_changed_file_is_imported_or_refused(
    database: Database, whole: dict[str, Any], mutations: list[tuple[str, str, float, float, int]]
) -> None:
    data = copy.deepcopy(whole)
    for mutation in mutations:
        mutate(data, *mutation)
    with database.unit_of_work() as work:
        is_taken(work, json.dumps(data))


def test_every_entry_may_be_gone_or_there_twice(database: Database, whole: dict[str, Any]) -> None:
    taken = []
    for part in (name for name, entries in whole.items() if isinstance(entries, list)):
        for number in range(len(whole[part])):
            for copies in (0, 2):
                data = copy.deepcopy(whole)
                data[part][number : number + 1] = copies * data[part][number : number + 1]
                with database.unit_of_work() as work:
                    if is_taken(work, json.dumps(data)):
                        taken.append((part, copies))
    assert {copies for _, copies in taken} == {0}, "of nothing there may be two"
    assert len({part for part, _ in taken}) > 5, "much may be missing"


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2024-01-01T00:00:00"]
)
def test_no_moment_may_be_out_of_the_calendar(database: Database, whole: dict[str, Any], moment: str) -> None:
    for holder, name in places(whole):
        if str(name).endswith("_at"):
            kept, holder[name] = holder[name], moment
            with database.unit_of_work() as work:
                assert not is_taken(work, json.dumps(whole))
            holder[name] = kept


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63 - 1])
def test_a_number_that_no_column_holds_is_refused(
    database: Database, whole: dict[str, Any], number: int
) -> None:
    refused = set()
    for holder, name in places(whole):
        if type(holder[name]) is int:
            kept, holder[name] = holder[name], number
            with database.unit_of_work() as work:
                if not is_taken(work, json.dumps(whole)):
                    refused.add(name)
            holder[name] = kept
    assert refused >= {"depth", "version", "part", "prompt_tokens", "cached_tokens", "budget", "tokens"}


@settings(max_examples=40, deadline=None, suppress_health_check=SAFE)
@given(cut=SHARE, put=st.sampled_from(["", "}", "]", '"', "\\", "\0", "\ud800", "1e999", "NaN", "[" * 3_000]))
@example(cut=1.0, put="")
def test_a_broken_file_is_imported_or_refused(
    database: Database, whole: dict[str, Any], cut: float, put: str
) -> None:
    text = json.dumps(whole)
    at = int(cut * len(text))
    with database.unit_of_work() as work:
        for broken in (text[:at] + put, text[:at] + put + text[at:], put + text[at:]):
            if is_taken(work, broken):
                work.stories.delete(whole["story"]["id"])


@settings(max_examples=100, deadline=None)
@given(text=st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(ImportRefused):
        load_story(text)
