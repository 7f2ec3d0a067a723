"""The use cases: everything that a front can ask, and the only door to the story."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, count, islice, repeat
from pathlib import Path

from storyloom.app.beginning import Beginning, checked_beginning, new_story
from storyloom.app.castings import Castings
from storyloom.app.drafts import Drafts
from storyloom.app.duplicates import duplicate
from storyloom.app.editing import Editing
from storyloom.app.embedding import Embedding
from storyloom.app.events import Cancelled, Listener
from storyloom.app.given_text import LONGEST_PLAN, LONGEST_TITLE, optional, required
from storyloom.app.influence import Influence
from storyloom.app.inspecting import Inspecting
from storyloom.app.lore_shelf import LoreShelf
from storyloom.app.manuscripts import add_manuscript
from storyloom.app.presets import Presets
from storyloom.app.profiles import Profile
from storyloom.app.rebuilding import Rebuilding
from storyloom.app.recurrence import Recurrence, Wish, derived_seed
from storyloom.app.remembering import Remembering
from storyloom.app.rewriting import Rewriting
from storyloom.app.sampling import sampling_of
from storyloom.app.shelf import Shelf, new_id
from storyloom.app.story_sampling import StorySampling
from storyloom.app.story_settings import StorySettings
from storyloom.app.strands import Strands
from storyloom.app.template_editing import TemplateEditing
from storyloom.app.versions import Versions
from storyloom.memory.errors import InvalidText
from storyloom.memory.neural import NeuralState
from storyloom.memory.story import Job, Progress, Provenance, Step, Story, StorySummary, Strand
from storyloom.storage import formats


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A story as a front shows it: one strand of it, oldest step first."""

    story: Story
    strand: Strand
    steps: tuple[Step, ...]


class Studio:
    """The use cases of one owner: stories and their writing here, the rest in parts by topic.

    Args:
        shelf: whose stories these are.
        recurrence: writes the steps.
        castings: makes the agents for a model's SPEC.
        embedding: makes missing vectors.
        language: language of stories that name none.
        trash: folder where deleted stories are kept as files.
        presets: folder where owners' presets of sampling are kept.
        is_guest: one of several users of a server, who can't change what all of them share.

    Attributes:
        remembering: short-term memory and the search of the past.
        editing: texts changed by hand, revisions, what is stale.
        rebuilding: what is stale made again.
        influence: what each remembered item did to a paragraph.
        inspecting: how a paragraph was made, and what the paragraphs cost.
        strands: a story's strands as a tree, side by side, by name, and in the archive.
        settings: a story's own settings.
        presets: the owner's presets of sampling, ours among them.
        sampling: how a story's writer draws.
        templates: the prompts' templates, read and changed.
        lore: its lore and characters.
        drafts: stories before their first paragraph.
        versions: other paragraphs in a paragraph's place.
        rewriting: words of a paragraph put otherwise, as a person asks.
    """

    def __init__(
        self,
        *,
        shelf: Shelf,
        recurrence: Recurrence,
        castings: Castings,
        embedding: Embedding,
        language: str,
        trash: Path,
        presets: Path,
        is_guest: bool = False,
    ) -> None:
        self._shelf = shelf
        self._database = shelf.database
        self._recurrence = recurrence
        self._castings = castings
        self._embedding = embedding
        self._language = language
        self._trash = trash
        self._presets = presets
        self.remembering = Remembering(shelf, recurrence.recalling, embedding)
        self.editing = Editing(shelf)
        self.versions = Versions(shelf)
        self.rewriting = Rewriting(shelf, castings)
        self.settings = StorySettings(shelf, recurrence.recalling.rule)
        self.presets = Presets(presets, shelf.owner)
        self.sampling = StorySampling(shelf, castings, self.settings, self.presets)
        self.templates = TemplateEditing(shelf, castings.templates, is_refused=is_guest)
        self.lore = LoreShelf(shelf, recurrence.lore)
        self.drafts = Drafts(shelf, castings, self.settings, self.begin)
        self.rebuilding = Rebuilding(shelf, castings, embedding, recurrence.neural)
        self.influence = Influence(shelf, castings.templates, castings.scorer)
        self.inspecting = Inspecting(shelf, castings.templates)
        self.strands = Strands(shelf)

    def of_owner(self, owner: str) -> "Studio":
        """The same use cases for somebody else's stories; database and engines are shared."""
        return Studio(
            shelf=self._shelf.of_owner(owner),
            recurrence=self._recurrence,
            castings=self._castings,
            embedding=self._embedding,
            language=self._language,
            trash=self._trash,
            presets=self._presets,
            is_guest=True,
        )

    @property
    def shelf(self) -> Shelf:
        """Whose stories these are, for use cases beside these."""
        return self._shelf

    # Writing

    def warm_up(self) -> threading.Thread:
        """Load what every step needs beside its model, in a thread of its own."""
        return self._castings.warm_up()

    def begin(self, beginning: Beginning, listener: Listener, *, model: str | None = None) -> Written:
        """Start a story: its title and outline are made; its first paragraph is ``write``'s work.

        The premise is kept before any model runs, so that it survives whatever comes. A beginning with an
        id goes on from where it was broken off: what is there of its story is kept, what is missing made.

        Raises:
            InvalidText: the premise is empty, a text is too long, or the language has no tag's form.
            InvalidSetting: a value of the sampling can't be used.
            ModelUnavailable, ModelFailed: the story is there, without an outline.
        """
        beginning = checked_beginning(beginning)
        listener.on_stage("loading", 0)
        cast = self._castings.cast(model)
        story, strand = self._kept(beginning.id) or self._keep(
            *new_story(beginning, self._shelf.owner, self._language, {"model": cast.model})
        )
        listener.on_story(story)
        if story.outline or self.progress(story.id).paragraphs:
            return Written(story=story, strand=strand, steps=())
        listener.on_stage("outlining", 0)
        plan = cast.planner.begin(
            premise=story.premise,
            mode=story.mode,
            language=story.language,
            style=story.style,
            seed=derived_seed(story.settings["seed"], 0),
            title=beginning.title,
            outline=beginning.outline,
            lines=beginning.lines,
        )
        with self._database.unit_of_work() as work:
            story = work.stories.save(replace(story, title=plan.title, outline=plan.outline))
            work.commit()
        listener.on_story(story)
        return Written(story=story, strand=strand, steps=())

    def write(
        self,
        reference: str,
        listener: Listener,
        *,
        paragraphs: int = 1,
        wish: Wish | None = None,
        strand: str | None = None,
        model: str | None = None,
    ) -> Iterator[Step]:
        """Write and yield that many steps; a plan or a choice steers the first of them.

        Raises:
            StoryNotFound, StrandNotFound: the reference names nothing, or more than one.
            InvalidText: the plan is too long, or the choice has no plan to choose.
            Cancelled: the listener asked to stop; the steps yielded before are committed.
        """
        wishes = islice(chain([wish or Wish()], repeat(Wish())), paragraphs)
        yield from self.follow(reference, wishes, listener, strand=strand, model=model)

    def follow(
        self,
        reference: str,
        wishes: Iterable[Wish],
        listener: Listener,
        *,
        strand: str | None = None,
        model: str | None = None,
    ) -> Iterator[Step]:
        """Write and yield a step a wish; each is asked for once the step before it is committed.

        Raises:
            StoryNotFound, StrandNotFound, InvalidText, Cancelled: as ``write``.
        """
        story, line = self._shelf.find(reference, strand)
        listener.on_stage("loading", 0)
        cast = self._castings.cast(model or story.settings.get("model"), sampling_of(story))
        self._embedding.catch_up(line, listener)
        for wish in wishes:
            checked = self._checked_wish(wish, line)
            if listener.cancelled():
                raise Cancelled("Stopped between two paragraphs; everything written is kept.")
            yield self._recurrence.step(line, checked, self._strand_seed(story, line), cast, listener)

    # Reading

    def stories(self) -> list[StorySummary]:
        """Every story of the owner, the last touched first."""
        with self._database.unit_of_work(write=False) as work:
            return work.stories.list(self._shelf.owner)

    def show(
        self,
        reference: str,
        strand: str | None = None,
        *,
        last: int | None = None,
        before: int | None = None,
    ) -> Written:
        """A strand with its steps, oldest first.

        Args:
            reference: the story.
            strand: the strand, the main one by default.
            last: only so many, counted from the end.
            before: only those before this depth; ``last`` is counted back from there.

        Raises:
            StoryNotFound, StrandNotFound: the reference names nothing, or more than one.
        """
        story, line = self._shelf.find(reference, strand)
        with self._database.unit_of_work(write=False) as work:
            end = work.steps.depth(line.id)
            if before is not None:
                end = min(end, before - 1)
            first = 1 if last is None else max(1, end - last + 1)
            return Written(story=story, strand=line, steps=tuple(work.steps.path(line.id, first, end)))

    def neural_states(self, reference: str, strand: str | None = None) -> dict[int, NeuralState]:
        """What is known of the neural memory after each step of a strand, by depth, without the memory."""
        _, line = self._shelf.find(reference, strand)
        return self._recurrence.neural.states(line)

    def progress(self, reference: str, strand: str | None = None) -> Progress:
        """How far a strand is written; no text is read."""
        _, line = self._shelf.find(reference, strand)
        with self._database.unit_of_work(write=False) as work:
            return Progress(
                paragraphs=work.steps.depth(line.id),
                words=work.steps.words(line.id),
                chapters=work.chapters.count(line.id),
            )

    def profile(self, model: str | None = None) -> Profile:
        """How a model is used, by its SPEC.

        Raises:
            InvalidSetting: the SPEC is malformed.
            ModelUnavailable: the model can't be loaded.
        """
        return self._castings.profile(model)

    def provenance(self, reference: str, depth: int, strand: str | None = None) -> Provenance:
        """What went into the step at ``depth``: the writer's slots and every agent's call."""
        _, line = self._shelf.find(reference, strand)
        with self._database.unit_of_work(write=False) as work:
            step = work.steps.at(line.id, depth)
            return work.provenance.get(step.strand_id, depth)

    def interrupted(self, reference: str, strand: str | None = None) -> list[Job]:
        """Paragraphs that were cut off before they were committed, with the words that had come."""
        _, line = self._shelf.find(reference, strand)
        with self._database.unit_of_work(write=False) as work:
            return work.jobs.interrupted(line.id)

    # Changing

    def branch(self, reference: str, at: int, strand: str | None = None, name: str = "") -> Strand:
        """A new strand that keeps steps 1 to ``at``; nothing is copied.

        Raises:
            StrandNotFound: the strand has no step at that depth.
        """
        story, line = self._shelf.find(reference, strand)
        with self._database.unit_of_work() as work:
            work.steps.at(line.id, at)
            new = Strand(
                id=new_id(),
                story_id=story.id,
                created_at=datetime.now(UTC),
                parent_id=line.id,
                fork_depth=at,
                name=optional(name, "strand's name", LONGEST_TITLE),
            )
            work.strands.add(new)
            work.commit()
        return new

    def branches(self, reference: str) -> list[tuple[Strand, int]]:
        """Every strand of a story, oldest first, with the number of steps a reader of it sees."""
        story, _ = self._shelf.find(reference)
        with self._database.unit_of_work(write=False) as work:
            return [(line, work.steps.depth(line.id)) for line in work.strands.of_story(story.id)]

    def dismiss(self, job: Job) -> None:
        """Stop offering an interrupted paragraph; its words stay in the database."""
        with self._database.unit_of_work() as work:
            work.jobs.dismiss(job.id)
            work.commit()

    def duplicate(self, reference: str) -> Story:
        """A second story like this one, ids and title apart."""
        return duplicate(self._shelf, reference)

    def delete(self, reference: str) -> Path:
        """Delete a story, after writing the whole of it to the trash as an importable file.

        What is in the trash already stays there, of a story with the same id too: it may be somebody else's.
        """
        story, _ = self._shelf.find(reference)
        kept = self._free_place(story)
        with self._database.unit_of_work() as work:
            formats.write_story(work, story.id, None, kept)
            work.stories.delete(story.id)
            work.commit()
        return kept

    # Files

    def export(self, reference: str, file: Path, strand: str | None = None) -> Path:
        """Write a story to a file, in the form that its suffix names."""
        story, line = self._shelf.find(reference, strand)
        with self._database.unit_of_work(write=False) as work:
            return formats.write_story(work, story.id, line.id, file)

    def import_file(self, file: Path, listener: Listener) -> Story:
        """Bring in a story from a .json file, its ids kept, or a manuscript from a .txt or .md one.

        A manuscript's vectors are made at the end; stopping there loses nothing.

        Raises:
            ImportRefused: the file can't be used, or its story is there already.
            Cancelled: the listener asked to stop; the story is there.
        """
        if file.suffix.lower() in formats.MANUSCRIPT_SUFFIXES:
            return self._import_manuscript(formats.read_manuscript(file), listener)
        with self._database.unit_of_work() as work:
            story = formats.read_story(work, file, owner=self._shelf.owner)
            work.commit()
        return story

    # Beneath

    def _import_manuscript(self, manuscript: formats.Manuscript, listener: Listener) -> Story:
        beginning = Beginning(premise="", title=manuscript.title[:LONGEST_TITLE])
        story, strand = new_story(beginning, self._shelf.owner, self._language, {})
        with self._database.unit_of_work() as work:
            add_manuscript(work, manuscript, story, strand)
            work.commit()
        listener.on_story(story)
        self._embedding.fill(strand, listener)
        return story

    def _free_place(self, story: Story) -> Path:
        """A file in the trash that isn't there yet."""
        numbered = (f"{story.id}-{number}" for number in count(2))
        places = (self._trash / f"{name}.json" for name in chain([story.id], numbered))
        return next(place for place in places if not place.exists())

    def _kept(self, story_id: str) -> tuple[Story, Strand] | None:
        """The owner's story of exactly this id, and its main strand; None where there is none yet."""
        with self._database.unit_of_work(write=False) as work:
            if not story_id or not work.stories.exists(story_id):
                return None
        return self._shelf.find(story_id)

    def _keep(self, story: Story, strand: Strand) -> tuple[Story, Strand]:
        with self._database.unit_of_work() as work:
            work.stories.add(story)
            work.strands.add(strand)
            work.commit()
        return story, strand

    def _strand_seed(self, story: Story, line: Strand) -> int:
        """The main strand has the story's own seed, every branch another."""
        with self._database.unit_of_work(write=False) as work:
            lines = [strand.id for strand in work.strands.of_story(story.id)]
        return derived_seed(story.settings["seed"], lines.index(line.id))

    def _checked_wish(self, wish: Wish, line: Strand) -> Wish:
        if wish.plan:
            return replace(wish, plan=required(wish.plan, "plan", LONGEST_PLAN))
        if wish.choice is None:
            return wish
        with self._database.unit_of_work(write=False) as work:
            head = work.steps.head(line.id)
        offered = len(head.plans) if head else 0
        if not 1 <= wish.choice <= offered:
            raise InvalidText(
                f"Plan {wish.choice} can't be chosen: {offered} plans are offered. "
                "Choose one of them, or give a plan of your own."
            )
        return wish
