"""The recurrence: RecurrentGPT's step, from a chosen plan to a committed paragraph.

One step reads the last paragraph, the plan, short-term memory and what recall finds, and leaves a
paragraph, a rewritten short-term memory and three plans. No transaction is open while a model runs,
and one transaction commits all that a step brought. (arXiv 2305.13304)
"""

import hashlib
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from storyloom.app.agents.editor import Editor
from storyloom.app.agents.memory_keeper import MemoryKeeper, MemoryUpdate
from storyloom.app.agents.one_call import OneCall
from storyloom.app.agents.planner import Offer, Planner
from storyloom.app.agents.scene import Scene
from storyloom.app.agents.writer import Draft, Writer
from storyloom.app.events import Listener, Relay
from storyloom.app.indexes import Indexes
from storyloom.app.leases import Lease, Leases
from storyloom.app.lore import LoreKeeper
from storyloom.app.memory_page import edited_notes, page_at
from storyloom.app.neural_memory import NeuralMemory, Read, memory_of
from storyloom.app.profiles import Profile
from storyloom.app.recalling import Recalling
from storyloom.app.story_settings import approves_memory, rule_of
from storyloom.app.summaries import is_due, summary
from storyloom.memory.errors import ModelFailed, StepConflict
from storyloom.memory.ports import Embedder, TextModel
from storyloom.memory.recall import RecallRule
from storyloom.memory.recall_query import next_step
from storyloom.memory.repetition import StoryIndex
from storyloom.memory.story import (
    Call,
    Chapter,
    JobState,
    MemoryChange,
    Note,
    Origin,
    Passage,
    Plan,
    Provenance,
    Segment,
    ShortMemory,
    Step,
    Story,
    Strand,
)
from storyloom.memory.weaver import Item
from storyloom.storage.database import Database

_RECENT_PLANS = 12
# A step that lost its place is written again on top of the winner's; a third loss is told.
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who plays which part. ``one_call`` is there when the writer's profile asks for it.

    ``text_model`` is what the writer writes with: its context is what lore has a share of.
    """

    planner: Planner
    writer: Writer
    memory_keeper: MemoryKeeper
    editor: Editor
    one_call: OneCall | None
    profile: Profile
    text_model: TextModel
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of the next step: a plan of one's own, one of the three, a place in a book, or nothing.

    Attributes:
        plan: what shall happen.
        choice: which of the plans that are offered, from 1.
        chapter: what happens in the chapter that the step stands in, where the text has chapters.
        opens: the step begins that chapter, and what happens in it is its plan.
        words: about how many the paragraph shall have; None: as many as usual.
    """

    plan: str = ""
    choice: int | None = None
    chapter: str = ""
    opens: bool = False
    words: int | None = None


@dataclass(frozen=True, slots=True)
class _Past:
    """What is read of a strand before a step, in one short transaction."""

    story: Story
    head: Step | None
    memory: ShortMemory
    segments: tuple[Segment, ...]
    recent_plans: tuple[str, ...]
    earlier: tuple[str, ...]
    edited: tuple[Note, ...]

    @property
    def depth(self) -> int:
        return self.head.depth + 1 if self.head else 1


@dataclass(frozen=True, slots=True)
class _Written:
    """What a step brought, before it is committed."""

    plan: Plan
    draft: Draft
    update: MemoryUpdate
    offer: Offer
    calls: tuple[Call, ...]
    chapter: str
    read: Read | None


class Recurrence:
    """Writes steps, one at a time and each whole.

    Args:
        database: where the story lives.
        embedder: makes the passages' vectors.
        rule: how recall chooses.

    Attributes:
        recalling: searches the past.
        lore: scans a story's lore for each step.
        neural: what the writers' models remember.
    """

    def __init__(self, *, database: Database, embedder: Embedder, rule: RecallRule) -> None:
        self._database = database
        self.recalling = Recalling(database=database, embedder=embedder, rule=rule)
        self.lore = LoreKeeper(database=database, embedder=embedder)
        self.neural = NeuralMemory(database)
        self._leases = Leases(database)
        self._indexes = Indexes(database)

    def step(self, strand: Strand, wish: Wish, seed: int, cast: Cast, listener: Listener) -> Step:
        """Write and commit the next step of a strand.

        Args:
            strand: the line to go on with.
            wish: the person's plan or choice, if any.
            seed: the strand's seed; the step's own is derived from it and the depth.
            cast: the agents.
            listener: hears the stages and the text.

        Raises:
            StepConflict: others kept committing first.
            Cancelled: the listener asked to stop; the text so far stays in the journal.
            ModelFailed, PromptTooLong, StoreUnavailable: nothing was committed.
        """
        for attempt in range(1, _TRIES + 1):
            with self._leases.hold(strand.id, wish.plan, listener) as lease:
                try:
                    return self._step(strand, wish, seed, cast, _Journalling(listener, lease))
                except StepConflict:
                    if attempt == _TRIES:
                        raise
                    self._release(lease)
        raise AssertionError("unreachable: the last try returns or raises")

    def _step(self, strand: Strand, wish: Wish, seed: int, cast: Cast, listener: "_Journalling") -> Step:
        started = time.monotonic()
        past = self._load(strand)
        told = self._indexes.of(strand.id, depth=past.depth - 1, version=past.story.version)
        scene = self._scene(past, told.index, derived_seed(seed, past.depth))
        scene = replace(scene, chapter=wish.chapter, words=wish.words)
        model = memory_of(cast.text_model)
        before = self.neural.before(strand, told.depth, told.digest, model, listener) if model else None
        scene = replace(scene, state=before.data if before else None)
        scene, planning = self._offered(scene, wish, cast, listener)
        plan, choosing = self._plan(scene, wish, cast)
        listener.on_plan(plan.text, past.depth)
        most_words = cast.profile.recalled_words
        scene = replace(scene, plan=plan.text, recalled=self._recalled(past, plan, most_words, listener))
        scene = self.lore.told(scene, strand, cast.text_model, listener)
        draft, update, offer = self._write(scene, cast, listener)
        chapter, titling = cast.planner.chapter_title(scene) if wish.opens else ("", ())
        calls = (*planning, *choosing, *draft.calls, *update.calls, *offer.calls, *titling)
        listener.on_stage("saving", past.depth)
        read = None
        if model and before:
            read = self.neural.read(before, draft.paragraph, strand.id, model, listener)
        written = _Written(plan, draft, update, offer, calls, chapter, read)
        step = self._assemble(strand, scene, written, cast, time.monotonic() - started)
        self._commit(step, written, listener.lease)
        self._indexes.add(step)
        listener.on_step(step)
        return step

    def _load(self, strand: Strand) -> _Past:
        with self._database.unit_of_work(write=False) as work:
            story = work.stories.get(strand.story_id)
            head = work.steps.head(strand.id)
            segments = work.steps.segments(strand.id)
            # A manuscript's paragraphs followed none.
            plans = [plan for plan in work.steps.recent_plans(strand.id, _RECENT_PLANS) if plan]
            own = work.strands.get(strand.id)
            last = head.depth if head else 0
            # As many as recall leaves out, the last among them: none is ever shown twice.
            first = last - rule_of(story, self.recalling.rule).recent + 1
            recent = work.steps.paragraphs(strand.id, first=first, last=last - 1)
            page = page_at(story, own, head)
            edited = edited_notes(work, story, own, head, page)
        earlier = tuple(text for _, text in recent)
        return _Past(story, head, page.memory, segments, tuple(plans), earlier, edited)

    def _scene(self, past: _Past, index: StoryIndex, seed: int) -> Scene:
        return Scene(
            story=past.story,
            depth=past.depth,
            plan="",
            memory=past.memory,
            last=past.head.paragraph if past.head else "",
            earlier=past.earlier,
            edited=past.edited,
            recalled=(),
            recent_plans=past.recent_plans,
            index=index,
            seed=seed,
            offered=past.head.plans if past.head else (),
        )

    def _offered(
        self, scene: Scene, wish: Wish, cast: Cast, listener: "_Journalling"
    ) -> tuple[Scene, tuple[Call, ...]]:
        """The scene with plans to choose from; the opening has none before it and gets its own."""
        if scene.offered or wish.plan or wish.opens:
            return scene, ()
        listener.on_stage("planning", scene.depth)
        offer = cast.planner.offer(scene, listener)
        return replace(scene, offered=offer.plans), offer.calls

    def _plan(self, scene: Scene, wish: Wish, cast: Cast) -> tuple[Plan, tuple[Call, ...]]:
        """The person's plan, the outline's, the one they chose, or the editor's choice of the three."""
        if wish.plan:
            return Plan(wish.plan, Origin.PERSON), ()
        if wish.opens:
            return Plan(wish.chapter, Origin.OUTLINE), ()
        if wish.choice is not None:
            return scene.offered[wish.choice - 1], ()
        choice = cast.editor.choose(scene, scene.offered)
        return Plan(choice.text, choice.origin), choice.calls

    def _recalled(
        self, past: _Past, plan: Plan, most_words: int, listener: "_Journalling"
    ) -> tuple[Item, ...]:
        rule = rule_of(past.story, self.recalling.rule)
        if past.head is None or past.depth - rule.recent <= 1:
            return ()
        listener.on_stage("recalling", past.depth)
        query = next_step(plan.text, past.head.paragraph, past.story.language)
        before = past.depth - rule.recent
        return self.recalling.items(past.segments, query, before, rule=rule, most_words=most_words)

    def _write(self, scene: Scene, cast: Cast, listener: "_Journalling") -> tuple[Draft, MemoryUpdate, Offer]:
        listener.on_stage("writing", scene.depth)
        if cast.one_call is not None:
            draft, update, offer = cast.one_call.step(scene, listener)
            return draft, _counted(update, scene), offer
        draft = cast.writer.write(scene, listener)
        listener.on_stage("remembering", scene.depth)
        update = _counted(cast.memory_keeper.update(scene, draft.paragraph), scene)
        listener.on_stage("planning", scene.depth)
        after = replace(
            scene,
            depth=scene.depth + 1,
            plan="",
            memory=update.memory,
            last=draft.paragraph,
            earlier=(*scene.earlier, scene.last),
            recent_plans=(scene.plan, *scene.recent_plans)[:_RECENT_PLANS],
        )
        return draft, update, _offer(cast.planner, after, listener)

    def _assemble(self, strand: Strand, scene: Scene, written: _Written, cast: Cast, seconds: float) -> Step:
        sampling = {name: value for name, value in asdict(cast.profile.writing).items() if value is not None}
        return Step(
            strand_id=strand.id,
            depth=scene.depth,
            plan=written.plan.text,
            plan_origin=written.plan.origin,
            paragraph=written.draft.paragraph,
            paragraph_origin=written.draft.origin,
            memory=written.update.memory,
            memory_origin=written.update.origin,
            added=written.update.added,
            dropped=written.update.dropped,
            plans=written.offer.plans,
            model=cast.model,
            seed=scene.seed,
            sampling=sampling,
            seconds=round(seconds, 3),
            prompt_tokens=sum(call.prompt_tokens for call in written.calls),
            completion_tokens=sum(call.completion_tokens for call in written.calls),
            created_at=datetime.now(UTC),
        )

    def _commit(self, step: Step, written: _Written, lease: Lease) -> None:
        """Everything that the step brought, and the end of its job, in one transaction."""
        whole = Passage(strand_id=step.strand_id, depth=step.depth, text=step.paragraph)
        passages = self.recalling.embedded([whole, *self._summary(step)])
        with self._database.unit_of_work() as work:
            work.steps.append(step)
            work.passages.add(passages)
            if written.chapter:
                work.chapters.add(
                    [Chapter(strand_id=step.strand_id, depth=step.depth, title=written.chapter)]
                )
            work.provenance.add(
                step.strand_id,
                step.depth,
                Provenance(slots=written.draft.slots, calls=written.calls, weaving=written.draft.weaving),
            )
            if proposed := written.update.proposed:
                work.proposals.add(
                    MemoryChange(
                        strand_id=step.strand_id,
                        depth=step.depth,
                        added=proposed.added,
                        dropped=proposed.dropped,
                    )
                )
            if written.read:
                known = written.read.known
                work.neural_states.put(known, written.read.data if known.is_kept else None)
                work.neural_states.thin_out(step.strand_id, step.depth)
            work.jobs.finish(lease.job.id, lease.job.worker, JobState.DONE)
            work.commit()

    def _summary(self, step: Step) -> list[Passage]:
        if not is_due(step.depth):
            return []
        with self._database.unit_of_work(write=False) as work:
            found = summary(work, step.strand_id, step.depth, step.added)
        return [found] if found else []

    def _release(self, lease: Lease) -> None:
        """Give up a place that somebody else filled: the next try claims the one after it."""
        with self._database.unit_of_work() as work:
            work.jobs.finish(lease.job.id, lease.job.worker, JobState.FAILED, "another writer came first")
            work.jobs.dismiss(lease.job.id)
            work.commit()


class _Journalling(Relay):
    """Passes everything on, and the writer's text to the lease's journal too."""

    def __init__(self, listener: Listener, lease: Lease) -> None:
        super().__init__(listener)
        self.lease = lease

    def on_text(self, text: str) -> None:
        self.lease.write(text)
        super().on_text(text)

    def on_redraw(self, reason: str) -> None:
        self.lease.restart()
        super().on_redraw(reason)


def _counted(update: MemoryUpdate, scene: Scene) -> MemoryUpdate:
    """The change of memory, held back where a person approves it first."""
    return update.held_back(scene.memory) if approves_memory(scene.story) else update


def _offer(planner: Planner, after: Scene, listener: Listener) -> Offer:
    """Three plans; a paragraph isn't thrown away because none came: the earlier ones stand once more."""
    try:
        return planner.offer(after)
    except ModelFailed as error:
        listener.on_notice(f"{error} The plans offered before stand once more.")
        carried = tuple(replace(plan, origin=Origin.CARRIED) for plan in after.offered)
        return Offer(plans=carried, calls=())


def derived_seed(seed: int, place: int) -> int:
    """The seed of a strand in a story or a step in a strand: below 2**31, far from its neighbours'."""
    digest = hashlib.blake2b(f"{seed}:{place}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
