"""A batch's file as it must be: stories, what they share, and the matrix that multiplies them.

The descriptions are what an editor shows of ``docs/batch.schema.json``.
"""

import os
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import NullableSchema, WithDefaultSchema

from storyloom.app.batch.places import Places
from storyloom.app.batch.sampling_fields import SamplingFields
from storyloom.app.given_text import (
    LONGEST_OUTLINE,
    LONGEST_PREMISE,
    LONGEST_STYLE,
    LONGEST_TITLE,
    checked_language,
    checked_premise,
    required,
)
from storyloom.generators.spec import parse_spec
from storyloom.memory.errors import StoryloomError
from storyloom.memory.story import Mode

# Of each of these a story has one at most; chapters are counted where the planner makes the outline.
ALTERNATIVES = (
    ("premise", "premise_file"),
    ("outline", "outline_file"),
    ("outline", "chapters"),
    ("outline_file", "chapters"),
    ("paragraphs", "words"),
)

_LONGEST_KEY = 80
_LONGEST_PATH = 4_000
_KEY = re.compile(r"[^\W_][\w-]*")


class _EditorsSchema(GenerateJsonSchema):
    """A JSON schema without what only pydantic needs: titles of fields, defaults that mean nothing given."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  (pydantic's signature)
        return False

    def nullable_schema(self, schema: NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        if found.get("default") in (None, ""):
            found.pop("default", None)
        return found


def _told(check: Callable[[str], str]) -> AfterValidator:
    """A check of a text whose refusal becomes one of the file's problems."""

    def checked(text: str) -> str:
        try:
            return check(text)
        except StoryloomError as error:
            raise PydanticCustomError("unfit", "{refusal}", {"refusal": str(error)}) from error

    return AfterValidator(checked)


def _checked_key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise PydanticCustomError(
            "key", "is no key: a key has letters, digits, - and _, and begins with a letter or digit"
        )
    return text


def _checked_path(text: str) -> str:
    try:
        fit = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        fit = False
    if not fit:
        raise PydanticCustomError("path", "has a character that no file's name can have")
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _lines(value: Any) -> Any:
    return value.splitlines() if isinstance(value, str) else value


Key = Annotated[str, Field(max_length=_LONGEST_KEY), AfterValidator(_checked_key)]
Title = Annotated[
    str, Field(max_length=LONGEST_TITLE), _told(partial(required, what="title", longest=LONGEST_TITLE))
]
Premise = Annotated[str, Field(max_length=LONGEST_PREMISE), _told(checked_premise)]
Style = Annotated[
    str, Field(max_length=LONGEST_STYLE), _told(partial(required, what="style", longest=LONGEST_STYLE))
]
Outline = Annotated[
    list[Annotated[str, Field(max_length=LONGEST_OUTLINE)]],
    BeforeValidator(_lines, json_schema_input_type=str | list[str]),
    Field(min_length=1),
]
Language = Annotated[str, Field(min_length=1), _told(checked_language)]
Model = Annotated[str, _told(lambda text: parse_spec(text).text)]
File = Annotated[str, Field(min_length=1, max_length=_LONGEST_PATH), AfterValidator(_checked_path)]
Files = Annotated[list[File], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Paragraphs = Annotated[int, Strict(), Field(ge=1, le=100_000)]
Words = Annotated[int, Strict(), Field(ge=1, le=10_000_000)]
Chapters = Annotated[int, Strict(), Field(ge=1, le=1_000)]
_Value = TypeVar("_Value")
Values = Annotated[list[_Value], Field(min_length=1)]

# No larger number survives every reader of JSON.
Seed = Annotated[int, Strict(), Field(ge=0, le=2**53 - 1)]


class _Strict(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Single(_Strict):
    """Fields of which each may rule out others."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for one, other in ALTERNATIVES:
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise PydanticCustomError(
                    "alternatives",
                    "gives both {one} and {other}: give one of them",
                    {"one": one, "other": other},
                )
        return self


class StoryFields(_Single):
    """What can be said of a story, here of all of them."""

    title: Title | None = Field(
        default=None, description="The title. The planner finds one if it is left out."
    )
    premise: Premise | None = Field(
        default=None, description="What the story is about. A premise or an outline is needed."
    )
    premise_file: File | None = Field(default=None, description="A text file that holds the premise.")
    outline: Outline | None = Field(
        default=None,
        description="A line a chapter, as a text or a list. The planner makes one if it is left out.",
    )
    outline_file: File | None = Field(
        default=None, description="A text file that holds the outline, a line a chapter."
    )
    mode: Mode | None = Field(default=None, description="What kind of text it is; a novel if left out.")
    language: Language | None = Field(
        default=None, description="A language tag such as en, de or pt-BR; the setting's if left out."
    )
    style: Style | None = Field(default=None, description="How it is told, in a sentence or two.")
    model: Model | None = Field(
        default=None,
        description="starter, gguf:PATH, hf:REPO_OR_DIR or openai:MODEL@BASE_URL; the setting's if left out.",
    )
    paragraphs: Paragraphs | None = Field(
        default=None, description="How many paragraphs to write. Give this or words."
    )
    words: Words | None = Field(default=None, description="The length to meet. Give this or paragraphs.")
    chapters: Chapters | None = Field(
        default=None, description="How many chapters the planner's outline has; as many as fit if left out."
    )
    seed: Seed | None = Field(
        default=None, description="Where chance starts from; a number made of the key if left out."
    )
    sampling: SamplingFields | None = Field(
        default=None, description="How the writer draws its words; what fits the model if left out."
    )
    lore: Files | None = Field(
        default=None, description="Files of lore or characters to import first: a path, or a list of them."
    )
    export: Files | None = Field(
        default=None,
        description="Files to write when the story is done: a path, or a list of them. "
        "{key}, {title}, {seed}, {model} and {number} are filled in.",
    )


class StoryItem(StoryFields):
    """One story. What it says goes before what `defaults` says."""

    key: Key | None = Field(
        default=None,
        description="Names the story within the batch, each time it is run. "
        "Made of the title or the premise if left out.",
    )


def _values(name: str) -> Any:
    return Field(default=None, description=f"Values of `{name}`: each is tried with every story.")


class Matrix(_Single):
    """Lists of values. Every combination of them is written for every story."""

    title: Values[Title] | None = _values("title")
    premise: Values[Premise] | None = _values("premise")
    premise_file: Values[File] | None = _values("premise_file")
    outline: Values[Outline] | None = _values("outline")
    outline_file: Values[File] | None = _values("outline_file")
    mode: Values[Mode] | None = _values("mode")
    language: Values[Language] | None = _values("language")
    style: Values[Style] | None = _values("style")
    model: Values[Model] | None = _values("model")
    paragraphs: Values[Paragraphs] | None = _values("paragraphs")
    words: Values[Words] | None = _values("words")
    chapters: Values[Chapters] | None = _values("chapters")
    seed: Values[Seed] | None = _values("seed")
    sampling: Values[SamplingFields] | None = _values("sampling")
    lore: Values[Files] | None = _values("lore")
    export: Values[Files] | None = _values("export")


class Spec(_Strict):
    """A batch: stories to be written from their premises to their ends."""

    name: Title = Field(
        default="", description="What the batch is called; the file's name without its suffix if left out."
    )
    reproducible: Annotated[bool, Strict()] = Field(
        default=False, description="Equal seeds give equal text, at the price of speed: one story at a time."
    )
    workers: Annotated[int, Strict(), Field(ge=1, le=64)] | None = Field(
        default=None, description="How many stories are written side by side."
    )
    defaults: StoryFields = Field(
        default_factory=StoryFields, description="What holds for every story that doesn't say otherwise."
    )
    matrix: Matrix = Field(
        default_factory=Matrix, description="Lists of values; every combination is written for every story."
    )
    stories: list[StoryItem] = Field(
        default_factory=list, description="The stories. Without any, the matrix alone says what is written."
    )

    _places: Places = PrivateAttr(default_factory=Places)

    @property
    def places(self) -> Places:
        """Where its values stand in the file."""
        return self._places

    def placed(self, places: Places) -> Self:
        """The same, with its values' places."""
        placed = self.model_copy()
        placed._places = places
        return placed

    @model_validator(mode="after")
    def _writes_something(self) -> Self:
        if not self.stories and not self.matrix.model_fields_set:
            raise PydanticCustomError("nothing", "has no stories: list them under `stories`")
        return self

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        if self.reproducible and (self.workers or 1) > 1:
            raise PydanticCustomError(
                "reproducible",
                "is reproducible and has {workers} workers: equal text needs one worker",
                {"workers": self.workers},
            )
        return self


def json_schema() -> dict[str, Any]:
    """What a batch's file may say, as a JSON schema (draft 2020-12) for editors."""
    schema = Spec.model_json_schema(mode="validation", schema_generator=_EditorsSchema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A Storyloom batch"}
