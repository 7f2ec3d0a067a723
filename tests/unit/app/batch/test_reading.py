"""Batch files: what is taken, and every refusal with its line."""

from pathlib import Path

import pytest

from storyloom.app.batch.reading import read_spec
from storyloom.app.batch.spec import Spec
from storyloom.memory.errors import InvalidSpec
from storyloom.memory.story import Mode

STORY = "stories:\n  - premise: Mara keeps the lamp.\n    paragraphs: 3\n"


def read(folder: Path, text: str | bytes) -> Spec:
    file = folder / "lamps.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_spec(file)


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(InvalidSpec) as caught:
        read(folder, text)
    return str(caught.value)


def test_a_batch_is_named_after_its_file(tmp_path: Path) -> None:
    assert read(tmp_path, STORY).name == "lamps"
    assert read(tmp_path, "name: Night\n" + STORY).name == "Night"


def test_scalars_are_yaml_1_2(tmp_path: Path) -> None:
    spec = read(
        tmp_path, "defaults: {language: no, title: 2024-01-01, mode: document, words: 0x10}\n" + STORY
    )
    assert (spec.defaults.language, spec.defaults.title) == ("no", "2024-01-01")
    assert (spec.defaults.mode, spec.defaults.words) == (Mode.DOCUMENT, 16)


def test_texts_and_lists_are_the_same_outline(tmp_path: Path) -> None:
    listed = read(tmp_path, STORY + "    outline: [A storm comes., It ends.]\n")
    text = read(tmp_path, STORY + "    outline: |\n      A storm comes.\n      It ends.\n")
    assert listed.stories[0].outline == text.stories[0].outline == ["A storm comes.", "It ends."]


def test_a_name_without_a_value_counts_as_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, STORY + "    title:\n    lore: ~\n").stories[0].title is None


def test_anchors_can_be_used(tmp_path: Path) -> None:
    spec = read(tmp_path, STORY + "    style: &dry Dry.\n  - {premise: Ada, paragraphs: 1, style: *dry}\n")
    assert spec.stories[1].style == "Dry."


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("    paragraphz: 4\n", "lamps.yaml:4: stories[0].paragraphz: is no field that is known here; "
         "did you mean 'paragraphs'?"),
        ("    title: 1984\n", "lamps.yaml:4: stories[0].title: must be text; put it in quotes"),
        ("    seed: -1\n", "lamps.yaml:4: stories[0].seed: must be 0 or more"),
        ("    seed: 1.5\n", "lamps.yaml:4: stories[0].seed: must be a whole number"),
        ("    seed: true\n", "lamps.yaml:4: stories[0].seed: must be a whole number"),
        ("    seed: '7'\n", "lamps.yaml:4: stories[0].seed: must be a whole number"),
        ("    lore: 5\n", "lamps.yaml:4: stories[0].lore: must be a list"),
        ("    style: ''\n", "lamps.yaml:4: stories[0].style: The style is empty."),
        ("    mode: opera\n", "lamps.yaml:4: stories[0].mode: must be one of 'novel'"),
        ("    language: 'so-so!'\n", "lamps.yaml:4: stories[0].language: 'so-so!' is no language tag."),
        ("    model: gpt\n", "lamps.yaml:4: stories[0].model: 'gpt' names no model."),
        ("    key: a/b\n", "lamps.yaml:4: stories[0].key: is no key"),
        ("    sampling:\n      top_p: 2\n", "lamps.yaml:5: stories[0].sampling.top_p: must be 1.0 or less"),
        ("    sampling:\n      top_p: .inf\n", "lamps.yaml:5: stories[0].sampling.top_p: "),
        ("    words: 9\n", "lamps.yaml:2: stories[0]: gives both paragraphs and words: give one of them"),
        ("    premise: Again.\n", "lamps.yaml:2: stories[0]: has the field 'premise' twice, again on line 4"),
        ("    title: !!python/name:os.system x\n", "lamps.yaml:4: stories[0].title: has the tag "),
        ("    title: !!int x\n", "lamps.yaml:4: stories[0].title: is no value that can be used: 'x'"),
        ("    ? [a]\n    : b\n", "lamps.yaml:2: stories[0]: has a field whose name is no text, on line 4"),
        ("\ttitle: x\n", "lamps.yaml:4: isn't valid YAML: "),
        ("    title: [x\n", "lamps.yaml:5: isn't valid YAML: "),
        ("    title: *x\n", "lamps.yaml:4: isn't valid YAML: "),
        ("---\n" + STORY, "lamps.yaml:4: isn't valid YAML: "),
        ("    title: a\x00b\n", "lamps.yaml:4: has a character that no text file should have"),
        ('    export: "a\\0.md"\n', "lamps.yaml:4: stories[0].export: has a character that no file"),
        ("matrix: {seed: []}\n", "lamps.yaml:4: matrix.seed: is empty"),
        ("matrix: {seed: 1}\n", "lamps.yaml:4: matrix.seed: must be a list"),
        ("reproducible: true\nworkers: 2\n", "is reproducible and has 2 workers"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(added: str, told: str, tmp_path: Path) -> None:
    assert told in refusal(tmp_path, STORY + added)


def test_every_problem_is_told_at_once_and_of_many_the_first(tmp_path: Path) -> None:
    lines = refusal(tmp_path, STORY + "".join(f"    field{number}: x\n" for number in range(14))).splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("lamps.yaml:4: stories[0].field0: ")
    assert lines[-1] == "and 4 more."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lamps.yaml: is empty"),
        ("- a\n", "lamps.yaml:1: must be lines of `name: value`"),
        ("name: x\n", "has no stories"),
        (b"name: \xff\n", "lamps.yaml:1: isn't UTF-8"),
        ("a: " + "[" * 5_000, "lamps.yaml"),
        ("a: &a [*a]\n", "lamps.yaml:1: holds too many values, or a value holds itself"),
    ],
)
def test_hostile_files_are_refused(text: str | bytes, told: str, tmp_path: Path) -> None:
    assert told in refusal(tmp_path, text)


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "holds too many values" in refusal(tmp_path, "\n".join(levels))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"none\.yaml: can't be read: No such file"):
        read_spec(tmp_path / "none.yaml")
