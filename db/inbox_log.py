"""Reading inboxes: a page of entries, of the kinds that were asked for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Record as Row
from sqlalchemy import text

from db.columns import Columns
from db.entries import OF_MESSAGES, InboxEntry, InboxPage, Place, Standing, tag_of
from db.records import Message
from db.statements import Connection, Statement, uuids
from db.users import UserGone


class Trimmed(Exception):
    """The requested entries have been deleted because they were older than the retention time."""


@dataclass(frozen=True, slots=True)
class InboxStart:
    """What decides whether an inbox can be read from a position on."""

    standing: Standing
    """The inbox at that position."""
    last_tag: int | None
    """The tag of the last entry; None if there is none."""
    is_trimmed: bool
    """Whether requested entries after the position have been deleted."""


_MESSAGE = Columns(Message, "message_")
# The entry at `after`, whose time is that of its message if it was stored before entries had their own.
_AFTER = """
    coalesce(entry.message_id, entry.subject_id) AS after_subject_id,
    coalesce(entry.created_at, entry_message.created_at) AS after_created_at
"""
_JOIN_AFTER = """
    LEFT JOIN inbox_entries AS entry ON entry.user_id = inboxes.user_id AND entry.position = :after
    LEFT JOIN messages AS entry_message ON entry.created_at IS NULL AND entry_message.id = entry.message_id
"""
# Whether an entry after `after` that was asked for has been deleted. Most inboxes were trimmed before `after`
# only, and then the second condition is not executed. Kind 0 stands for all kinds.
_IS_TRIMMED = """
    inboxes.trimmed_to > :after AND EXISTS (
        SELECT FROM inbox_trims
        WHERE inbox_trims.user_id = inboxes.user_id AND inbox_trims.trimmed_to > :after
          AND (inbox_trims.kind = 0 OR inbox_trims.kind = ANY(CAST(:kinds AS bigint[])))
          AND (inbox_trims.kind = 0 OR :include_mine OR NOT inbox_trims.own)
    ) AS is_trimmed
"""
# The range is limited before anything is joined to it, so that the statement never reads more than that.
_PAGE = Statement(
    text(f"""
    WITH
    inbox AS (
        SELECT (SELECT epoch FROM inbox_epoch) AS epoch, inboxes.last_position, {_IS_TRIMMED}, {_AFTER}
        FROM inboxes {_JOIN_AFTER} WHERE inboxes.user_id = :user_id
    ),
    -- The next entries, whether or not they were asked for.
    span AS (
        SELECT * FROM inbox_entries WHERE user_id = :user_id AND position > :after
        ORDER BY position LIMIT :limit
    ),
    -- Those of the kinds that were asked for, with their messages.
    of_kinds AS (
        SELECT entry.position, entry.kind, {_MESSAGE.sql("messages")},
               coalesce(entry.conversation_id, messages.conversation_id) AS conversation_id,
               coalesce(entry.message_id, entry.subject_id) AS subject_id,
               coalesce(entry.actor_id, messages.author_id) AS actor_id,
               coalesce(entry.created_at, messages.created_at) AS created_at
        FROM span AS entry
        LEFT JOIN messages ON messages.id = coalesce(entry.message_id, entry.subject_id)
        WHERE entry.kind = ANY(CAST(:kinds AS bigint[]))
    ),
    -- Those that the user may see, and whose message exists.
    wanted AS (
        SELECT of_kinds.*, lead(of_kinds.position) OVER (
            PARTITION BY of_kinds.kind, of_kinds.subject_id, of_kinds.conversation_id
            ORDER BY of_kinds.position
        ) IS NOT NULL AS is_superseded
        FROM of_kinds
        LEFT JOIN participants ON participants.conversation_id = of_kinds.conversation_id
                              AND participants.user_id = :user_id
        WHERE (of_kinds.message_id IS NOT NULL OR of_kinds.kind <> ALL(CAST(:of_messages AS bigint[])))
          AND (of_kinds.conversation_id IS NULL OR participants.user_id IS NOT NULL)
          AND (:include_mine OR of_kinds.actor_id IS DISTINCT FROM :user_id)
    ),
    tail AS (
        SELECT entry.position, coalesce(entry.message_id, entry.subject_id) AS subject_id,
               coalesce(entry.created_at, messages.created_at) AS created_at
        FROM (SELECT * FROM span ORDER BY position DESC LIMIT 1) AS entry
        LEFT JOIN messages ON messages.id = entry.message_id
    )
    SELECT inbox.*, (SELECT count(*) FROM span) AS looked_at,
           tail.position AS tail_position, tail.subject_id AS tail_subject_id,
           tail.created_at AS tail_created_at, wanted.*
    FROM inbox
    LEFT JOIN tail ON true
    LEFT JOIN wanted ON NOT wanted.is_superseded
    ORDER BY wanted.position
""")
)
_OF_MESSAGES = sorted(OF_MESSAGES)


async def page(
    connection: Connection,
    user_id: UUID,
    *,
    after: int,
    kinds: Collection[int],
    include_mine: bool,
    limit: int,
) -> InboxPage:
    """Read the next `limit` entries after position `after`, and return those of the kinds.

    Entries of conversations in which the user does not participate are left out, and without `include_mine`,
    those of the user's own actions. Of several entries of one kind about the same subject, the page has only
    the last one, because each shows the current state of the subject.

    Raises:
        Trimmed: such entries after `after` have been deleted.
        UserGone: the user does not exist.
    """
    rows = await _PAGE.fetch(
        connection,
        user_id=user_id,
        after=after,
        kinds=list(kinds),
        of_messages=_OF_MESSAGES,
        include_mine=include_mine,
        limit=limit,
    )
    if not rows:
        raise UserGone(str(user_id))
    first = rows[0]
    if first["is_trimmed"]:
        raise Trimmed(f"entries after {after} have been deleted")
    message = _MESSAGE.reader(rows)
    entries = [
        InboxEntry(
            row["position"],
            row["kind"],
            row["conversation_id"],
            row["subject_id"],
            row["actor_id"],
            row["created_at"],
            None if row["message_id"] is None else message(row),
        )
        for row in rows
        if row["position"] is not None
    ]
    standing = _standing(first)
    looked_at: int = first["looked_at"]
    up_to, tag = after, standing.tag
    if looked_at:
        up_to, tag = first["tail_position"], _tag(first["tail_subject_id"], first["tail_created_at"])
    if looked_at < limit and first["last_position"] > up_to:
        # The last entries have been deleted.
        up_to, tag = first["last_position"], None
    return InboxPage(entries, up_to, tag, looked_at < limit, looked_at, standing)


_START = Statement(
    text(f"""
    SELECT (SELECT epoch FROM inbox_epoch) AS epoch, inboxes.last_position, {_IS_TRIMMED},
           coalesce(last.message_id, last.subject_id) AS last_subject_id,
           coalesce(last.created_at, last_message.created_at) AS last_created_at, {_AFTER}
    FROM inboxes
    LEFT JOIN inbox_entries AS last ON last.user_id = inboxes.user_id
                                   AND last.position = inboxes.last_position
    LEFT JOIN messages AS last_message ON last_message.id = last.message_id
    {_JOIN_AFTER}
    WHERE inboxes.user_id = :user_id
""")
)


async def start(
    connection: Connection, user_id: UUID, *, after: int, kinds: Collection[int], include_mine: bool
) -> InboxStart:
    """Return what decides whether entries of the kinds can be read from position `after` on.

    Raises:
        UserGone: the user does not exist.
    """
    row = await _START.fetchrow(
        connection, user_id=user_id, after=after, kinds=list(kinds), include_mine=include_mine
    )
    if row is None:
        raise UserGone(str(user_id))
    return InboxStart(_standing(row), _tag(row["last_subject_id"], row["last_created_at"]), row["is_trimmed"])


_STANDINGS = Statement(
    text("""
    SELECT (SELECT epoch FROM inbox_epoch) AS epoch, inboxes.last_position,
           coalesce(entry.message_id, entry.subject_id) AS after_subject_id,
           coalesce(entry.created_at, messages.created_at) AS after_created_at
    FROM unnest(:user_ids, CAST(:positions AS bigint[])) WITH ORDINALITY AS asked (user_id, position, nth)
    LEFT JOIN inboxes ON inboxes.user_id = asked.user_id
    LEFT JOIN inbox_entries AS entry ON entry.user_id = asked.user_id AND entry.position = asked.position
    LEFT JOIN messages ON entry.created_at IS NULL AND messages.id = entry.message_id
    ORDER BY nth
""").bindparams(uuids("user_ids"))
)


async def standings(
    connection: Connection, places: Sequence[tuple[UUID, Place]]
) -> Sequence[Standing | None]:
    """Return how each of the users' inboxes stands at a place; None if the user has no inbox."""
    rows = await _STANDINGS.fetch(
        connection,
        user_ids=[user_id for user_id, _ in places],
        positions=[place.position for _, place in places],
    )
    return [None if row["last_position"] is None else _standing(row) for row in rows]


def _standing(row: Row) -> Standing:
    tag = _tag(row["after_subject_id"], row["after_created_at"])
    return Standing(row["epoch"], row["last_position"], tag)


def _tag(subject_id: UUID | None, created_at: datetime | None) -> int | None:
    return None if subject_id is None or created_at is None else tag_of(subject_id, created_at)
