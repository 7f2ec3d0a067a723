"""The neural memory after each step, for each model that writes a strand."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "neural_state",
        sa.Column("strand_id", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("strand_id", "depth", "fingerprint", name="pk_neural_state"),
        sa.ForeignKeyConstraint(
            ["strand_id", "depth"],
            ["step.strand_id", "step.depth"],
            name="fk_neural_state_strand_id_depth_step",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_neural_state_kept",
        "neural_state",
        ["strand_id", "depth"],
        sqlite_where=sa.text("data IS NOT NULL"),
        postgresql_where=sa.text("data IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("neural_state")
