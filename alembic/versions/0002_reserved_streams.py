"""Reserved streams, and the processes that serve them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    moment = postgresql.TIMESTAMP(timezone=True, precision=3)
    now = sa.text("clock_timestamp()")
    op.create_table(
        "processes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seen_at", moment, server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("processes_pkey")),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("process_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", moment, server_default=now, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("reservations_user_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("reservations_pkey")),
        sa.UniqueConstraint("token_hash", name=op.f("reservations_token_hash_key")),
    )
    op.create_index(op.f("reservations_user_id_idx"), "reservations", ["user_id"], unique=False)
    op.create_table(
        "stream_operations",
        sa.Column("reservation_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('executing', 'answered', 'new', 'running', 'stopping')",
            name=op.f("stream_operations_state_check"),
        ),
        sa.ForeignKeyConstraint(
            ["reservation_id"],
            ["reservations.id"],
            name=op.f("stream_operations_reservation_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("reservation_id", "operation_id", name=op.f("stream_operations_pkey")),
    )


def downgrade() -> None:
    op.drop_table("stream_operations")
    op.drop_index(op.f("reservations_user_id_idx"), table_name="reservations")
    op.drop_table("reservations")
    op.drop_table("processes")
