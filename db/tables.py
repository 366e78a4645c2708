"""The tables. Migrations in `alembic/` follow them; `alembic check` finds no difference."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def _moment(name: str, *, nullable: bool = False, made_now: bool = False) -> Column[datetime]:
    """A point in time to the millisecond, as the API prints it."""
    default = text("clock_timestamp()") if made_now else None
    return Column(name, TIMESTAMP(timezone=True, precision=3), nullable=nullable, server_default=default)


users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("username", Text, nullable=False),
    # Names differ by more than their case, and are searched by prefix: the C collation lets one
    # index serve both.
    Column("username_key", Text(collation="C"), Computed("lower(username)", persisted=True), nullable=False),
    Column("avatar_url", Text),
    _moment("created_at", made_now=True),
    UniqueConstraint("username_key"),
)

# `provider` is the issuer's URL: subjects are unique within one issuer only.
identities = Table(
    "identities",
    metadata,
    Column("provider", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    PrimaryKeyConstraint("provider", "subject"),
)

# What a frontend of another origin gets instead of a cookie, valid for a minute at most.
sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("code_challenge", Text, nullable=False),
    _moment("expires_at"),
    Index("sign_in_codes_expires_at_idx", "expires_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("token_hash", Text, nullable=False),
    # The token that a refresh has replaced stays valid for a moment, for requests that are under way.
    Column("previous_token_hash", Text),
    _moment("previous_token_until", nullable=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    _moment("created_at", made_now=True),
    _moment("expires_at"),
    _moment("revoked_at", nullable=True),
    _moment("last_used_at", made_now=True),
    Column("user_agent", Text),
    UniqueConstraint("token_hash"),
    UniqueConstraint("previous_token_hash"),
)

# The tokens that refreshes have replaced. One that is used again has been stolen.
replaced_tokens = Table(
    "replaced_tokens",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
)

# Counts last about a minute, which is not worth a place in the write-ahead log.
rate_counts = Table(
    "rate_counts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("hits", Integer, nullable=False),
    _moment("expires_at"),
    prefixes=["UNLOGGED"],
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("pair_key", Text(collation="C")),
    Column("last_seq", BigInteger, nullable=False, server_default=text("0")),
    _moment("created_at", made_now=True),
    UniqueConstraint("pair_key"),
)

participants = Table(
    "participants",
    metadata,
    Column("conversation_id", Uuid, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("read_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("last_position", BigInteger, nullable=False, server_default=text("0")),
    _moment("joined_at", made_now=True),
    PrimaryKeyConstraint("conversation_id", "user_id"),
    # The conversation list is one range of this index.
    Index("participants_user_id_last_position_idx", "user_id", "last_position"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("author_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("content", Text, nullable=False),
    _moment("created_at", made_now=True),
    Column("idempotency_key", Uuid),
    UniqueConstraint("conversation_id", "seq"),
    UniqueConstraint("author_id", "idempotency_key"),
    CheckConstraint("char_length(content) BETWEEN 1 AND 480", name="content_length"),
)

inboxes = Table(
    "inboxes",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("last_position", BigInteger, nullable=False, server_default=text("0")),
    Column("trimmed_to", BigInteger, nullable=False, server_default=text("0")),
)

inbox_entries = Table(
    "inbox_entries",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, index=True),
    PrimaryKeyConstraint("user_id", "position"),
)

# One row: the epoch to which positions belong. A restore from a backup begins a new one, in which a position
# may be that of a different message.
inbox_epoch = Table(
    "inbox_epoch",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("epoch", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("singleton", name="one_row"),
)

# The serving processes, and when each has last said that it is alive.
processes = Table(
    "processes",
    metadata,
    Column("id", Uuid, primary_key=True),
    _moment("seen_at", made_now=True),
)

# Single connection mode: a reserved stream, and the process that serves it once it is open.
reservations = Table(
    "reservations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("token_hash", Text, nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("process_id", Uuid),
    _moment("created_at", made_now=True),
    UniqueConstraint("token_hash"),
)

# What other processes have for the process of that stream: a mailbox, read in the order of `seq`.
stream_operations = Table(
    "stream_operations",
    metadata,
    Column("reservation_id", Uuid, ForeignKey("reservations.id", ondelete="CASCADE"), nullable=False),
    Column("operation_id", Text, nullable=False),
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("content", Text),
    PrimaryKeyConstraint("reservation_id", "operation_id"),
    CheckConstraint("state IN ('executing', 'answered', 'new', 'running', 'stopping')", name="state"),
)
