"""The SQL of the floors and of the Strawberry peer; the SQL of the Node peers is in `peers/`."""

SESSION = """
    SELECT users.id, users.username, users.avatar_url
    FROM sessions JOIN users ON users.id = sessions.user_id
    WHERE token_hash = $1 AND revoked_at IS NULL AND expires_at > now()
"""

# createMessage with an inbox: what the messenger has to do for each message, in one statement.
DELIVER = """
    WITH conversation AS (
        UPDATE conversations SET last_seq = last_seq + 1
        WHERE id = $1 AND EXISTS (
            SELECT FROM participants JOIN inboxes ON inboxes.user_id = participants.user_id
            WHERE participants.conversation_id = $1 AND participants.user_id = $2)
        RETURNING id, last_seq
    ), message AS (
        INSERT INTO messages (id, conversation_id, seq, author_id, content)
        SELECT $3, id, last_seq, $2, $4 FROM conversation
        RETURNING id, conversation_id, seq, author_id, content, created_at, version, edited_at, deleted_at
    ), locked AS (
        SELECT inboxes.user_id, message.id AS message_id, message.conversation_id, message.seq
        FROM message
        JOIN participants ON participants.conversation_id = message.conversation_id
        JOIN inboxes ON inboxes.user_id = participants.user_id
        WHERE (SELECT set_config('messenger.counts', 'on', true)) = 'on'
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    ), counted AS (
        SELECT locked.*, participants.unread_count AS unread_before,
               CASE WHEN locked.user_id = $2 THEN 0 ELSE participants.unread_count + 1 END AS unread_after
        FROM locked JOIN participants ON participants.conversation_id = locked.conversation_id
                                     AND participants.user_id = locked.user_id
        FOR NO KEY UPDATE OF participants
    ), advanced AS (
        UPDATE inboxes SET last_position = inboxes.last_position + 1,
            unread_messages = unread_messages + unread_after - unread_before,
            unread_conversations = unread_conversations
                + CAST(unread_after > 0 AS integer) - CAST(unread_before > 0 AS integer)
        FROM counted WHERE inboxes.user_id = counted.user_id
        RETURNING inboxes.user_id, inboxes.last_position,
                  counted.message_id, counted.conversation_id, counted.seq, counted.unread_after
    ), entries AS (
        INSERT INTO inbox_entries (user_id, position, message_id)
        SELECT user_id, last_position, message_id FROM advanced
    ), marks AS (
        UPDATE participants SET last_position = advanced.last_position, unread_count = advanced.unread_after,
            read_seq = CASE WHEN participants.user_id = $2 THEN advanced.seq ELSE read_seq END
        FROM advanced
        WHERE participants.conversation_id = advanced.conversation_id
          AND participants.user_id = advanced.user_id
    )
    SELECT message.id, message.conversation_id, message.seq, message.author_id, message.content,
           message.created_at, message.version, message.edited_at, message.deleted_at,
           advanced.user_id, advanced.last_position
    FROM message JOIN advanced ON advanced.message_id = message.id
"""

# createMessage without an inbox, as the steps of a transaction.
PARTICIPANTS = "SELECT user_id FROM participants WHERE conversation_id = $1"
NEXT_SEQ = "UPDATE conversations SET last_seq = last_seq + 1 WHERE id = $1 RETURNING last_seq"
INSERT_MESSAGE = """
    INSERT INTO messages (id, conversation_id, seq, author_id, content) VALUES ($1, $2, $3, $4, $5)
    RETURNING id, conversation_id, seq, author_id, content, created_at
"""
MARK_READ = "UPDATE participants SET read_seq = $3 WHERE conversation_id = $1 AND user_id = $2"

# A page of conversations, and what its rows show.
RECENT_CONVERSATIONS = """
    SELECT conversations.id, conversations.last_seq, participants.last_position,
           (conversations.last_seq - participants.read_seq)::int AS unread_count
    FROM participants JOIN conversations ON conversations.id = participants.conversation_id
    WHERE participants.user_id = $1 AND participants.last_position > 0
    ORDER BY participants.last_position DESC LIMIT $2
"""
OTHERS_IN = """
    SELECT participants.conversation_id, users.id, users.username, users.avatar_url
    FROM participants JOIN users ON users.id = participants.user_id
    WHERE participants.conversation_id = ANY ($2::uuid[]) AND participants.user_id <> $1
"""
LAST_MESSAGES = """
    SELECT messages.id, messages.conversation_id, messages.seq, messages.author_id, messages.content,
           messages.created_at
    FROM unnest($1::uuid[], $2::bigint[]) AS wanted (conversation_id, seq)
    JOIN messages ON messages.conversation_id = wanted.conversation_id AND messages.seq = wanted.seq
"""

# A conversation and a page of its messages with their authors.
CONVERSATIONS_BY_ID = """
    SELECT conversations.id, conversations.last_seq, participants.last_position,
           (conversations.last_seq - participants.read_seq)::int AS unread_count
    FROM conversations JOIN participants ON participants.conversation_id = conversations.id
    WHERE participants.user_id = $1 AND conversations.id = ANY ($2::uuid[])
"""
NEWEST_MESSAGES = """
    SELECT id, conversation_id, seq, author_id, content, created_at
    FROM messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT $2
"""
USERS_BY_ID = "SELECT id, username, avatar_url FROM users WHERE id = ANY ($1::uuid[])"
