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
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
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
    # Removed users keep their row, for what they have written, but neither their name nor their picture.
    _moment("removed_at", nullable=True),
    # Whether the messages of a removed user are still to be deleted.
    Column("deletes_messages", Boolean, nullable=False, server_default=text("false")),
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

# Unlogged, because counts last an hour at most.
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
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("read_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("last_position", BigInteger, nullable=False, server_default=text("0")),
    _moment("joined_at", made_now=True),
    # The messages of others after `read_seq` that have not been deleted. The inbox has the sums.
    Column("unread_count", Integer, nullable=False, server_default=text("0")),
    # Whether the user has opened the conversation, and may see it before it has messages.
    Column("has_opened", Boolean, nullable=False, server_default=text("true")),
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
    Column("author_id", Uuid, ForeignKey("users.id"), nullable=False),
    Column("content", Text, nullable=False),
    _moment("created_at", made_now=True),
    Column("idempotency_key", Uuid),
    Column("version", Integer, nullable=False, server_default=text("1")),
    _moment("edited_at", nullable=True),
    _moment("deleted_at", nullable=True),
    # Of the content that was first sent, once it has been replaced: a repeated idempotency key is compared
    # with it.
    Column("sent_digest", LargeBinary),
    UniqueConstraint("conversation_id", "seq"),
    UniqueConstraint("author_id", "idempotency_key"),
    CheckConstraint(
        "CASE WHEN deleted_at IS NULL THEN char_length(content) BETWEEN 1 AND 480 ELSE content = '' END",
        name="content",
    ),
)

inboxes = Table(
    "inboxes",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("last_position", BigInteger, nullable=False, server_default=text("0")),
    Column("trimmed_to", BigInteger, nullable=False, server_default=text("0")),
    # The sums over the participant's rows of this user.
    Column("unread_conversations", Integer, nullable=False, server_default=text("0")),
    Column("unread_messages", Integer, nullable=False, server_default=text("0")),
)

# The kinds are in `db.entries`. An entry of a new message has `message_id`, and takes the rest from the
# message; any other entry has the four columns after `kind` instead. There are no foreign keys, because their
# checks would cost more than the rest: entries whose subject is gone are left out by those who read.
inbox_entries = Table(
    "inbox_entries",
    metadata,
    Column("user_id", Uuid, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("message_id", Uuid),
    Column("kind", SmallInteger, nullable=False, server_default=text("1")),
    Column("conversation_id", Uuid),
    Column("subject_id", Uuid),
    Column("actor_id", Uuid),
    _moment("created_at", nullable=True),
    PrimaryKeyConstraint("user_id", "position"),
)

# Up to where entries of a kind have been deleted from an inbox: those of the user's `own` actions, and
# others. Kind 0 stands for all kinds.
inbox_trims = Table(
    "inbox_trims",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("own", Boolean, nullable=False),
    Column("trimmed_to", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "kind", "own"),
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

# The serving processes, when each was last known to be alive, and the number of its release. Those before 2
# have 0.
processes = Table(
    "processes",
    metadata,
    Column("id", Uuid, primary_key=True),
    _moment("seen_at", made_now=True),
    Column("release", SmallInteger, nullable=False, server_default=text("0")),
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
