"""The open event streams of this process, and what ends them."""

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from uuid import UUID

import structlog

from db.engine import Database, DatabaseUnavailable
from realtime.sharing import SharedEvents
from resolvers import sessions
from resolvers.errors import RateLimited
from server.auth.authentication import Identity
from server.config.settings import Settings
from server.http.refusals import TooManyFromAddress, rate_limited
from server.observability.metrics import OPEN_STREAMS, STREAMS_ENDED
from server.streams.heartbeats import Heartbeats

_DRAIN_STEP_SECONDS = 0.05
_RETRY_STREAM_SECONDS = 10

log = structlog.stdlib.get_logger(__name__)


class _AddressLimited(RateLimited):
    """The address has too many open streams."""


class EndReason(Enum):
    """Why a stream has ended."""

    COMPLETE = "complete"
    CLIENT_GONE = "client gone"
    SLOW_READER = "slow reader"
    SESSION_ENDED = "session ended"
    SHUTDOWN = "shutdown"
    UNAVAILABLE = "database unavailable"


class OpenStream:
    """A stream whose task sends events until it is asked to end."""

    __slots__ = ("_task", "counted", "end_reason", "expires_at", "session_id", "user_id")

    def __init__(
        self, identity: Identity, task: asyncio.Task[object], counted: Collection[UUID | str]
    ) -> None:
        """The stream is served by this task for this identity, and counts towards the limits of `counted`."""
        self.counted = counted
        self.session_id = identity.session.id if identity.session else None
        # Without a session, the stream ends when the user is removed or the token expires.
        self.user_id = identity.user.id if identity.user and self.session_id is None else None
        self.expires_at = identity.expires_at
        self.end_reason: EndReason | None = None
        self._task = task

    def end(self, reason: EndReason) -> None:
        """Interrupt the task. Of several reasons, the first one counts."""
        if self.end_reason is None:
            self.end_reason = reason
            self._task.cancel()

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """Run the block until it is done or the stream is asked to end, whichever comes first.

        Afterwards the stream has an `end_reason`, and its task continues uncancelled.
        """
        try:
            yield
            if self.end_reason is None:
                self.end_reason = EndReason.COMPLETE
        except asyncio.CancelledError:
            # Without a reason, the task was cancelled from outside: the server is shutting down.
            if self.end_reason is None:
                raise
            self._task.uncancel()


class OpenStreams:
    """The open streams of this process."""

    def __init__(self, settings: Settings) -> None:
        """Begin without any; the settings limit them for each user and each address."""
        self._streams: set[OpenStream] = set()
        self._settings = settings
        self._counts = Counter[UUID | str]()
        self.heartbeats = Heartbeats(settings.heartbeat_seconds)
        self.shared = SharedEvents()
        self.closing = False

    def open(self, identity: Identity, address: str | None) -> OpenStream:
        """Count the current task's stream among the open ones until `close`.

        Raises:
            HttpRefusal: 429, the user or the address has too many open streams.
        """
        self.check_room(identity, address)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is opened by a task")
        stream = OpenStream(identity, task, _counted(identity, address))
        self._streams.add(stream)
        self._counts.update(stream.counted)
        OPEN_STREAMS.inc()
        return stream

    def close(self, stream: OpenStream) -> None:
        """Stop counting it."""
        self._streams.discard(stream)
        self._discount(stream.counted)
        OPEN_STREAMS.dec()
        STREAMS_ENDED.labels((stream.end_reason or EndReason.CLIENT_GONE).value).inc()

    @contextmanager
    def counting_subscription(self, stream: OpenStream) -> Generator[None]:
        """Count a subscription on a reserved stream as another open stream while the block runs.

        It takes the server as much as the stream of a subscription in distinct connections mode.

        Raises:
            RateLimited: the user or the address has too many open streams.
        """
        self._check(stream.counted)
        self._counts.update(stream.counted)
        try:
            yield
        finally:
            self._discount(stream.counted)

    def check_room(self, identity: Identity, address: str | None) -> None:
        """Check that the user and the address may open another stream.

        Raises:
            HttpRefusal: 429, the user or the address has too many open streams.
        """
        try:
            self._check(_counted(identity, address))
        except _AddressLimited as error:
            raise TooManyFromAddress(str(error), error.retry_after_seconds) from error
        except RateLimited as error:
            raise rate_limited(error) from error

    def _check(self, counted: Collection[UUID | str]) -> None:
        if not self._settings.rate_limits:
            return
        for each in counted:
            by_user = isinstance(each, UUID)
            most = self._settings.max_streams_per_user if by_user else self._settings.max_streams_per_address
            if self._counts[each] >= most:
                message = (
                    f"{'You have' if by_user else 'Your address has'} {most} open streams, including"
                    " subscriptions in single connection mode. Close one first."
                )
                raise (RateLimited if by_user else _AddressLimited)(message, _RETRY_STREAM_SECONDS)

    def _discount(self, counted: Collection[UUID | str]) -> None:
        self._counts.subtract(counted)
        for each in counted:
            if self._counts[each] <= 0:
                del self._counts[each]

    def end_sessions(self, ids: Collection[UUID]) -> None:
        """End the streams of sessions that have ended."""
        for stream in list(self._streams):
            if stream.session_id in ids:
                stream.end(EndReason.SESSION_ENDED)

    async def drain(self, seconds: float) -> None:
        """Accept no new streams, and end the open ones, spread over that time.

        So their clients do not all reconnect at once to the other processes.
        """
        self.closing = True
        streams = list(self._streams)
        steps = max(1, round(seconds / _DRAIN_STEP_SECONDS))
        each = math.ceil(len(streams) / steps) or 1
        for start in range(0, len(streams), each):
            if start:
                await asyncio.sleep(_DRAIN_STEP_SECONDS)
            for stream in streams[start : start + each]:
                stream.end(EndReason.SHUTDOWN)

    def session_ids(self) -> set[UUID]:
        """Return the IDs of the sessions that have a stream."""
        return {stream.session_id for stream in self._streams if stream.session_id is not None}

    def end_users(self, ids: Collection[UUID]) -> None:
        """End the streams without a session of users that have been removed."""
        for stream in list(self._streams):
            if stream.user_id in ids:
                stream.end(EndReason.SESSION_ENDED)

    def user_ids(self) -> set[UUID]:
        """Return the IDs of the users that have a stream without a session."""
        return {stream.user_id for stream in self._streams if stream.user_id is not None}

    def end_expired(self) -> None:
        """End the streams without a session whose token has expired."""
        now = datetime.now(UTC)
        for stream in list(self._streams):
            if stream.user_id is not None and stream.expires_at is not None and stream.expires_at <= now:
                stream.end(EndReason.SESSION_ENDED)


def _counted(identity: Identity, address: str | None) -> tuple[UUID | str, ...]:
    user_id = identity.user.id if identity.user else None
    return tuple(each for each in (user_id, address) if each is not None)


async def end_with_their_sessions(streams: OpenStreams, database: Database, every_seconds: float) -> None:
    """End each stream within `every_seconds` of the end of its session, token or user on any process."""
    while True:
        await asyncio.sleep(every_seconds)
        streams.end_expired()
        try:
            await end_with_ended_sessions(streams, database)
        except DatabaseUnavailable as error:
            # An outage of the database must not sign users out. The next round tries again.
            log.warning("ended sessions could not be read", error=str(error))


async def end_with_ended_sessions(streams: OpenStreams, database: Database) -> None:
    """End the streams whose session has ended, or whose user has been removed, on any process.

    Raises:
        DatabaseUnavailable: none has been ended.
    """
    watched, vouched_for = streams.session_ids(), streams.user_ids()
    if not watched and not vouched_for:
        return
    ended = await sessions.ended_among(database, watched)
    removed = await sessions.removed_among(database, vouched_for)
    streams.end_sessions(ended)
    streams.end_users(removed)
