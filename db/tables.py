"""The tables. A test checks that the migrations in `alembic/` create exactly these."""

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
    """Return a column for a point in time, with the precision of the API: milliseconds."""
    default = text("clock_timestamp()") if made_now else None
    return Column(name, TIMESTAMP(timezone=True, precision=3), nullable=nullable, server_default=default)


users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("username", Text, nullable=False),
    # Names are unique regardless of case and are searched by prefix. With the C collation, one index serves
    # both.
    Column("username_key", Text(collation="C"), Computed("lower(username)", persisted=True), nullable=False),
    Column("avatar_url", Text),
    _moment("created_at", made_now=True),
    UniqueConstraint("username_key"),
)

# `provider` is the issuer's URL, because subjects are unique only within an issuer.
identities = Table(
    "identities",
    metadata,
    Column("provider", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    PrimaryKeyConstraint("provider", "subject"),
)

# One-time codes, which frontends on other origins exchange for a token within a minute.
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
    # The token before the last refresh stays valid for 30 seconds, for requests in flight.
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

# Tokens that have been replaced. Refreshing with one again means that it may have been stolen.
replaced_tokens = Table(
    "replaced_tokens",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
)

# Unlogged, because counts last only about a minute.
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

# A single row: the epoch to which positions belong. After a restore from a backup, it is renewed, because a
# position may then refer to a different message.
inbox_epoch = Table(
    "inbox_epoch",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("epoch", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("singleton", name="one_row"),
)

# The serving processes, and when each was last known to be alive.
processes = Table(
    "processes",
    metadata,
    Column("id", Uuid, primary_key=True),
    _moment("seen_at", made_now=True),
)

# Single connection mode: reserved streams, and the process that serves each once it is open.
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

# The mailbox of a reserved stream, through which other processes reach its process, in the order of `seq`.
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
