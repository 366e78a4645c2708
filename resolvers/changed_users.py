"""Notifying those who have become a user's acquaintances while the user was being changed or removed."""

from functools import partial

from db import acquaintances
from db.engine import Database
from db.entries import Appended
from realtime.broadcaster import Broadcaster
from realtime.hints import hints_of
from resolvers.transactions import in_transaction


async def notify_missed(database: Database, broadcaster: Broadcaster, appended: Appended) -> None:
    """Notify the acquaintances of a user who did not get `appended`, the entry of a committed change.

    Raises:
        DatabaseUnavailable: the database does not respond. They are not notified.
    """
    missed = await in_transaction(database, partial(acquaintances.notify_missed, appended=appended))
    if missed is not None:
        broadcaster.publish(hints_of(missed))
