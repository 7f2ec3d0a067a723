"""A story's own settings: every name, what it may be, and that it does something."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyloom.app.events import Listener
from storyloom.app.story_settings import approves_memory, lore_settings, rule_of
from storyloom.app.studio import Studio
from storyloom.memory.errors import InvalidSetting, InvalidText
from storyloom.memory.lore import LoreSettings
from storyloom.memory.recall import RecallRule
from storyloom.storage.database import Database

OTHERS = {
    "title": "The Mill",
    "premise": "Mara keeps a mill.",
    "outline": "She opens it.",
    "style": "spare",
    "authors_note": "no dragons",
    "language": "de",
    "weaver": "plain",
    "note_depth": "2",
    "approve_memory": "true",
    "lore.recursive": "false",
    "lore.case_sensitive": "true",
    "lore.whole_words": "false",
    "lore.group_scoring": "true",
    "lore.user": "Tom",
    "recall.alike": "0.5",
    "lore.budget": "0.5",
    "lore.likeness": "0.25",
    "sampling.top_p": "0.5",
    "sampling.min_p": "0.5",
    "sampling.typical_p": "0.5",
    "sampling.dry_breakers": '["."]',
    "sampling.xtc_probability": "0.5",
    "sampling.xtc_threshold": "0.5",
    "sampling.mirostat": "2",
}


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story with twelve steps."""
    return studio.import_file(told(12), Listener()).id


def test_every_setting_is_shown_and_can_be_set_undone_and_unset(studio: Studio, story: str) -> None:
    defaults = studio.settings.of(story)
    assert {f"recall.{name}" for name in RecallRule.__dataclass_fields__} <= defaults.keys()
    assert {f"lore.{name}" for name in LoreSettings.__dataclass_fields__} <= defaults.keys()
    assert defaults["recall.limit"] == RecallRule().limit
    for name, default in defaults.items():
        value = OTHERS.get(name, "7")
        changed = studio.settings.change(story, {name: value})
        assert changed == studio.settings.of(story) == {**defaults, name: changed[name]}
        assert changed[name] != default
        shown = changed[name] if isinstance(changed[name], str) else json.dumps(changed[name])
        assert shown.lower().removesuffix(".0") == value.lower()
        studio.editing.undo(story)
        assert studio.settings.of(story) == defaults
        studio.editing.undo(story)
        assert studio.settings.of(story) == changed
        if name in {"title", "premise", "language"}:
            with pytest.raises(InvalidText):
                studio.settings.change(story, {name: ""})
            studio.editing.undo(story)
        else:
            unset = studio.settings.change(story, {name: ""})
            assert unset[name] == (default if name != "outline" else "")
            studio.settings.change(story, {name: str(default) if name == "outline" else ""})
    assert {**studio.settings.of(story)} == defaults


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "3"),
        ("model", "starter"),
        ("recall", "3"),
        ("recall.", "3"),
        ("recall.rule", "3"),
        ("", "3"),
        ("title ", "3"),
        ("recall.limit", "-1"),
        ("recall.limit", "many"),
        ("recall.limit", "2.5"),
        ("recall.limit", "9" * 5000),
        ("recall.recent", "-4"),
        ("recall.threshold", "nan"),
        ("recall.dense", "inf"),
        ("recall.alike", "1.5"),
        ("lore.budget", "2"),
        ("lore.recursive", "perhaps"),
        ("lore.user", "x" * 301),
        ("weaver", "loom"),
        ("note_depth", "-1"),
        ("note_depth", "1001"),
        ("approve_memory", "2"),
        ("language", "English, please"),
        ("title", "x" * 301),
        ("premise", " \n"),
        ("sampling", "warm"),
        ("sampling.", "1"),
        ("sampling.heat", "1"),
        ("sampling.temperature", "11"),
        ("sampling.top_k", "1.5"),
        ("sampling.mirostat", "3"),
        ("sampling.dry_breakers", "."),
    ],
)
def test_wrong_names_and_values_are_refused_and_nothing_changes(
    studio: Studio, story: str, name: str, value: str
) -> None:
    before = studio.show(story).story
    with pytest.raises((InvalidSetting, InvalidText)):
        studio.settings.change(story, {"style": "spare", name: value})
    assert studio.show(story).story == before
    assert studio.editing.revisions(story) == []


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*OTHERS, "recall.limit", "recall.dense", "lore.scan_depth", "what"])
    | st.text(max_size=9),
    value=st.text(max_size=12) | st.from_regex(r"-?[0-9]{1,30}(\.[0-9]+)?(e[0-9]{1,4})?", fullmatch=True),
)
def test_any_value_is_taken_or_refused_in_a_sentence(
    studio: Studio, story: str, name: str, value: str
) -> None:
    with suppress(InvalidSetting, InvalidText):
        changed = studio.settings.change(story, {name: value})
        assert studio.settings.of(story) == changed


@pytest.mark.parametrize(
    "said",
    [{"recall": {"limit": -5}}, {"lore": {"budget": "much"}}, {"weaver": 3}, {"recall": {"alike": []}}],
)
def test_what_a_file_brought_is_checked_too_and_can_be_set_anew(
    studio: Studio, story: str, database: Database, said: dict[str, Any]
) -> None:
    with database.unit_of_work() as work:
        kept = work.stories.get(story)
        work.stories.save(replace(kept, settings={**kept.settings, **said}))
        work.commit()
    ((group, inner),) = said.items()
    name = f"{group}.{next(iter(inner))}" if isinstance(inner, dict) else group
    with pytest.raises(InvalidSetting, match=group):
        studio.settings.of(story)
    assert studio.settings.change(story, {name: ""})[name] is not None


@pytest.mark.parametrize("said", ["x", 3, None, ["limit"], {"nothing": 3}])
def test_a_group_that_is_no_group_counts_as_nothing_said(
    studio: Studio, story: str, database: Database, said: Any
) -> None:
    with database.unit_of_work() as work:
        kept = work.stories.get(story)
        work.stories.save(replace(kept, settings={**kept.settings, "recall": said, "approve_memory": "yes"}))
        work.commit()
    shown = studio.show(story).story
    assert rule_of(shown, RecallRule()) == RecallRule()
    assert lore_settings(shown) == LoreSettings()
    assert not approves_memory(shown)
    assert studio.settings.change(story, {"recall.limit": "5"})["recall.limit"] == 5


def test_a_storys_rule_is_what_its_search_and_its_steps_go_by(studio: Studio, story: str) -> None:
    wanted = studio.show(story).steps[1].paragraph
    assert len(studio.remembering.search(story, wanted)) > 1
    studio.settings.change(story, {"recall.limit": "1"})
    assert [item.text for item in studio.remembering.search(story, wanted)] == [wanted]
    studio.settings.change(story, {"recall.threshold": "1000000"})
    assert studio.remembering.search(story, wanted) == ()
    assert recalled(studio, story) == []
    studio.settings.change(story, {"recall.threshold": "0", "recall.limit": "2", "recall.recent": "10"})
    depths = {int(source.rpartition(":")[2]) for source in recalled(studio, story)}
    assert len(depths) == 2
    assert depths < {1, 2, 3}  # the fourteenth step, without ten before it
    studio.settings.change(story, {"recall.limit": "0"})
    assert (studio.remembering.search(story, wanted), recalled(studio, story)) == ((), [])


def recalled(studio: Studio, story: str) -> list[str]:
    """What one more step recalls."""
    list(studio.write(story, Listener()))
    head = studio.show(story, last=1).steps[0]
    slots = studio.provenance(story, head.depth).slots
    return [slot.source for slot in slots if slot.slot == "recall"]


def test_a_new_premise_reaches_the_page_by_a_rebuild(studio: Studio, story: str) -> None:
    studio.settings.change(story, {"premise": "Mara keeps a mill by the river."})
    assert len(studio.editing.stale(story)) == 12
    assert not studio.rebuilding.needs_keeper(story)
    studio.rebuilding.rebuild(story, Listener())
    first, *others = studio.remembering.page(story).notes
    assert (first.text, first.pinned) == ("Mara keeps a mill by the river.", True)
    assert not any("lighthouse" in note.text for note in others)
