"""A batch's file becomes orders."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.app.batch.matrix import Planned, expand
from storyloom.app.batch.reading import read_spec
from storyloom.app.batch.spec import Spec
from storyloom.memory.errors import InvalidSpec

HERE = Path("/batches")
LAMP: dict[str, Any] = {"premise": "Mara keeps the lamp.", "paragraphs": 3}


def plan(folder: Path = HERE, **fields: Any) -> list[Planned]:
    return expand(Spec.model_validate(fields), folder=folder)


def refusal(folder: Path = HERE, **fields: Any) -> str:
    with pytest.raises(InvalidSpec) as caught:
        plan(folder, **fields)
    return str(caught.value)


def keys(**fields: Any) -> list[str]:
    return [one.key for one in plan(**fields)]


def test_a_story_goes_before_the_defaults() -> None:
    [one] = plan(defaults={"language": "de", "style": "Dry."}, stories=[{**LAMP, "language": "fr"}])
    assert (one.order.language, one.order.style, one.order.story_id) == ("fr", "Dry.", "")


def test_what_a_story_says_rules_out_the_defaults_alternatives() -> None:
    [one] = plan(
        defaults={"paragraphs": 3, "chapters": 2},
        stories=[{"premise": "Ada.", "words": 500, "outline": ["A storm.", "A calm."]}],
    )
    assert (one.order.paragraphs, one.order.words, one.order.chapters) == (None, 500, None)
    assert one.order.outline == "A storm.\nA calm."


def test_sampling_is_laid_over_field_by_field() -> None:
    [one] = plan(
        defaults={"sampling": {"temperature": 0.5, "top_k": 40}},
        stories=[{**LAMP, "sampling": {"top_k": 20, "dry_breakers": ["\n"]}}],
    )
    assert one.order.sampling == {"temperature": 0.5, "top_k": 20, "dry_breakers": ("\n",)}


def test_the_matrix_writes_every_story_in_every_combination() -> None:
    stories = [{"title": "Lamp", **LAMP}, {"title": "Sea", **LAMP}]
    matrix = {"model": ["starter", "openai:tiny@http://h/v1"], "seed": [1, 2]}
    found = plan(stories=stories, matrix=matrix)
    assert len(found) == 8
    assert found[0].key == "lamp-starter-seed-1"
    assert [one.order.seed for one in found[:4]] == [1, 2, 1, 2]
    assert len({one.key for one in found}) == 8


def test_a_matrix_alone_writes_stories() -> None:
    found = plan(defaults={"words": 900}, matrix={"premise": ["Mara keeps the lamp.", "Ada leaves."]})
    assert [one.order.premise for one in found] == ["Mara keeps the lamp.", "Ada leaves."]
    assert len({one.key for one in found}) == 2


def test_keys_stay_when_stories_are_added_and_moved() -> None:
    lamp, sea = {"title": "The Lamp!", **LAMP}, {"title": "Sea", **LAMP}
    assert keys(stories=[lamp, sea]) == ["the-lamp", "sea"]
    assert keys(stories=[sea, lamp]) == ["sea", "the-lamp"]


def test_equal_keys_are_refused() -> None:
    assert "gets the key 'mara-keeps-the-lamp', as stories[0] does" in refusal(stories=[LAMP, LAMP])
    assert "the matrix gives two stories the key" in refusal(stories=[LAMP], matrix={"seed": [1, 1]})


def test_seeds_follow_from_keys() -> None:
    first, second = plan(stories=[{**LAMP, "key": "a"}, {**LAMP, "key": "b"}])
    assert first.order.seed != second.order.seed
    assert plan(stories=[{**LAMP, "key": "a"}])[0].order.seed == first.order.seed
    assert plan(stories=[{**LAMP, "seed": 0}])[0].order.seed == 0


def test_a_field_said_by_a_story_and_by_the_matrix_is_refused() -> None:
    assert "stories[0].seed: is also in the matrix" in refusal(
        stories=[{**LAMP, "seed": 1}], matrix={"seed": [2]}
    )
    assert "stories[0].paragraphs: is also in the matrix as 'words'" in refusal(
        stories=[LAMP], matrix={"words": [100]}
    )


def test_what_a_story_lacks_is_told() -> None:
    told = refusal(stories=[{"title": "Lamp"}])
    assert "stories[0]: needs a premise or an outline" in told
    assert "stories[0]: needs its length: paragraphs or words" in told


def test_too_many_stories_are_refused_at_once() -> None:
    many = list(range(1_000))
    assert "asks for 1,000,000 stories" in refusal(
        stories=[LAMP], matrix={"seed": many, "words": [1] * 1_000}
    )


def test_exports_are_filled_in_and_absolute() -> None:
    [one] = plan(
        stories=[{**LAMP, "title": "The Lamp", "seed": 7, "export": "out/{number}-{title}-{seed}.md"}]
    )
    assert one.order.exports == ("/batches/out/1-the-lamp-7.md",)


@pytest.mark.parametrize("template", ["{key.__class__}.md", "{}.md", "{0}.md", "{keys}.md"])
def test_unknown_placeholders_are_refused(template: str) -> None:
    assert "is no placeholder" in refusal(stories=[{**LAMP, "export": template}])


def test_two_stories_are_never_exported_to_one_file() -> None:
    told = refusal(defaults={"export": "a/../out.md"}, stories=[{**LAMP, "key": "a"}, {**LAMP, "key": "b"}])
    assert "/batches/out.md: both 'a' and 'b' would be exported to it" in told


def test_an_export_never_replaces_what_a_story_is_made_from(tmp_path: Path) -> None:
    (tmp_path / "premise.txt").write_text("Mara keeps the lamp.")
    read = {"key": "b", "premise_file": "premise.txt", "words": 100}
    with pytest.raises(InvalidSpec, match="a story is made from this file"):
        plan(tmp_path, stories=[{**LAMP, "key": "a", "export": "premise.txt"}, read])


def test_an_export_has_a_form() -> None:
    assert "a.pdf: a story is exported to " in refusal(stories=[{**LAMP, "export": "a.pdf"}])


def test_texts_and_lore_are_read_from_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "premise.txt").write_text("\ufeffMara keeps\nthe lamp.\n", encoding="utf-8")
    (tmp_path / "lore.json").write_text("{}")
    (tmp_path / "x.gguf").write_text("")
    story = {"premise_file": "premise.txt", "lore": "lore.json", "model": "gguf:x.gguf", "words": 100}
    [one] = plan(tmp_path, stories=[story])
    assert one.order.premise == "Mara keeps\nthe lamp."
    assert one.order.lore == (str(tmp_path / "lore.json"),)
    assert one.order.model == f"gguf:{tmp_path / 'x.gguf'}"


def test_a_models_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"x\.gguf: there is no such file"):
        plan(tmp_path, stories=[{**LAMP, "model": "gguf:x.gguf"}])


def test_files_that_cant_be_used_are_told_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    (tmp_path / "empty.txt").write_bytes(b"")
    file = tmp_path / "b.yaml"
    file.write_text(
        "defaults: {paragraphs: 1}\nstories:\n  - premise_file: bad.txt\n  - premise_file: none.txt\n"
        "  - premise_file: empty.txt\n  - premise: Ada.\n    lore: [lore.json]\n"
    )
    with pytest.raises(InvalidSpec) as caught:
        expand(read_spec(file), folder=tmp_path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["b.yaml:3", "b.yaml:4", "b.yaml:5", "b.yaml:7"]
    assert "isn't UTF-8" in lines[0]
    assert "No such file" in lines[1]
    assert "The premise is empty" in lines[2]
    assert "there is no such file" in lines[3]


SEEDS = st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=3, unique=True)
TITLES = st.lists(
    st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=12), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(titles=TITLES, seeds=SEEDS, temperatures=st.sets(st.sampled_from([0.1, 0.25, 1.0, 2.5])))
def test_plans_are_the_same_each_time_and_keys_are_unique(
    titles: list[str], seeds: list[int], temperatures: set[float]
) -> None:
    unique = {title.lower(): title for title in titles}.values()
    fields: dict[str, Any] = {
        "stories": [{**LAMP, "title": title} for title in unique] or [LAMP],
        "matrix": {"seed": seeds},
    }
    if temperatures:
        fields["matrix"]["sampling"] = [{"temperature": each} for each in sorted(temperatures)]
    found = plan(**fields)
    assert found == plan(**fields)
    assert (
        len({one.key for one in found})
        == len(found)
        == len(fields["stories"]) * len(seeds) * (len(temperatures) or 1)
    )
