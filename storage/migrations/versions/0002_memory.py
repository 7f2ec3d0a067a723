"""Passages of every kind, chapters, lore, documents, proposals, stale marks and how prompts were woven."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TRIGGERS = ("passage_fts_insert", "passage_fts_delete", "passage_fts_update")
_KEPT = "id, strand_id, depth, embedder, text, vector"


_WIDE = ("strand_id", "depth", "kind", "source", "part")
_NARROW = ("strand_id", "depth")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _move_revisions(_state())
        _move_passages(_wide_columns(), *_WIDE)
        op.execute(
            f"INSERT INTO passage ({_KEPT}, kind, source, part) "
            f"SELECT {_KEPT}, 'paragraph', '', 0 FROM passage_old"
        )
        op.drop_table("passage_old")
    else:
        op.add_column("revision", _state())
        _widen_passages()
    _create_beside_the_story()
    _create_parts_of_steps()


def downgrade() -> None:
    for table in ("weaving", "stale", "proposal", "chapter", "document", "lore"):
        op.drop_table(table)
    of_steps = "kind = 'paragraph' AND part = 0"
    if op.get_bind().dialect.name == "sqlite":
        _move_passages([], *_NARROW)
        op.execute(f"INSERT INTO passage ({_KEPT}) SELECT {_KEPT} FROM passage_old WHERE {of_steps}")
        op.drop_table("passage_old")
        _move_revisions()
    else:
        op.execute(f"DELETE FROM passage WHERE NOT ({of_steps})")
        _narrow_passages()
        op.drop_column("revision", "state")


def _state() -> sa.Column[sa.JSON]:
    return sa.Column("state", sa.JSON(), nullable=True)


def _widen_passages() -> None:
    op.drop_constraint(_unique(*_NARROW), "passage")
    for column, value in zip(_wide_columns(), ("paragraph", "", "0"), strict=True):
        column.server_default = sa.DefaultClause(value)
        op.add_column("passage", column)
        op.alter_column("passage", column.name, server_default=None)
    op.create_unique_constraint(_unique(*_WIDE), "passage", _WIDE)


def _narrow_passages() -> None:
    op.drop_constraint(_unique(*_WIDE), "passage")
    for column in _wide_columns():
        op.drop_column("passage", column.name)
    op.create_unique_constraint(_unique(*_NARROW), "passage", _NARROW)


def _unique(*columns: str) -> str:
    return f"uq_passage_{'_'.join(columns)}"


def _move_revisions(*further: sa.Column[sa.JSON]) -> None:
    op.drop_index("ix_revision_story_id_created_at", "revision")
    op.rename_table("revision", "revision_old")
    op.create_table(
        "revision",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("story_id", sa.String(), nullable=False),
        sa.Column("strand_id", sa.String(), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("old", sa.String(), nullable=False),
        sa.Column("new", sa.String(), nullable=False),
        *further,
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revision"),
        _of_story("revision"),
    )
    columns = "id, story_id, strand_id, depth, subject, old, new, created_at"
    op.execute(f"INSERT INTO revision ({columns}) SELECT {columns} FROM revision_old")
    op.drop_table("revision_old")
    op.create_index("ix_revision_story_id_created_at", "revision", ["story_id", "created_at"])


def _wide_columns() -> list[sa.Column[str] | sa.Column[int]]:
    return [
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
    ]


def _move_passages(further: list[sa.Column[str] | sa.Column[int]], *unique: str) -> None:
    """An empty table in the old one's place, which is then ``passage_old``: SQLite changes no constraint."""
    for trigger in _TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger}")
    op.execute("DROP TABLE passage_fts")
    op.drop_index("ix_passage_strand_id_id", "passage")
    op.drop_index("ix_passage_strand_id_embedder_depth", "passage")
    op.rename_table("passage", "passage_old")
    op.create_table(
        "passage",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("strand_id", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        *further,
        sa.Column("embedder", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.UniqueConstraint(*unique, name=_unique(*unique)),
        sa.ForeignKeyConstraint(
            ["strand_id"], ["strand.id"], name="fk_passage_strand_id_strand", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_passage_strand_id_id", "passage", ["strand_id", "id"])
    op.create_index("ix_passage_strand_id_embedder_depth", "passage", ["strand_id", "embedder", "depth"])
    _create_full_text_index()


def _create_full_text_index() -> None:
    """Triggers keep the index true whatever writes to the table, the copying that follows included."""
    op.execute(
        "CREATE VIRTUAL TABLE passage_fts USING fts5"
        "(strand_id, text, content='passage', content_rowid='id', tokenize='porter unicode61')"
    )
    insert = "INSERT INTO passage_fts(rowid, strand_id, text) VALUES (new.id, new.strand_id, new.text)"
    delete = (
        "INSERT INTO passage_fts(passage_fts, rowid, strand_id, text) "
        "VALUES ('delete', old.id, old.strand_id, old.text)"
    )
    events = ("INSERT ON passage", "DELETE ON passage", "UPDATE OF id, strand_id, text ON passage")
    for name, event, action in zip(_TRIGGERS, events, (insert, delete, f"{delete}; {insert}"), strict=True):
        op.execute(f"CREATE TRIGGER {name} AFTER {event} BEGIN {action}; END")


def _create_beside_the_story() -> None:
    op.create_table(
        "lore",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("story_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lore"),
        _of_story("lore"),
    )
    op.create_index("ix_lore_story_id_place", "lore", ["story_id", "place"])
    op.create_table(
        "document",
        sa.Column("story_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("story_id", "id", name="pk_document"),
        _of_story("document"),
    )


def _create_parts_of_steps() -> None:
    op.create_table("chapter", *_place_in_step("chapter"), sa.Column("title", sa.String(), nullable=False))
    op.create_table(
        "proposal",
        *_place_in_step("proposal"),
        sa.Column("added", sa.JSON(), nullable=False),
        sa.Column("dropped", sa.JSON(), nullable=False),
    )
    op.create_table(
        "stale",
        *_place_in_step("stale", "part"),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "weaving",
        *_place_in_step("weaving"),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("budget", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("template", sa.LargeBinary(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("lore", sa.JSON(), nullable=False),
    )


def _of_story(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["story_id"], ["story.id"], name=f"fk_{table}_story_id_story", ondelete="CASCADE"
    )


def _place_in_step(table: str, *further: str) -> list[sa.schema.SchemaItem]:
    """Key columns of a row that belongs to a step, and goes when the step goes."""
    return [
        sa.Column("strand_id", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("strand_id", "depth", *further, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["strand_id", "depth"],
            ["step.strand_id", "step.depth"],
            name=f"fk_{table}_strand_id_depth_step",
            ondelete="CASCADE",
        ),
    ]
