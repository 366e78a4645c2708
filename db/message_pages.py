"""Pages of the messages of conversations."""

from collections.abc import Sequence
from functools import cache
from uuid import UUID

from asyncpg import Record
from sqlalchemy import text

from db.asked_pages import AskedPage, MessagePage
from db.columns import Columns
from db.includes import NO_MESSAGE_INCLUDES, Joins, MessageIncludes
from db.prefetched import Prefetched
from db.records import Message
from db.statements import Connection, Statement

PREFIX = "page_"
"""The prefix of the columns of a message in a page."""
_MESSAGE = Columns(Message, prefix=PREFIX)


def columns(joins: Joins) -> str:
    """Return the columns of a message in a page, and of the objects included with it."""
    return _MESSAGE.sql("page") + joins.columns


def ends_of(conversation_id: str) -> str:
    """Return the SQL of the numbers of a conversation's first and last message; NULL if it has none."""
    return f"""
        (SELECT min(seq) FROM messages WHERE conversation_id = {conversation_id}) AS first_of_all,
        (SELECT max(seq) FROM messages WHERE conversation_id = {conversation_id}) AS last_of_all
    """


def joined(source: str, *, is_from_end: bool, conversation_id: str) -> str:
    """Return the SQL that joins the messages of a page with `source`.

    `source` has the columns `after`, `before` and `size` of an `AskedPage`. Pages are not computed from the
    numbers, because messages that have been deleted together with their author leave gaps.
    """
    return f"""
        LEFT JOIN LATERAL (
            SELECT * FROM messages
            WHERE messages.conversation_id = {conversation_id}
              AND messages.seq > {source}.after AND messages.seq < {source}.before
            ORDER BY messages.seq {"DESC" if is_from_end else "ASC"}
            LIMIT {source}.size
        ) AS page ON true
    """


def read(rows: Sequence[Record], asked: AskedPage, joins: Joins, prefetched: Prefetched) -> MessagePage:
    """Return the page in the rows, oldest first. Included objects are added to `prefetched`."""
    messages: Sequence[Message] = []
    if rows[0][f"{PREFIX}id"] is not None:
        joins.take(rows, prefetched)
        messages = list(map(_MESSAGE.reader(rows), rows))
    return asked.of(messages, rows[0]["first_of_all"], rows[0]["last_of_all"])


@cache
def _pages(is_from_end: bool, includes: MessageIncludes) -> tuple[Statement, Joins]:
    joins = Joins()
    joins.include_with_messages("page", includes, PREFIX)
    statement = Statement(
        text(f"""
        SELECT wanted.nth, {ends_of("wanted.conversation_id")}, {columns(joins)}
        FROM unnest(
            CAST(:ids AS uuid[]), CAST(:afters AS bigint[]), CAST(:befores AS bigint[]),
            CAST(:sizes AS bigint[])
        ) WITH ORDINALITY AS wanted (conversation_id, after, before, size, nth)
        {joined("wanted", is_from_end=is_from_end, conversation_id="wanted.conversation_id")}
        {joins.sql}
        ORDER BY wanted.nth, page.seq
        """)
    )
    return statement, joins


async def pages(
    connection: Connection,
    viewer: UUID,
    wanted: Sequence[tuple[UUID, AskedPage]],
    *,
    is_from_end: bool,
    includes: MessageIncludes = NO_MESSAGE_INCLUDES,
    prefetched: Prefetched,
) -> Sequence[MessagePage]:
    """Return a page of each conversation, in one statement.

    All requests have this `is_from_end`. Included objects are added to `prefetched`.
    """
    statement, joins = _pages(is_from_end, includes)
    rows = await statement.fetch(
        connection,
        **joins.parameters(viewer),
        ids=[conversation_id for conversation_id, _ in wanted],
        afters=[asked.after for _, asked in wanted],
        befores=[asked.before for _, asked in wanted],
        sizes=[asked.size for _, asked in wanted],
    )
    of_each: list[list[Record]] = [[] for _ in wanted]
    for row in rows:
        nth: int = row["nth"]
        of_each[nth - 1].append(row)
    return [read(own, asked, joins, prefetched) for own, (_, asked) in zip(of_each, wanted, strict=True)]
