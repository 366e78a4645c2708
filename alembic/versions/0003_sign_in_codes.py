"""One-time codes, with which a frontend of another origin completes a sign-in."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "sign_in_codes",
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True, precision=3), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("sign_in_codes_user_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("sign_in_codes_pkey")),
    )
    op.create_index(op.f("sign_in_codes_user_id_idx"), "sign_in_codes", ["user_id"], unique=False)
    op.create_index("sign_in_codes_expires_at_idx", "sign_in_codes", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_index("sign_in_codes_expires_at_idx", table_name="sign_in_codes")
    op.drop_index(op.f("sign_in_codes_user_id_idx"), table_name="sign_in_codes")
    op.drop_table("sign_in_codes")
