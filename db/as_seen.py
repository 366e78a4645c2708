"""A conversation as one of its participants sees it, in SQL."""


def unread_count(conversation: str, participant: str) -> str:
    """Return the SQL of the number of messages that a participant has not read.

    The arguments name tables or subqueries, with the columns of `conversations` and `participants`.
    """
    # Everything that sends, reads or deletes messages keeps the participant's count, except for the deletion
    # of a user together with their messages. While a pair is complete, this has not happened. Otherwise the
    # messages that remain are counted.
    return f"""
        CASE
            WHEN {conversation}.last_seq = {participant}.read_seq THEN 0
            WHEN {conversation}.pair_key IS NOT NULL AND EXISTS (
                SELECT FROM participants AS other
                WHERE other.conversation_id = {conversation}.id AND other.user_id <> {participant}.user_id
            ) THEN {participant}.unread_count
            ELSE (
                SELECT count(*) FROM messages
                WHERE messages.conversation_id = {conversation}.id
                  AND messages.seq > {participant}.read_seq AND messages.deleted_at IS NULL
            )
        END
    """


# The columns of a conversation as one of its participants sees it.
AS_SEEN = f"""
    conversations.id, conversations.last_seq, participants.read_seq, participants.last_position,
    {unread_count("conversations", "participants")} AS unread_count
"""
# A removed user, whose token may be cached for a few seconds, sees none.
HAS_INBOX = "EXISTS (SELECT FROM inboxes WHERE inboxes.user_id = :viewer)"
