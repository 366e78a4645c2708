"""The invariant: an acknowledged message is stored once, and every device sees it once, in order.

A message without acknowledgement is stored once or not at all, and seen accordingly. Nothing else is stored
or seen. The positions of an inbox are 1, 2, 3, ... without gaps.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from sqlalchemy import text

from db.engine import Database
from schema.node import NodeType
from tests.faults.accounts import Company, Talk
from tests.faults.devices import Device, Seen
from tests.faults.senders import Sender, Sent
from tests.support.tables import tables


class Breach(Enum):
    """The ways to violate the invariant."""

    LOST = "acknowledged and not stored"
    STORED_TWICE = "stored more than once"
    OUT_OF_TURN = "stored in another order than sent"
    HOLES = "positions with holes, or an inbox that is not what was said in its conversations"
    MISSED = "not seen by a device"
    REPEATED = "seen more than once by a device"
    DISORDER = "seen in another order than the inbox's"
    PHANTOM = "seen by a device and not in its inbox"
    WRONG_ERROR = "answered with an error that is not an outage"
    DIED = "a server has ended by itself"
    STUCK = "nothing is acknowledged any more"


@dataclass(frozen=True)
class Violation:
    """One violation, and where it happened."""

    breach: Breach
    where: str

    def __str__(self) -> str:
        return f"{self.breach.value}: {self.where}"


@dataclass(frozen=True)
class Stored:
    """A message in the database."""

    seen: Seen
    talk_id: UUID
    seq: int
    author_id: UUID


@dataclass(frozen=True)
class Truth:
    """What the database contains of a company's conversations: messages by seq, and inboxes by position."""

    messages: Sequence[Stored]
    inboxes: Mapping[UUID, Sequence[tuple[int, Stored]]]
    ends: Mapping[UUID, int]


_MESSAGES = text("""
    SELECT id, content, conversation_id, seq, author_id FROM messages
    WHERE conversation_id = ANY(:ids) ORDER BY conversation_id, seq
""")
_ENTRIES = text("""
    SELECT user_id, position, message_id FROM inbox_entries
    WHERE user_id = ANY(:ids) ORDER BY user_id, position
""")
_ENDS = text("SELECT user_id, last_position FROM inboxes WHERE user_id = ANY(:ids)")


async def read_truth(database: Database, company: Company) -> Truth:
    """Read everything in one snapshot."""
    people = [account.user_id for account in company.accounts]
    async with tables(database) as connection:
        rows = await connection.execute(_MESSAGES, {"ids": [talk.id for talk in company.talks]})
        messages = {
            row.id: Stored(
                Seen(NodeType.MESSAGE.encode(row.id), row.content),
                row.conversation_id,
                row.seq,
                row.author_id,
            )
            for row in rows
        }
        inboxes: dict[UUID, list[tuple[int, Stored]]] = {user_id: [] for user_id in people}
        for row in await connection.execute(_ENTRIES, {"ids": people}):
            inboxes[row.user_id].append((row.position, messages[row.message_id]))
        ends = {row.user_id: row.last_position for row in await connection.execute(_ENDS, {"ids": people})}
    return Truth(list(messages.values()), inboxes, ends)


def violations(
    truth: Truth, company: Company, senders: Sequence[Sender], seen: Mapping[Device, Sequence[Seen]]
) -> list[Violation]:
    """Return every violation in what the devices had seen before the truth was read."""
    return [
        *_of_storage(truth, [sent for sender in senders for sent in sender.sent]),
        *_of_inboxes(truth, company.talks),
        *(breach for device, received in seen.items() for breach in _of_device(truth, device, received)),
        *(Violation(Breach.WRONG_ERROR, error) for one in (*senders, *seen) for error in one.wrong_errors),
    ]


def _of_storage(truth: Truth, sent: Iterable[Sent]) -> Iterable[Violation]:
    stored: dict[str, list[Stored]] = {}
    for message in truth.messages:
        stored.setdefault(message.seen.content, []).append(message)
    before: dict[tuple[str, UUID], int] = {}
    for message in sent:
        found = stored.get(message.content, [])
        if len(found) > 1:
            yield Violation(Breach.STORED_TWICE, message.content)
        if message.acknowledged is None:
            continue
        if message.acknowledged not in {each.seen.id for each in found}:
            yield Violation(Breach.LOST, message.content)
            continue
        # A sender waits for each acknowledgement, so their messages are stored in the order of sending.
        place = (message.sender, message.talk.id)
        if found[0].seq <= before.get(place, 0):
            yield Violation(Breach.OUT_OF_TURN, message.content)
        before[place] = found[0].seq


def _of_inboxes(truth: Truth, talks: Sequence[Talk]) -> Iterable[Violation]:
    for user_id, entries in truth.inboxes.items():
        positions = [position for position, _ in entries]
        if positions != list(range(1, truth.ends[user_id] + 1)):
            yield Violation(Breach.HOLES, f"{user_id}: {positions} up to {truth.ends[user_id]}")
        for talk in talks:
            here = [stored for _, stored in entries if stored.talk_id == talk.id]
            everything = [stored for stored in truth.messages if stored.talk_id == talk.id]
            if here != (everything if user_id in talk.participants else []):
                yield Violation(Breach.HOLES, f"{user_id} in {talk.id}")


def _of_device(truth: Truth, device: Device, received: Sequence[Seen]) -> Iterable[Violation]:
    user_id = device.account.user_id
    expected = [
        stored.seen
        for _, stored in truth.inboxes[user_id]
        if device.include_mine or stored.author_id != user_id
    ]
    counts = Counter(received)
    for seen in expected:
        if seen not in counts:
            yield Violation(Breach.MISSED, seen.content)
    for seen, times in counts.items():
        if seen not in expected:
            yield Violation(Breach.PHANTOM, f"{seen.content}, {seen.id}")
        elif times > 1:
            yield Violation(Breach.REPEATED, f"{seen.content}, {times} times")
    # In the order of the first occurrence, so that each violation counts once.
    first_sight = [seen for seen in counts if seen in expected]
    if first_sight != [seen for seen in expected if seen in counts]:
        yield Violation(Breach.DISORDER, f"of {len(expected)} in {user_id}")
