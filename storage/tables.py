"""The tables. Their objects never leave the room: repositories give and take storyloom.memory's values."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    UniqueConstraint,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from storyloom.storage.columns import CompressedText, StoredVector, UtcDateTime

Json = dict[str, Any] | list[Any]

# Names for every constraint, so that a later migration can drop one on any database.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(SQLModel):
    """What all tables share: metadata of our own, apart from SQLModel's global one."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=_NAMES)


class StoryRow(Row, table=True):
    """A story; ``title_key`` is its title as searches compare it."""

    __tablename__ = "story"
    __table_args__ = (
        Index("ix_story_owner_updated_at", "owner", "updated_at"),
        Index("ix_story_owner_title_key", "owner", "title_key"),
    )

    id: str = Field(primary_key=True)
    owner: str
    title: str
    title_key: str
    premise: str
    mode: str
    language: str
    style: str
    outline: str
    authors_note: str
    settings: Json = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    version: int


class StrandRow(Row, table=True):
    """A line of steps; a story has one main strand, which has no parent."""

    __tablename__ = "strand"
    __table_args__ = (
        Index("ix_strand_story_id", "story_id"),
        Index("ix_strand_parent_id", "parent_id"),
        Index(
            "uq_strand_main",
            "story_id",
            unique=True,
            sqlite_where=text("parent_id IS NULL"),
            postgresql_where=text("parent_id IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    story_id: str = Field(foreign_key="story.id", ondelete="CASCADE")
    parent_id: str | None = Field(default=None, foreign_key="strand.id", ondelete="CASCADE")
    fork_depth: int
    name: str
    memory: Json | None = Field(default=None, sa_type=JSON(none_as_null=True))
    created_at: datetime = Field(sa_type=UtcDateTime)
    archived: bool = Field(sa_column_kwargs={"server_default": false()})


class StepRow(Row, table=True):
    """One recurrence. The primary key is what keeps two writers from committing the same step.

    ``words`` is counted once, so that a list of stories needs no text; its index covers that sum.
    """

    __tablename__ = "step"
    __table_args__ = (Index("ix_step_strand_id_words", "strand_id", "words"),)

    strand_id: str = Field(primary_key=True, foreign_key="strand.id", ondelete="CASCADE")
    depth: int = Field(primary_key=True)
    words: int
    plan: str
    plan_origin: str
    paragraph: str
    paragraph_origin: str
    memory: Json = Field(sa_type=JSON)
    memory_origin: str
    added: Json = Field(sa_type=JSON)
    dropped: Json = Field(sa_type=JSON)
    plans: Json = Field(sa_type=JSON)
    model: str
    seed: int = Field(sa_type=BigInteger)
    sampling: Json = Field(sa_type=JSON)
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    created_at: datetime = Field(sa_type=UtcDateTime)


class PassageRow(Row, table=True):
    """A text that recall can find. The vector stands last: reading the rest doesn't touch it.

    A changed passage is a new row with a new ``id``, and ids are never used twice: whoever has seen
    all ids up to some number finds every later change by asking for greater ones. What belongs to the
    whole story (lore, documents) stands at depth 0 of its main strand, with its own id as ``source``.
    """

    __tablename__ = "passage"
    __table_args__ = (
        UniqueConstraint("strand_id", "depth", "kind", "source", "part"),
        Index("ix_passage_strand_id_id", "strand_id", "id"),
        Index("ix_passage_strand_id_embedder_depth", "strand_id", "embedder", "depth"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    strand_id: str = Field(foreign_key="strand.id", ondelete="CASCADE")
    depth: int
    kind: str
    source: str
    part: int
    embedder: str
    text: str
    vector: bytes | None = Field(default=None, sa_type=StoredVector)


class ChapterRow(Row, table=True):
    """A chapter, by the step that begins it."""

    __tablename__ = "chapter"
    __table_args__ = (
        ForeignKeyConstraint(["strand_id", "depth"], ["step.strand_id", "step.depth"], ondelete="CASCADE"),
    )

    strand_id: str = Field(primary_key=True)
    depth: int = Field(primary_key=True)
    title: str


class LoreRow(Row, table=True):
    """A lore entry or a character's sheet; ``place`` is its place in the book."""

    __tablename__ = "lore"
    __table_args__ = (Index("ix_lore_story_id_place", "story_id", "place"),)

    id: str = Field(primary_key=True)
    story_id: str = Field(foreign_key="story.id", ondelete="CASCADE")
    kind: str
    place: int
    name: str
    content: Json = Field(sa_type=JSON)


class DocumentRow(Row, table=True):
    """A text beside the story that recall finds too: notes, sources, another store's documents."""

    __tablename__ = "document"

    story_id: str = Field(primary_key=True, foreign_key="story.id", ondelete="CASCADE")
    id: str = Field(primary_key=True)
    text: str
    about: Json = Field(sa_type=JSON)


class ProposalRow(Row, table=True):
    """What the memory keeper would change after a step, waiting for a person's word."""

    __tablename__ = "proposal"
    __table_args__ = (
        ForeignKeyConstraint(["strand_id", "depth"], ["step.strand_id", "step.depth"], ondelete="CASCADE"),
    )

    strand_id: str = Field(primary_key=True)
    depth: int = Field(primary_key=True)
    added: Json = Field(sa_type=JSON)
    dropped: Json = Field(sa_type=JSON)


class StaleRow(Row, table=True):
    """Something of a step that was made from what has been edited since."""

    __tablename__ = "stale"
    __table_args__ = (
        ForeignKeyConstraint(["strand_id", "depth"], ["step.strand_id", "step.depth"], ondelete="CASCADE"),
    )

    strand_id: str = Field(primary_key=True)
    depth: int = Field(primary_key=True)
    part: str = Field(primary_key=True)
    cause: str
    created_at: datetime = Field(sa_type=UtcDateTime)


class RevisionRow(Row, table=True):
    """An edit by hand. It outlives what it edited: only the story's deletion takes it away.

    ``state`` is the old value whole, where its text alone doesn't bring it back.
    """

    __tablename__ = "revision"
    __table_args__ = (Index("ix_revision_story_id_created_at", "story_id", "created_at"),)

    id: str = Field(primary_key=True)
    story_id: str = Field(foreign_key="story.id", ondelete="CASCADE")
    strand_id: str | None = None
    depth: int | None = None
    subject: str
    old: str
    new: str
    state: Json | None = Field(default=None, sa_type=JSON(none_as_null=True))
    created_at: datetime = Field(sa_type=UtcDateTime)


class JobRow(Row, table=True):
    """A request to write one step; at most one a strand is running."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_story_id", "story_id"),
        Index("ix_job_strand_id_state", "strand_id", "state"),
        Index(
            "uq_job_running",
            "strand_id",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )

    id: str = Field(primary_key=True)
    story_id: str = Field(foreign_key="story.id", ondelete="CASCADE")
    strand_id: str = Field(foreign_key="strand.id", ondelete="CASCADE")
    depth: int
    state: str
    worker: str
    lease_until: datetime = Field(sa_type=UtcDateTime)
    plan: str
    journal: str
    error: str
    dismissed: bool
    created_at: datetime = Field(sa_type=UtcDateTime)


class BatchRow(Row, table=True):
    """Orders given together, under a name that its owner uses once."""

    __tablename__ = "batch"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: str = Field(primary_key=True)
    owner: str
    name: str
    created_at: datetime = Field(sa_type=UtcDateTime)


class TaskRow(Row, table=True):
    """An order in the queue. It names its story in the order and outlives it."""

    __tablename__ = "task"
    __table_args__ = (
        UniqueConstraint("batch_id", "key"),
        Index("ix_task_state_created_at", "state", "created_at", "position"),
    )

    id: str = Field(primary_key=True)
    batch_id: str = Field(foreign_key="batch.id", ondelete="CASCADE")
    key: str
    position: int
    order: Json = Field(sa_type=JSON)
    state: str
    worker: str
    lease_until: datetime = Field(sa_type=UtcDateTime)
    not_before: datetime = Field(sa_type=UtcDateTime)
    attempts: int
    error: str
    cancelling: bool
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class NeuralStateRow(Row, table=True):
    """A model's own memory after a step. What no longer has its bytes tells how large and slow it was.

    The bytes stand last: reading the rest doesn't touch them.
    """

    __tablename__ = "neural_state"
    __table_args__ = (
        ForeignKeyConstraint(["strand_id", "depth"], ["step.strand_id", "step.depth"], ondelete="CASCADE"),
        Index(
            "ix_neural_state_kept",
            "strand_id",
            "depth",
            sqlite_where=text("data IS NOT NULL"),
            postgresql_where=text("data IS NOT NULL"),
        ),
    )

    strand_id: str = Field(primary_key=True)
    depth: int = Field(primary_key=True)
    fingerprint: str = Field(primary_key=True)
    model: str
    digest: str
    size: int = Field(sa_type=BigInteger)
    seconds: float
    created_at: datetime = Field(sa_type=UtcDateTime)
    data: bytes | None = Field(default=None, sa_type=LargeBinary)


class CallRow(Row, table=True):
    """One agent's call; ``position`` is its place among the step's calls."""

    __tablename__ = "call"
    __table_args__ = (
        ForeignKeyConstraint(["strand_id", "depth"], ["step.strand_id", "step.depth"], ondelete="CASCADE"),
    )

    strand_id: str = Field(primary_key=True)
    depth: int = Field(primary_key=True)
    position: int = Field(primary_key=True)
    agent: str
    model: str
    prompt: str = Field(sa_type=CompressedText)
    reply: str = Field(sa_type=CompressedText)
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    seed: int | None = Field(default=None, sa_type=BigInteger)
    seconds: float
    verdict: str


class SlotRow(Row, table=True):
    """Provenance: one item woven into the writer's prompt, or cut from it."""

    __tablename__ = "slot"
    __table_args__ = (
        ForeignKeyConstraint(["strand_id", "depth"], ["step.strand_id", "step.depth"], ondelete="CASCADE"),
    )

    strand_id: str = Field(primary_key=True)
    depth: int = Field(primary_key=True)
    position: int = Field(primary_key=True)
    slot: str
    source: str
    text: str
    tokens: int
    score: float | None = None
    parts: Json = Field(sa_type=JSON)
    cut: str


class WeavingRow(Row, table=True):
    """How a step's prompt was made of its slots, and where its timed lore stood afterwards."""

    __tablename__ = "weaving"
    __table_args__ = (
        ForeignKeyConstraint(["strand_id", "depth"], ["step.strand_id", "step.depth"], ondelete="CASCADE"),
    )

    strand_id: str = Field(primary_key=True)
    depth: int = Field(primary_key=True)
    strategy: str
    budget: int
    tokens: int
    template: str = Field(sa_type=CompressedText)
    values: Json = Field(sa_type=JSON)
    lore: Json = Field(sa_type=JSON)
