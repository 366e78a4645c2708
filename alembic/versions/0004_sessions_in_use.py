"""When a session was last used and by which browser, and the tokens that have been replaced."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column(
        "sessions",
        sa.Column(
            "last_used_at",
            postgresql.TIMESTAMP(timezone=True, precision=3),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
    )
    op.execute("UPDATE sessions SET last_used_at = created_at")
    op.add_column("sessions", sa.Column("user_agent", sa.Text(), nullable=True))
    op.create_table(
        "replaced_tokens",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["sessions.id"],
            name=op.f("replaced_tokens_session_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("replaced_tokens_pkey")),
    )
    op.create_index(op.f("replaced_tokens_session_id_idx"), "replaced_tokens", ["session_id"], unique=False)
    op.execute(
        "INSERT INTO replaced_tokens (token_hash, session_id)"
        " SELECT previous_token_hash, id FROM sessions WHERE previous_token_hash IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_index(op.f("replaced_tokens_session_id_idx"), table_name="replaced_tokens")
    op.drop_table("replaced_tokens")
    op.drop_column("sessions", "user_agent")
    op.drop_column("sessions", "last_used_at")
