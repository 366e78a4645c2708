"""Inbox entries of every kind, unread counts, and rows that stay when messages and users are deleted.

The version before goes on serving: what it does not know has a default, and triggers count what it does not.
Each statement is its own transaction, which waits for its locks in short attempts, and can be repeated, so an
interrupted migration is continued. Nothing here reads or rewrites a table.
"""

from alembic import op
from db.patience import alter_patiently

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

# These also lock the tables that the keys refer to: first `messages`, and last `users`, as senders do.
_DROP_KEYS = """
    ALTER TABLE inbox_entries
        DROP CONSTRAINT IF EXISTS inbox_entries_message_id_fkey,
        DROP CONSTRAINT IF EXISTS inbox_entries_user_id_fkey
"""
_KEYS_OF = ("messages", "inbox_entries", "users")
_CHANGES = (
    """
    ALTER TABLE inbox_entries
        ADD COLUMN IF NOT EXISTS kind smallint NOT NULL DEFAULT 1,
        ADD COLUMN IF NOT EXISTS conversation_id uuid,
        ADD COLUMN IF NOT EXISTS subject_id uuid,
        ADD COLUMN IF NOT EXISTS actor_id uuid,
        ADD COLUMN IF NOT EXISTS created_at timestamptz(3),
        ALTER COLUMN message_id DROP NOT NULL
    """,
    "ALTER TABLE participants ADD COLUMN IF NOT EXISTS unread_count integer NOT NULL DEFAULT 0",
    """
    ALTER TABLE inboxes
        ADD COLUMN IF NOT EXISTS unread_conversations integer NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS unread_messages integer NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE messages
        ADD COLUMN IF NOT EXISTS version integer NOT NULL DEFAULT 1,
        ADD COLUMN IF NOT EXISTS edited_at timestamptz(3),
        ADD COLUMN IF NOT EXISTS deleted_at timestamptz(3),
        ADD COLUMN IF NOT EXISTS sent_digest bytea,
        DROP CONSTRAINT IF EXISTS messages_content_length_check,
        DROP CONSTRAINT IF EXISTS messages_content_check,
        ADD CONSTRAINT messages_content_check CHECK (
            CASE WHEN deleted_at IS NULL THEN char_length(content) BETWEEN 1 AND 480 ELSE content = '' END
        ) NOT VALID
    """,
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS removed_at timestamptz(3)",
    "ALTER TABLE processes ADD COLUMN IF NOT EXISTS release smallint NOT NULL DEFAULT 0",
    """
    CREATE TABLE IF NOT EXISTS inbox_trims (
        user_id uuid NOT NULL,
        kind smallint NOT NULL,
        own boolean NOT NULL,
        trimmed_to bigint NOT NULL,
        CONSTRAINT inbox_trims_pkey PRIMARY KEY (user_id, kind, own),
        CONSTRAINT inbox_trims_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
    )
    """,
    # For statements of the version before. Those of this one set `messenger.counts`, and count themselves. A
    # function's statements see what the statement that fired the trigger has done.
    """
    CREATE OR REPLACE FUNCTION messenger_count_unread() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.unread_count := (
            SELECT count(*) FROM messages
            WHERE conversation_id = NEW.conversation_id AND seq > NEW.read_seq
              AND author_id <> NEW.user_id AND deleted_at IS NULL
        );
        IF NEW.unread_count <> OLD.unread_count THEN
            UPDATE inboxes
            SET unread_messages = unread_messages + NEW.unread_count - OLD.unread_count,
                unread_conversations = unread_conversations
                    + CAST(NEW.unread_count > 0 AS integer) - CAST(OLD.unread_count > 0 AS integer)
            WHERE user_id = NEW.user_id;
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER messenger_count_unread BEFORE UPDATE OF read_seq, last_position ON participants
    FOR EACH ROW WHEN (
        (NEW.read_seq > OLD.read_seq OR NEW.last_position > OLD.last_position)
        AND current_setting('messenger.counts', true) IS DISTINCT FROM 'on'
    )
    EXECUTE FUNCTION messenger_count_unread()
    """,
    """
    CREATE OR REPLACE FUNCTION messenger_note_trim() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO inbox_trims (user_id, kind, own, trimmed_to)
        VALUES (NEW.user_id, 0, false, NEW.trimmed_to)
        ON CONFLICT (user_id, kind, own) DO UPDATE SET trimmed_to = EXCLUDED.trimmed_to;
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER messenger_note_trim AFTER UPDATE OF trimmed_to ON inboxes
    FOR EACH ROW WHEN (
        NEW.trimmed_to > OLD.trimmed_to
        AND current_setting('messenger.counts', true) IS DISTINCT FROM 'on'
    )
    EXECUTE FUNCTION messenger_note_trim()
    """,
)

# No server runs meanwhile. Entries that the version before cannot read are lost, and so are deleted messages.
_REVERSALS = (
    "DROP TRIGGER IF EXISTS messenger_note_trim ON inboxes",
    "DROP TRIGGER IF EXISTS messenger_count_unread ON participants",
    "DROP FUNCTION IF EXISTS messenger_note_trim()",
    "DROP FUNCTION IF EXISTS messenger_count_unread()",
    "DROP TABLE IF EXISTS inbox_trims",
    """
    DELETE FROM inbox_entries
    WHERE NOT EXISTS (
            SELECT FROM messages WHERE messages.id = inbox_entries.message_id AND messages.deleted_at IS NULL)
        OR NOT EXISTS (SELECT FROM users WHERE users.id = inbox_entries.user_id)
    """,
    "DELETE FROM messages WHERE deleted_at IS NOT NULL",
    "ALTER TABLE processes DROP COLUMN release",
    "ALTER TABLE users DROP COLUMN removed_at",
    """
    ALTER TABLE messages
        DROP CONSTRAINT messages_content_check,
        DROP COLUMN version, DROP COLUMN edited_at, DROP COLUMN deleted_at, DROP COLUMN sent_digest,
        ADD CONSTRAINT messages_content_length_check CHECK (char_length(content) BETWEEN 1 AND 480)
    """,
    "ALTER TABLE inboxes DROP COLUMN unread_conversations, DROP COLUMN unread_messages",
    "ALTER TABLE participants DROP COLUMN unread_count",
    """
    ALTER TABLE inbox_entries
        DROP COLUMN kind, DROP COLUMN conversation_id, DROP COLUMN subject_id, DROP COLUMN actor_id,
        DROP COLUMN created_at,
        ALTER COLUMN message_id SET NOT NULL,
        ADD CONSTRAINT inbox_entries_message_id_fkey
            FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE,
        ADD CONSTRAINT inbox_entries_user_id_fkey
            FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
    """,
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        alter_patiently(op.get_bind(), _DROP_KEYS, locks=_KEYS_OF)
        for change in _CHANGES:
            alter_patiently(op.get_bind(), change)


def downgrade() -> None:
    for reversal in _REVERSALS:
        op.execute(reversal)
