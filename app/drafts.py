"""Stories before their first paragraph: premise, outline and characters as a person thinks them over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import shorten

from storyloom.app.beginning import Beginning, checked_beginning
from storyloom.app.castings import Castings
from storyloom.app.events import Listener
from storyloom.app.lore_edits import change_characters
from storyloom.app.lore_fields import with_fields
from storyloom.app.recurrence import derived_seed
from storyloom.app.shelf import Shelf, new_id
from storyloom.app.story_settings import SUBJECT, StorySettings
from storyloom.memory.errors import InvalidText, ModelFailed, StepConflict
from storyloom.memory.lore import CharacterSheet
from storyloom.memory.story import Mode, Story

_SHOWN = 60  # of a description that has no name
_BLANK = CharacterSheet(id="", name="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a draft says of a character; one without any text is none.

    Attributes:
        name: the character's name.
        description: whatever a writer must know.
        id: the character's; empty: it isn't kept yet.
    """

    name: str = ""
    description: str = ""
    id: str = ""


class Drafts:
    """The drafts of one owner.

    Args:
        shelf: whose stories.
        castings: makes the planner.
        settings: changes their texts.
        begin: starts a story, or goes on with one of the same id.
    """

    def __init__(
        self,
        shelf: Shelf,
        castings: Castings,
        settings: StorySettings,
        begin: Callable[[Beginning, Listener], object],
    ) -> None:
        self._shelf = shelf
        self._castings = castings
        self._settings = settings
        self._begin = begin

    def outlined(self, story_id: str, premise: str, mode: Mode, listener: Listener) -> Story:
        """The draft of this id with a title and an outline; what it has of them already stays.

        It is kept before the model runs: asked again, the same story is gone on with.

        Args:
            story_id: its id, of a new one too.
            premise: what it is about.
            mode: what kind of text it is.
            listener: hears how far it is.

        Raises:
            InvalidText: the premise is empty or too long.
            StepConflict: the story has a paragraph already.
            ModelUnavailable, ModelFailed: the story is there, without an outline.
        """
        beginning = checked_beginning(Beginning(id=story_id, premise=premise, mode=mode))
        if self._is_there(story_id):
            self.change(story_id, {"premise": beginning.premise}, mode)
        self._begin(beginning, listener)
        return self._shelf.find(story_id)[0]

    def change(self, story_id: str, texts: Mapping[str, str], mode: Mode | None = None) -> None:
        """Change texts by their names in ``Story``, each with a revision, and what kind of text it is.

        Raises:
            InvalidText: a text is too long, or one that is needed empty.
            StepConflict: the story has a paragraph already.
        """
        story = self._draft(story_id)
        changed = {name: text for name, text in texts.items() if text.strip() != getattr(story, name)}
        if changed:
            self._settings.change(story_id, changed)
        if mode not in {None, story.mode}:
            with self._shelf.database.unit_of_work() as work:
                work.stories.save(replace(work.stories.get(story_id), mode=mode))
                work.commit()

    def another_outline(self, story_id: str, listener: Listener) -> Story:
        """The draft with another outline; the one before stays as a revision.

        Raises:
            StepConflict: the story has a paragraph already.
            ModelUnavailable, ModelFailed: the outline is as it was.
        """
        story = self._draft(story_id)
        listener.on_stage("loading", 0)
        cast = self._castings.cast(story.settings.get("model"))
        listener.on_stage("outlining", 0)
        made = cast.planner.begin(
            premise=story.premise,
            mode=story.mode,
            language=story.language,
            style=story.style,
            seed=derived_seed(derived_seed(story.settings["seed"], 0), self._tries(story_id)),
            title=story.title,
        )
        if not made.outline:
            raise ModelFailed("The model brought no outline this time. Try again, or write one yourself.")
        self._settings.change(story_id, {"outline": made.outline})
        return self._shelf.find(story_id)[0]

    def keep_characters(self, story_id: str, sheets: Sequence[Sheet]) -> tuple[Sheet, ...]:
        """Make these sheets the draft's; one that was kept before and is empty now is removed.

        Returns:
            The sheets in their order, each with its id; an empty one has none.

        Raises:
            InvalidText: a character has no name, or a text is too long.
            StepConflict: the story has a paragraph already.
        """
        story = self._draft(story_id)
        with self._shelf.database.unit_of_work() as work:
            there = {one.id: one for one in work.characters.of_story(story_id)}
            new = [_filled(there, sheet) for sheet in sheets]
            old = [there[sheet.id] for sheet in sheets if sheet.id in there]
            kept = [one for one in new if one is not None]
            if old != kept:
                change_characters(work, story, old, kept)
                work.commit()
        return tuple(replace(sheet, id=one.id if one else "") for sheet, one in zip(sheets, new, strict=True))

    def _is_there(self, story_id: str) -> bool:
        with self._shelf.database.unit_of_work(write=False) as work:
            return work.stories.exists(story_id)

    def _draft(self, story_id: str) -> Story:
        story, line = self._shelf.find(story_id)
        with self._shelf.database.unit_of_work(write=False) as work:
            if work.steps.depth(line.id):
                raise StepConflict(
                    f"The story {story.title!r} has its first paragraph already, so it is no draft any more. "
                    "Open it among your stories to go on with it."
                )
        return story

    def _tries(self, story_id: str) -> int:
        """How many outlines there were before: each try draws from a seed of its own."""
        with self._shelf.database.unit_of_work(write=False) as work:
            revisions = work.revisions.of_story(story_id)
        return 1 + sum(one.subject == f"{SUBJECT}outline" for one in revisions)


def _filled(there: Mapping[str, CharacterSheet], sheet: Sheet) -> CharacterSheet | None:
    """A sheet as it is kept; None for an empty one."""
    if not sheet.name.strip() and not sheet.description.strip():
        return None
    if not sheet.name.strip():
        about = shorten(sheet.description, _SHOWN, placeholder="…")
        raise InvalidText(f"The character “{about}” has no name. Give it one.")
    old = there.get(sheet.id, replace(_BLANK, id=new_id()))
    return with_fields(old, {"name": sheet.name, "description": sheet.description})
