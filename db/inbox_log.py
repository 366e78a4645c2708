"""Reading inboxes: a page of entries, of the kinds that were asked for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
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
class PageAsked:
    """A page to read: the entries of these kinds among the next `limit` entries after position `after`.

    If `after` is None, the page is the empty one at the end of the inbox. `include_mine` includes entries of
    the user's own actions.
    """

    user_id: UUID
    after: int | None
    kinds: Collection[int]
    include_mine: bool
    limit: int


_MESSAGE = Columns(Message, "message_")
# The range is limited before anything is joined to it, so that the statement never reads more than that.
_PAGES = Statement(
    text(f"""
    WITH
    asked AS MATERIALIZED (
        SELECT given.nth, given.user_id, coalesce(given.after, inboxes.last_position) AS after, given.kinds,
               given.include_mine, given.at_most, inboxes.last_position, inboxes.trimmed_to
        FROM json_to_recordset(CAST(:asked AS json)) AS given (
            nth integer, user_id uuid, after bigint, kinds bigint[], include_mine boolean, at_most bigint
        )
        -- LIMIT keeps the planner from reading the whole table for many users.
        CROSS JOIN LATERAL (SELECT * FROM inboxes WHERE inboxes.user_id = given.user_id LIMIT 1) AS inboxes
    )
    SELECT asked.nth, asked.after, asked.last_position, (SELECT epoch FROM inbox_epoch) AS epoch, page.*
    FROM asked
    CROSS JOIN LATERAL (
        WITH
        -- The entry at `after`, whose time is that of its message if it was stored before entries had their
        -- own. An entry after it that was asked for may have been deleted. Most inboxes were trimmed before
        -- `after` only, and then the second condition is not executed. Kind 0 stands for all kinds.
        inbox AS (
            SELECT coalesce(entry.message_id, entry.subject_id) AS after_subject_id,
                   coalesce(entry.created_at, messages.created_at) AS after_created_at,
                   asked.trimmed_to > asked.after AND EXISTS (
                       SELECT FROM inbox_trims
                       WHERE inbox_trims.user_id = asked.user_id AND inbox_trims.trimmed_to > asked.after
                         AND (inbox_trims.kind = 0 OR inbox_trims.kind = ANY(asked.kinds))
                         AND (inbox_trims.kind = 0 OR asked.include_mine OR NOT inbox_trims.own)
                   ) AS is_trimmed
            FROM (SELECT) AS one
            LEFT JOIN inbox_entries AS entry ON entry.user_id = asked.user_id AND entry.position = asked.after
            LEFT JOIN messages ON entry.created_at IS NULL AND messages.id = entry.message_id
        ),
        -- The next entries, whether or not they were asked for.
        span AS (
            SELECT * FROM inbox_entries WHERE user_id = asked.user_id AND position > asked.after
            ORDER BY position LIMIT asked.at_most
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
            WHERE entry.kind = ANY(asked.kinds)
        ),
        -- Those that the user may see, and whose message exists.
        wanted AS (
            SELECT of_kinds.*, lead(of_kinds.position) OVER (
                PARTITION BY of_kinds.kind, of_kinds.subject_id, of_kinds.conversation_id
                ORDER BY of_kinds.position
            ) IS NOT NULL AS is_superseded
            FROM of_kinds
            LEFT JOIN participants ON participants.conversation_id = of_kinds.conversation_id
                                  AND participants.user_id = asked.user_id
            WHERE (of_kinds.message_id IS NOT NULL OR of_kinds.kind <> ALL(CAST(:of_messages AS bigint[])))
              AND (of_kinds.conversation_id IS NULL OR participants.user_id IS NOT NULL)
              AND (asked.include_mine OR of_kinds.actor_id IS DISTINCT FROM asked.user_id)
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
    ) AS page
    ORDER BY asked.nth, page.position
""")
)
_OF_MESSAGES = sorted(OF_MESSAGES)


async def pages(connection: Connection, asked: Sequence[PageAsked]) -> Sequence["PageRows"]:
    """Read pages in one statement, and return the rows of each in the same order.

    Entries of conversations in which the user does not participate are left out. Of several entries of one
    kind about the same subject, a page has only the last one, because each shows the current state of the
    subject.
    """
    rows = await _PAGES.fetch(connection, asked=_encoded(asked), of_messages=_OF_MESSAGES)
    found = [PageRows(each, []) for each in asked]
    for row in rows:
        nth: int = row["nth"]
        found[nth].rows.append(row)
    return found


def _encoded(asked: Sequence[PageAsked]) -> str:
    """Encode the requests as JSON, which is faster than a list for each column."""
    return orjson.dumps(
        [
            {
                "nth": nth,
                "user_id": each.user_id.hex,
                "after": each.after,
                "kinds": list(each.kinds),
                "include_mine": each.include_mine,
                "at_most": each.limit,
            }
            for nth, each in enumerate(asked)
        ]
    ).decode()


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows of a page."""

    asked: PageAsked
    rows: list[Row]

    def page(self) -> InboxPage:
        """Return the page.

        Raises:
            Trimmed: entries that were asked for have been deleted.
            UserGone: the user does not exist.
        """
        rows = self.rows
        if not rows:
            raise UserGone(str(self.asked.user_id))
        first = rows[0]
        after: int = first["after"]
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
        is_end = looked_at < self.asked.limit
        if is_end and first["last_position"] > up_to:
            # The last entries have been deleted.
            up_to, tag = first["last_position"], None
        return InboxPage(entries, up_to, tag, is_end, looked_at, standing)


async def page(connection: Connection, asked: PageAsked) -> InboxPage:
    """Read a page, see `pages`.

    Raises:
        Trimmed: entries that were asked for have been deleted.
        UserGone: the user does not exist.
    """
    [read] = await pages(connection, [asked])
    return read.page()


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
