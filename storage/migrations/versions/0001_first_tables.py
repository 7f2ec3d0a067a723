"""The first tables, and each database's own full-text index over the passages."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_stories()
    _create_steps()
    _create_passages()
    _create_records()
    if op.get_bind().dialect.name == "sqlite":
        _create_full_text_index()
    else:
        _use_pgvector()
        _create_text_search()


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE passage_fts")
    else:
        _drop_text_search()
    for table in ("slot", "call", "job", "revision", "passage", "step", "strand", "story"):
        op.drop_table(table)


def _create_stories() -> None:
    op.create_table(
        "story",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("title_key", sa.String(), nullable=False),
        sa.Column("premise", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("style", sa.String(), nullable=False),
        sa.Column("outline", sa.String(), nullable=False),
        sa.Column("authors_note", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_story"),
    )
    op.create_index("ix_story_owner_title_key", "story", ["owner", "title_key"])
    op.create_index("ix_story_owner_updated_at", "story", ["owner", "updated_at"])
    op.create_table(
        "strand",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("story_id", sa.String(), nullable=False),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("fork_depth", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("memory", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_strand"),
        sa.ForeignKeyConstraint(
            ["story_id"], ["story.id"], name="fk_strand_story_id_story", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["strand.id"], name="fk_strand_parent_id_strand", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_strand_story_id", "strand", ["story_id"])
    op.create_index("ix_strand_parent_id", "strand", ["parent_id"])
    only_main = sa.text("parent_id IS NULL")
    op.create_index(
        "uq_strand_main",
        "strand",
        ["story_id"],
        unique=True,
        sqlite_where=only_main,
        postgresql_where=only_main,
    )


def _create_steps() -> None:
    op.create_table(
        "step",
        sa.Column("strand_id", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("plan", sa.String(), nullable=False),
        sa.Column("plan_origin", sa.String(), nullable=False),
        sa.Column("paragraph", sa.String(), nullable=False),
        sa.Column("paragraph_origin", sa.String(), nullable=False),
        sa.Column("memory", sa.JSON(), nullable=False),
        sa.Column("memory_origin", sa.String(), nullable=False),
        sa.Column("added", sa.JSON(), nullable=False),
        sa.Column("dropped", sa.JSON(), nullable=False),
        sa.Column("plans", sa.JSON(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("sampling", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("strand_id", "depth", name="pk_step"),
        sa.ForeignKeyConstraint(
            ["strand_id"], ["strand.id"], name="fk_step_strand_id_strand", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_step_strand_id_words", "step", ["strand_id", "words"])


def _create_passages() -> None:
    op.create_table(
        "passage",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("strand_id", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("embedder", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.UniqueConstraint("strand_id", "depth", name="uq_passage_strand_id_depth"),
        sa.ForeignKeyConstraint(
            ["strand_id"], ["strand.id"], name="fk_passage_strand_id_strand", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_passage_strand_id_id", "passage", ["strand_id", "id"])
    op.create_index("ix_passage_strand_id_embedder_depth", "passage", ["strand_id", "embedder", "depth"])


def _create_records() -> None:
    op.create_table(
        "revision",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("story_id", sa.String(), nullable=False),
        sa.Column("strand_id", sa.String(), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("old", sa.String(), nullable=False),
        sa.Column("new", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revision"),
        sa.ForeignKeyConstraint(
            ["story_id"], ["story.id"], name="fk_revision_story_id_story", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_revision_story_id_created_at", "revision", ["story_id", "created_at"])
    op.create_table(
        "job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("story_id", sa.String(), nullable=False),
        sa.Column("strand_id", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("lease_until", sa.DateTime(), nullable=False),
        sa.Column("plan", sa.String(), nullable=False),
        sa.Column("journal", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("dismissed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.ForeignKeyConstraint(["story_id"], ["story.id"], name="fk_job_story_id_story", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["strand_id"], ["strand.id"], name="fk_job_strand_id_strand", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_job_story_id", "job", ["story_id"])
    op.create_index("ix_job_strand_id_state", "job", ["strand_id", "state"])
    running = sa.text("state = 'running'")
    op.create_index(
        "uq_job_running", "job", ["strand_id"], unique=True, sqlite_where=running, postgresql_where=running
    )
    op.create_table(
        "call",
        *_place_in_step("call"),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("prompt", sa.LargeBinary(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
    )
    op.create_table(
        "slot",
        *_place_in_step("slot"),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("cut", sa.String(), nullable=False),
    )


def _place_in_step(table: str) -> list[sa.schema.SchemaItem]:
    """Key columns of a row that belongs to a step, and go when the step goes."""
    return [
        sa.Column("strand_id", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("strand_id", "depth", "position", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["strand_id", "depth"],
            ["step.strand_id", "step.depth"],
            name=f"fk_{table}_strand_id_depth_step",
            ondelete="CASCADE",
        ),
    ]


def _create_full_text_index() -> None:
    """An index over the passages' own text; triggers keep it true whatever writes to the table."""
    op.execute(
        "CREATE VIRTUAL TABLE passage_fts USING fts5"
        "(strand_id, text, content='passage', content_rowid='id', tokenize='porter unicode61')"
    )
    insert = "INSERT INTO passage_fts(rowid, strand_id, text) VALUES (new.id, new.strand_id, new.text)"
    delete = (
        "INSERT INTO passage_fts(passage_fts, rowid, strand_id, text) "
        "VALUES ('delete', old.id, old.strand_id, old.text)"
    )
    op.execute(f"CREATE TRIGGER passage_fts_insert AFTER INSERT ON passage BEGIN {insert}; END")
    op.execute(f"CREATE TRIGGER passage_fts_delete AFTER DELETE ON passage BEGIN {delete}; END")
    op.execute(
        "CREATE TRIGGER passage_fts_update AFTER UPDATE OF id, strand_id, text ON passage "
        f"BEGIN {delete}; {insert}; END"
    )


def _use_pgvector() -> None:
    """Vectors of any length: stories outlive the embedder that they began with."""
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.execute("ALTER TABLE passage ALTER COLUMN vector TYPE vector USING NULL::vector")


def _create_text_search() -> None:
    """The same words as FTS5's "porter unicode61" finds: runs of letters and digits, stemmed, none left out.

    PostgreSQL's parser would keep addresses and numbers with a sign whole, and goes by the server's
    locale. So whatever is neither letter nor digit is made a blank first, by a collation that knows
    Unicode, and Latin letters lose their accents.
    """
    bare = r"normalize(regexp_replace(normalize($1, NFD), '([A-Za-z])[\u0300-\u036f]+', '\1', 'g'), NFC)"
    words = f"regexp_replace({bare} COLLATE {_unicode_collation()}, '[^[:alnum:]]+', ' ', 'g')"
    kinds = "asciiword, word, numword, int, uint, float, sfloat"
    for statement in (
        "CREATE FUNCTION storyloom_fold(text) RETURNS text IMMUTABLE STRICT PARALLEL SAFE "
        f"RETURN lower({words})",
        "CREATE TEXT SEARCH DICTIONARY storyloom_stem (TEMPLATE = snowball, LANGUAGE = porter)",
        "CREATE TEXT SEARCH CONFIGURATION storyloom (PARSER = default)",
        f"ALTER TEXT SEARCH CONFIGURATION storyloom ADD MAPPING FOR {kinds} WITH storyloom_stem",
        "ALTER TABLE passage ADD COLUMN words tsvector "
        "GENERATED ALWAYS AS (to_tsvector('storyloom'::regconfig, storyloom_fold(text))) STORED",
        "CREATE INDEX ix_passage_words ON passage USING gin (words)",
    ):
        op.get_bind().exec_driver_sql(statement)


def _unicode_collation() -> str:
    """A collation that knows every alphabet's letters, whatever the server's locale is."""
    known = {
        name
        for (name,) in op.get_bind().exec_driver_sql(
            "SELECT collname FROM pg_collation WHERE collencoding IN (-1, pg_char_to_encoding('UTF8'))"
        )
    }
    names = ("pg_c_utf8", "und-x-icu", "C.utf8")
    return next((f'"{name}"' for name in names if name in known), '"default"')


def _drop_text_search() -> None:
    for statement in (
        "ALTER TABLE passage DROP COLUMN words",
        "DROP TEXT SEARCH CONFIGURATION storyloom",
        "DROP TEXT SEARCH DICTIONARY storyloom_stem",
        "DROP FUNCTION storyloom_fold(text)",
    ):
        op.execute(statement)
