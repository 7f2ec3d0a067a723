"""A batch's stories: what the file says of each, what all share, and the matrix, as orders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from storyloom.app.batch.files import Files
from storyloom.app.batch.keys import label, seed_of, slug, story_key
from storyloom.app.batch.places import Problem, Where
from storyloom.app.batch.sampling_fields import SamplingFields
from storyloom.app.batch.spec import ALTERNATIVES, Spec, StoryFields, StoryItem
from storyloom.app.given_text import LONGEST_OUTLINE, LONGEST_PREMISE
from storyloom.memory.orders import Order
from storyloom.memory.story import Mode

MOST_STORIES = 100_000
# What a key is made of, the first that a story has.
_NAMING = ("title", "premise", "premise_file", "outline", "outline_file")
_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Planned:
    """A story of a batch: its key, and its order without an id."""

    key: str
    order: Order


@dataclass(frozen=True, slots=True)
class _Given:
    """What the file says of one story.

    Attributes:
        key: the story's.
        where: where it stands, for what is told of all of it.
        values: its fields.
        places: where each field stands.
    """

    key: str
    where: Where
    values: Mapping[str, Any]
    places: Mapping[str, Where]

    def place(self, name: str) -> Where:
        """Where a field stands; the story where it has none."""
        return self.places.get(name, self.where)


def expand(spec: Spec, *, folder: Path) -> list[Planned]:
    """Every story of a batch, in the order of the file; the matrix's later fields change first.

    Args:
        spec: the batch.
        folder: what paths are relative to: the file's.

    Raises:
        InvalidSpec: a story lacks something, two stories are the same, or a file can't be used.
    """
    folder = folder.absolute()
    problems: list[Problem] = []
    count = max(1, len(spec.stories)) * prod(len(values) for _, values in _matrix(spec))
    if count > MOST_STORIES:
        problem = Problem((), f"asks for {count:,} stories, and a batch has {MOST_STORIES:,} at most")
        raise spec.places.refusal([problem])
    files = Files(folder, problems)
    planned: list[Planned] = []
    known: dict[str, Where] = {}
    for number, given in enumerate(_given(spec, problems), start=1):
        if given.key in known:
            problems.append(Problem(given.where, _same_key(given.key, known[given.key], given.where)))
            continue
        known[given.key] = given.where
        order = _order(given, number, files)
        if order is not None:
            planned.append(Planned(given.key, order))
    files.spare_inputs()
    if problems:
        raise spec.places.refusal(problems)
    return planned


def _given(spec: Spec, problems: list[Problem]) -> Iterator[_Given]:
    """Every story with what it says, what the matrix says, and what all share, in this order."""
    shared = _fields(spec.defaults)
    shared_places: dict[str, Where] = {name: ("defaults", name) for name in shared}
    matrix = _matrix(spec)
    stories: Sequence[StoryItem] = spec.stories or [StoryItem()]
    for place, story in enumerate(stories):
        where: Where = ("stories", place) if spec.stories else ()
        own = _fields(story)
        clashes = [
            Problem((*where, mine), f"is also in the matrix as {theirs!r}: say it in one of them")
            for theirs, _ in matrix
            for mine in own
            if mine == theirs or _rule_each_other_out(mine, theirs)
        ]
        if clashes:
            problems.extend(clashes)
            continue
        values, places = _over(shared, own), _over_places(shared_places, own, where)
        base = story.key or _base(values)
        for chosen in product(*(list(enumerate(found)) for _, found in matrix)):
            varied = {name: value for (name, _), (_, value) in zip(matrix, chosen, strict=True)}
            at: dict[str, Where] = {
                name: ("matrix", name, index) for (name, _), (index, _) in zip(matrix, chosen, strict=True)
            }
            whole = _over(values, varied)
            labels = {name: label(name, value) for name, value in varied.items()}
            key = story_key(base, labels)[:_LONGEST_KEY]
            yield _Given(key or "story", where, whole, {**places, **at})


def _fields(given: StoryFields) -> dict[str, Any]:
    """What is said, by the fields' names."""
    found = {name: getattr(given, name) for name in StoryFields.model_fields}
    return {name: value for name, value in found.items() if value is not None}


def _matrix(spec: Spec) -> list[tuple[str, list[Any]]]:
    found = ((name, getattr(spec.matrix, name)) for name in type(spec.matrix).model_fields)
    return [(name, values) for name, values in found if values is not None]


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Fields over others: what rules another out takes its place; sampling is laid over field by field."""
    kept = {
        name: value
        for name, value in below.items()
        if not any(_rule_each_other_out(name, other) for other in above)
    }
    found = {**kept, **above}
    if "sampling" in below and "sampling" in above:
        both = below["sampling"].model_dump(exclude_none=True) | above["sampling"].model_dump(
            exclude_none=True
        )
        found["sampling"] = SamplingFields(**both)
    return found


def _over_places(below: Mapping[str, Where], own: Mapping[str, Any], where: Where) -> dict[str, Where]:
    return {**below, **{name: (*where, name) for name in own}}


def _rule_each_other_out(one: str, other: str) -> bool:
    return (one, other) in ALTERNATIVES or (other, one) in ALTERNATIVES


def _base(values: Mapping[str, Any]) -> str:
    """A key from what a story says, as far as it says anything beside the matrix."""
    for name in _NAMING:
        if name in values:
            value = values[name]
            found = slug(" ".join(value) if isinstance(value, list) else value)
            if found:
                return found
    return ""


def _same_key(key: str, first: Where, second: Where) -> str:
    if first == second:
        return f"the matrix gives two stories the key {key!r}: take one of the like values out"
    return f"gets the key {key!r}, as stories[{first[1]}] does: give one of them another `key`"


def _order(given: _Given, number: int, files: Files) -> Order | None:
    """The story's order; None where something of it can't be used."""
    values = given.values
    told = len(files.problems)
    premise = files.text(values, "premise", given.place("premise_file"), LONGEST_PREMISE)
    outline = files.text(values, "outline", given.place("outline_file"), LONGEST_OUTLINE)
    if not premise and not outline and told == len(files.problems):
        files.problems.append(Problem(given.where, "needs a premise or an outline"))
    if "paragraphs" not in values and "words" not in values:
        files.problems.append(Problem(given.where, "needs its length: paragraphs or words"))
    seed = values.get("seed")
    seed = seed_of(given.key) if seed is None else seed
    title, model = values.get("title", ""), values.get("model", "")
    filled = {
        "key": given.key,
        "title": slug(title) or given.key,
        "seed": str(seed),
        "model": label("model", model) if model else "default",
        "number": str(number),
    }
    lore = files.lore(values.get("lore", ()), given.place("lore"))
    exports = files.exports(values.get("export", ()), given.place("export"), given.key, filled)
    spec = files.model(model, given.place("model"))
    if len(files.problems) > told:
        return None
    sampling = values["sampling"].model_dump(exclude_none=True) if "sampling" in values else {}
    return Order(
        story_id="",
        premise=premise,
        outline=outline,
        title=title,
        mode=values.get("mode", Mode.NOVEL),
        language=values.get("language", ""),
        style=values.get("style", ""),
        model=spec,
        seed=seed,
        paragraphs=values.get("paragraphs"),
        words=values.get("words"),
        chapters=values.get("chapters"),
        sampling={
            name: tuple(found) if isinstance(found, list) else found for name, found in sampling.items()
        },
        lore=lore,
        exports=exports,
    )
