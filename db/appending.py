"""The steps that end every statement that appends to inboxes.

All of these statements lock rows in one order, so that no two wait for each other:

1. conversations, by ID
2. messages: those that change, and idempotency keys in their order
3. inboxes, by user ID
4. participants, in any order, because a transaction that locks one already holds the lock on its user's inbox
5. users: rows that change, and the locks that foreign keys take at the end of a statement

Each step of a statement reads from the one before, which fixes their order. Inboxes stay locked until the
commit, so positions become visible in order.
"""

from dataclasses import dataclass

ONE_EACH = "SELECT user_id, 1 AS count FROM arriving"
"""The counts if each inbox gets one entry."""

ENTRIES_OF_MESSAGES = "(user_id, position, message_id) SELECT user_id, position, id FROM arrived"
"""The entries of new messages, whose column `id` is the message's. The rest is read from the message."""


def entries_of(kind: int, *, subject: str, actor: str, conversation: str = "conversation_id") -> str:
    """Return the entries of another kind. `arriving` must have `created_at`.

    The subject, the actor and the conversation are SQL expressions over `arrived`.
    """
    return f"""(user_id, position, kind, conversation_id, subject_id, actor_id, created_at)
        SELECT user_id, position, {kind}, CAST({conversation} AS uuid), CAST({subject} AS uuid),
               CAST({actor} AS uuid), created_at
        FROM arrived"""


@dataclass(frozen=True, slots=True)
class Counting:
    """How the read marks and unread counts of participants change, in SQL.

    `rows` is a subquery of (conversation_id, user_id), and of what the expressions use. These are over
    `participants`, the newest version of the row, and `change`, the row of the subquery.
    """

    rows: str
    unread_count: str
    """The new count."""
    read_seq: str = "CAST(NULL AS bigint)"
    """The new read mark; null keeps it."""
    many: bool = False
    """Whether there may be several rows for one inbox."""


def appending(
    entries: str,
    *,
    counts: str = ONE_EACH,
    counting: Counting | None = None,
    only_if: str = "true",
    moves: str | None = None,
) -> str:
    """Return the steps, which begin with `arriving` and end with `arrived`.

    `arriving` has a row for each entry and recipient: `user_id`, `nth`, which numbers the entries that one
    inbox gets, and the columns that `entries` uses. `counts` says how many entries each inbox gets. `arrived`
    adds the position. `only_if` is a condition that is checked when the inboxes and participants are locked.
    `moves` is a subquery of (conversation_id, user_id, position) with the new last position in conversations
    that move to the top, and needs `counting` of the same rows.
    """
    steps = [_LOCKED_INBOXES.format(counts=counts)]
    if counting is not None:
        steps += [_locked_participants(counting), _TOTALS_OF_MANY if counting.many else _TOTALS]
    steps += [_advanced(only_if, counts_unread=counting is not None), _ARRIVED]
    steps.append(f"entries AS (INSERT INTO inbox_entries {entries})")
    if counting is not None:
        steps.append(_MARKS if moves is None else _MARKS_AND_MOVES.format(moves=moves))
    return ",\n".join(steps)


# The setting tells the triggers, which count for statements of the version before, that this one counts.
_LOCKED_INBOXES = """
    -- Lock the inboxes, in the order of user IDs.
    locked_inboxes AS (
        SELECT inboxes.user_id, inboxes.last_position, added.count
        FROM inboxes JOIN ({counts}) AS added ON added.user_id = inboxes.user_id
        WHERE (SELECT set_config('messenger.counts', 'on', true)) = 'on'
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    )"""


def _locked_participants(counting: Counting) -> str:
    return f"""
    -- Lock the participants. This reads the newest version of each row, whatever the snapshot.
    locked_participants AS (
        SELECT participants.conversation_id, participants.user_id, participants.unread_count AS unread_before,
               {counting.unread_count} AS unread_after, {counting.read_seq} AS own_seq
        FROM ({counting.rows}) AS change
        JOIN locked_inboxes ON locked_inboxes.user_id = change.user_id
        JOIN participants ON participants.conversation_id = change.conversation_id
                         AND participants.user_id = change.user_id
        FOR NO KEY UPDATE OF participants
    )"""


# What is added to the totals of each inbox.
_TOTALS = """
    totals AS (
        SELECT user_id, unread_after - unread_before AS messages,
               CAST(unread_after > 0 AS integer) - CAST(unread_before > 0 AS integer) AS conversations
        FROM locked_participants
    )"""
_TOTALS_OF_MANY = """
    totals AS (
        SELECT user_id, CAST(sum(unread_after - unread_before) AS integer) AS messages,
               CAST(sum(CAST(unread_after > 0 AS integer) - CAST(unread_before > 0 AS integer)) AS integer)
                   AS conversations
        FROM locked_participants GROUP BY user_id
    )"""


def _advanced(only_if: str, *, counts_unread: bool) -> str:
    totals, joined = "", ""
    if counts_unread:
        totals = """,
            unread_messages = inboxes.unread_messages + coalesce(totals.messages, 0),
            unread_conversations = inboxes.unread_conversations + coalesce(totals.conversations, 0)"""
        joined = "LEFT JOIN totals ON totals.user_id = locked.user_id"
    return f"""
    -- Advance each inbox by the count of its entries; return where it stood before.
    advanced AS (
        UPDATE inboxes SET last_position = inboxes.last_position + locked.count{totals}
        FROM locked_inboxes AS locked {joined}
        WHERE inboxes.user_id = locked.user_id AND {only_if}
        RETURNING inboxes.user_id, inboxes.last_position - locked.count AS last_position
    )"""


_ARRIVED = """
    -- Give each entry its position. Users who have just been deleted are left out.
    arrived AS (
        SELECT arriving.*, advanced.last_position + arriving.nth AS position
        FROM arriving JOIN advanced ON advanced.user_id = arriving.user_id
    )"""
_MARKS = """
    -- Move the read marks.
    marks AS (
        UPDATE participants
        SET unread_count = locked.unread_after, read_seq = coalesce(locked.own_seq, participants.read_seq)
        FROM locked_participants AS locked
        WHERE participants.conversation_id = locked.conversation_id
          AND participants.user_id = locked.user_id
          AND (locked.unread_after <> locked.unread_before OR locked.own_seq IS NOT NULL)
          AND locked.user_id IN (SELECT user_id FROM advanced)
    )"""
_MARKS_AND_MOVES = """
    -- Move the conversations to the top for each participant, and the read marks.
    marks AS (
        UPDATE participants
        SET last_position = newest.position, unread_count = locked.unread_after,
            read_seq = coalesce(locked.own_seq, participants.read_seq)
        FROM ({moves}) AS newest
        JOIN locked_participants AS locked ON locked.conversation_id = newest.conversation_id
                                          AND locked.user_id = newest.user_id
        WHERE participants.conversation_id = newest.conversation_id
          AND participants.user_id = newest.user_id
    )"""
