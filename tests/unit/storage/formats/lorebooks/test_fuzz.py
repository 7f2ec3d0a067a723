"""Whatever a file holds, it is read or refused in a sentence; what was read is exported and read again."""

import copy
import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyloom.memory.errors import ImportRefused
from storyloom.memory.lore import CharacterSheet
from storyloom.memory.lorebook import Lorebook
from storyloom.storage.formats.lorebooks import FORMATS, read_lorebook, write_lorebook
from tests.unit.storage.formats.lorebooks.samples import (
    card_v2,
    card_v3,
    chunk,
    ids,
    kobold,
    novelai,
    packed,
    png,
    world_info,
)

SAMPLES = [world_info(), card_v2(), card_v3(), novelai(), kobold()]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    1e308,
    "",
    "true",
    "100",
    "@@depth 4\n@@@role user\n@@position after_desc\nx",
    "/a,b(/i",
    "\ud800\x00\x1b[31m",
    "x" * 5_000,
    [],
    ["a", None, 3],
    [[]],
    {},
    {"0": {}},
    {"a": {"a": {"a": []}}},
]
PICTURE = png(chunk(b"tEXt", b"chara\0" + packed(card_v2())), chunk(b"tEXt", b"ccv3\0" + packed(card_v3())))


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every place in the data: what holds it, and its name or number there."""
    names = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []
    return [found for name in names for found in [(data, name), *places(data[name])]]


def mutated(data: Any, chance: random.Random) -> Any:
    data = copy.deepcopy(data)
    for _ in range(chance.randint(1, 6)):
        found = places(data)
        if not found:
            break
        holder, name = chance.choice(found)
        kind = chance.random()
        if kind < 0.15:
            del holder[name]
        elif kind < 0.3:
            other, source = chance.choice(found)
            holder[name] = copy.deepcopy(other[source])
        else:
            holder[name] = copy.deepcopy(chance.choice(ODD))
    return data


def check(content: bytes, form: str) -> None:
    """Only ImportRefused; and what was read comes back equal from a form that can say all of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").write_bytes(content)
        try:
            lorebook = read_lorebook(folder / "in", ids())
        except ImportRefused:
            return
        book = replace(lorebook, characters=lorebook.characters or (CharacterSheet(id="c", name="C"),))
        told = write_lorebook(folder / "out", book, format=form)
        again = read_lorebook(folder / "out", ids())
        assert again.refused == ()
        if form != "novelai":
            plain, before = ([replace(e, id="", extensions={}) for e in b.entries] for b in (again, book))
            assert plain == before or "the field content" in "".join(told)  # it begins as a decorator
        write_lorebook(folder / "again", replace(book, **parts(again)), format=form)
        assert json.loads((folder / "again").read_bytes()) == json.loads((folder / "out").read_bytes())


def parts(lorebook: Lorebook) -> dict[str, Any]:
    """What a form gave back; only cards have characters."""
    found = {"entries": lorebook.entries, "extensions": lorebook.extensions}
    return {**found, "characters": lorebook.characters} if lorebook.characters else found


@given(st.sampled_from(SAMPLES), st.integers(0, 2**32), st.sampled_from(FORMATS))
@settings(max_examples=150, deadline=None)
def test_mutated_files(sample: Any, seed: int, form: str) -> None:
    check(json.dumps(mutated(sample, random.Random(seed))).encode(), form)


@given(st.binary(max_size=200), st.sampled_from([b"", b"{", b'{"entries":', PICTURE[:8], PICTURE[:50]]))
@settings(max_examples=60, deadline=None)
def test_random_bytes(rest: bytes, start: bytes) -> None:
    check(start + rest, "sillytavern")


@given(st.integers(0, len(PICTURE) - 1), st.binary(max_size=8), st.integers(0, 40))
@settings(max_examples=80, deadline=None)
def test_damaged_pictures(place: int, put: bytes, taken: int) -> None:
    check(PICTURE[:place] + put + PICTURE[place + taken :], "card-v3")


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_unharmed_samples_are_read_whole(sample: Any, tmp_path: Path) -> None:
    (tmp_path / "in").write_text(json.dumps(sample), encoding="utf-8")
    lorebook = read_lorebook(tmp_path / "in", ids())
    assert lorebook.refused == ()
    assert len(lorebook.entries) >= 2
