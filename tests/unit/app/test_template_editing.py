"""The templates' editor: what it refuses, what takes effect, and that no text is lost."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from storyloom.app.agents.calls import readable
from storyloom.app.beginning import Beginning
from storyloom.app.events import Listener
from storyloom.app.profiles import LARGE
from storyloom.app.studio import Studio
from storyloom.app.template_editing import LONGEST_TEMPLATE, PURPOSES, TemplateEditing
from storyloom.app.template_values import LISTS, SAMPLE, WRITERS, as_text, given, samples, turns
from storyloom.app.templates import Templates
from storyloom.app.weaving import SLOTS, rebuild
from storyloom.memory.errors import InvalidSetting, ModelFailed
from storyloom.memory.generation import Message
from storyloom.memory.story import Mode
from storyloom.storage.database import Database
from tests.stand_ins import InstantModel
from tests.unit.app.conftest import open_studio

MINE = """{% call turn("user") %}
Go on, please: {{ plan | join(" ") }} / {{ premise | join(" ") }}
{% endcall %}
"""


@pytest.fixture
def story(studio: Studio, told: Callable[[int], Path]) -> str:
    """The id of a story with three steps."""
    return studio.import_file(told(3), Listener()).id


@pytest.fixture
def templates(studio: Studio) -> TemplateEditing:
    return studio.templates


def test_every_template_has_a_purpose_and_passes_its_own_check(templates: TemplateEditing) -> None:
    ours = {path.name for path in files("storyloom.app.prompts").iterdir() if path.name.endswith(".j2")}
    assert {f"{name}.j2" for name in PURPOSES} == ours
    assert set(SAMPLE.texts) == set(SLOTS)
    for one in templates.all():
        assert one.purpose.endswith(".")
        assert not one.is_own
        opened = templates.open(one.name)
        assert opened.source == opened.ours
        templates.check(one.name, opened.source)


class NoSize(InstantModel):
    """A model that counts as large: it is asked for everything in one call."""

    parameters = None  # type: ignore[assignment]
    features = InstantModel.features | {"schema"}


def test_the_samples_have_the_values_that_the_agents_give(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[frozenset[str]]] = {}

    def spy(method: str) -> None:
        real = getattr(Templates, method)

        def call(self: Templates, name: str, *rest: Any, **values: Any) -> Any:
            told = values or (rest[1] if len(rest) > 1 else {})
            seen.setdefault(name, set()).add(frozenset(told))
            return real(self, name, *rest, **values)

        monkeypatch.setattr(Templates, method, call)

    for method in ("messages", "text", "rendered"):
        spy(method)
    for model in (InstantModel(), NoSize()):
        studio = open_studio(database, model, tmp_path)
        for mode in (Mode.NOVEL, Mode.FICTION):
            beginning = Beginning(premise="A keeper finds a door in the sea.", mode=mode, seed=7)
            story = studio.begin(beginning, Listener()).story.id
            list(studio.write(story, Listener(), paragraphs=2))
            with suppress(ModelFailed):  # what it answers doesn't matter here
                studio.rewriting.propose(studio.rewriting.mark(story, 2, "make it rain"), Listener())
    assert LARGE.one_call
    assert seen.keys() == PURPOSES.keys()
    for name, variants in seen.items():
        own = set(given(name, SAMPLE)) | ({*SLOTS, "outlets", "recent"} if name in WRITERS else set())
        for variant in variants:
            assert variant == own, name


def test_a_saved_text_is_used_for_the_next_paragraph_and_given_back(
    studio: Studio, templates: TemplateEditing, story: str, model: InstantModel, tmp_path: Path
) -> None:
    list(studio.write(story, Listener()))
    opened = templates.save("writer", MINE.replace("\n", "\r\n") + "\n\n")
    assert (opened.source, opened.is_own, opened.former) == (MINE, True, ())
    assert [one.name for one in templates.all() if one.is_own] == ["writer"]
    list(studio.write(story, Listener()))
    assert any(readable(request.prompt).startswith("<user>\nGo on, please:") for request in model.requests)
    step = studio.show(story, last=1).steps[0]
    assert "Go on, please:" in studio.inspecting.paragraph(story, step.depth).prompt[0].text
    back = templates.back_to_ours("writer")
    assert (back.source, back.is_own, len(back.former)) == (back.ours, False, 1)
    assert templates.former("writer", back.former[0]) == MINE
    asked = len(model.requests)
    list(studio.write(story, Listener()))
    assert not any("Go on, please:" in readable(one.prompt) for one in model.requests[asked:])
    assert not (tmp_path / "templates" / "writer.j2").exists()


def test_every_earlier_text_is_kept_even_one_that_no_page_wrote(
    templates: TemplateEditing, tmp_path: Path
) -> None:
    file = tmp_path / "templates" / "writer.j2"
    file.parent.mkdir()
    file.write_bytes(b"\xff by hand")
    opened = templates.open("writer")
    assert (opened.source, opened.is_own) == ("\ufffd by hand", True)
    texts = [MINE.replace("please", word) for word in ("first", "second", "third")]
    for text in texts:
        templates.save("writer", text)
    templates.save("writer", texts[-1])  # the same once more
    former = templates.open("writer").former
    assert list(former) == sorted(former, reverse=True)
    kept = [templates.former("writer", when) for when in former]
    assert kept == [texts[1], texts[0], "\ufffd by hand"]
    assert b"\xff by hand" in [path.read_bytes() for path in (file.parent / "former" / "writer").iterdir()]
    # Saving what is ours is going back to it.
    assert templates.save("writer", templates.open("writer").ours).is_own is False
    assert templates.former("writer", templates.open("writer").former[0]) == texts[2]
    with pytest.raises(InvalidSetting, match="put away"):
        templates.former("writer", datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{% call turn('user') %}\n\n{% if %}x{% endif %}\n{% endcall %}", "line 3"),
        ("{% call turn('user') %}\n{{ nosuch }}\n{% endcall %}", "line 2: 'nosuch' is undefined"),
        ("{% call turn('user') %}\n{{ 1 / 0 }}{% endcall %}", "line 2: division by zero"),
        ("{% call turn('user') %}\n{{ premise.__class__.__mro__ }}{% endcall %}", "line 2"),
        (
            "{% if mode == 'fiction' %}\n{{ nosuch }}\n{% endif %}{% call turn('user') %}x{% endcall %}",
            "fiction",
        ),
        ("Just words.", "no turn"),
        ("{% call turn('user') %}  {% endcall %}", "says nothing"),
        ("{% call turn('boss') %}x{% endcall %}", "boss"),
        ('{% include "../../config.j2" %}', "line 1"),
        ("x" * (LONGEST_TEMPLATE + 1), "at most"),
    ],
)
def test_a_broken_text_is_refused_with_its_line_and_changes_nothing(
    templates: TemplateEditing, tmp_path: Path, source: str, told: str
) -> None:
    templates.save("writer", MINE)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.j2")}
    with pytest.raises(InvalidSetting, match=told):
        templates.save("writer", source)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.j2")} == before


@pytest.mark.parametrize("name", ["", "nosuch", "../writer", "former/writer", "__init__"])
def test_no_other_file_can_be_named(templates: TemplateEditing, tmp_path: Path, name: str) -> None:
    for attempt in (
        lambda: templates.open(name),
        lambda: templates.save(name, MINE),
        lambda: templates.back_to_ours(name),
        lambda: templates.former(name, datetime.now(UTC)),
        lambda: templates.preview(name, MINE),
    ):
        with pytest.raises(InvalidSetting, match="no prompt template"):
            attempt()
    assert list(tmp_path.rglob("*.j2")) == []


def test_a_guest_is_refused_everything(studio: Studio, tmp_path: Path) -> None:
    templates = studio.of_owner("tom").templates
    assert templates.is_refused
    assert not studio.templates.is_refused
    for attempt in (
        lambda: templates.all(),
        lambda: templates.open("writer"),
        lambda: templates.check("writer", MINE),
        lambda: templates.save("writer", MINE),
        lambda: templates.back_to_ours("writer"),
        lambda: templates.former("writer", datetime.now(UTC)),
        lambda: templates.preview("writer", MINE),
    ):
        with pytest.raises(InvalidSetting, match="without --auth-file"):
            attempt()
    assert list(tmp_path.rglob("*.j2")) == []


def test_the_preview_is_the_last_paragraphs_own_prompt(
    studio: Studio, templates: TemplateEditing, story: str, tmp_path: Path
) -> None:
    preview = templates.preview("writer", templates.open("writer").source)
    assert preview.title == studio.show(story).story.title
    provenance = studio.inspecting.paragraph(story).provenance
    assert provenance.weaving is not None
    again = rebuild(provenance.slots, provenance.weaving, Templates(tmp_path / "none"))
    assert isinstance(again, tuple)
    without_opening = [one for one in again if one.role != "assistant"]
    shown = [
        Message(turn.role or "user", "".join(piece.text for piece in turn.pieces))
        for turn in preview.rendered.turns
    ]
    assert shown == without_opening
    coloured = {
        preview.rendered.slots[piece.place]
        for turn in preview.rendered.turns
        for piece in turn.pieces
        if piece.place is not None
    }
    assert coloured >= {"premise", "memory", "last", "plan"}
    for name in PURPOSES:
        assert as_text(templates.preview(name, templates.open(name).source).rendered).strip()


def test_without_a_story_the_preview_has_a_sample(templates: TemplateEditing) -> None:
    preview = templates.preview("planner_title", templates.open("planner_title").source)
    assert preview.title == ""
    assert preview.rendered.turns[-1].pieces[0].text == SAMPLE.texts["premise"][0]
    listed = templates.preview("planner_openers", templates.open("planner_openers").source)
    assert [turn.role for turn in listed.rendered.turns] == [None]


def test_a_template_that_changes_a_text_is_shown_without_colours(tmp_path: Path) -> None:
    source = '{% call turn("user") %}{{ (premise | join(" "))[:9] }} {{ plan | join(" ") }}{% endcall %}'
    (turn,) = turns(Templates(tmp_path), "writer", source, SAMPLE).turns
    assert [(piece.text, piece.place) for piece in turn.pieces] == [
        (f"{SAMPLE.texts['premise'][0][:9]} {SAMPLE.plans[0]}", None)
    ]


def test_samples_hold_every_branch(tmp_path: Path) -> None:
    kinds = {(one.mode, one.language, one.can_prefill, bool(one.texts.get("style"))) for one in samples()}
    assert len(kinds) == 3 * 2 * 2 * 2
    assert set(LISTS) < PURPOSES.keys()
    assert Templates(tmp_path).names() == tuple(sorted(PURPOSES))


def test_a_text_that_another_takes_in_is_the_persons_own_from_the_next_use_on(tmp_path: Path) -> None:
    templates = Templates(tmp_path / "templates")
    source = '{% include "planner_actions.j2" %}'
    assert "You climb" in templates.plain("x", source, {"language": "en"})
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "planner_actions.j2").write_text("You sing")
    assert templates.plain("x", source, {"language": "en"}) == "You sing"
