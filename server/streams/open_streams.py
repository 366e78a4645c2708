"""The event streams that are open in this process, and what ends them."""

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
from server.auth.identity import Identity
from server.config.settings import Settings
from server.http.refusals import HttpRefusal, TooManyFromAddress
from server.observability.metrics import OPEN_STREAMS, STREAMS_ENDED
from server.streams.heartbeats import Heartbeats

_DRAIN_STEP_SECONDS = 0.05
_RETRY_STREAM_SECONDS = 10

log = structlog.stdlib.get_logger(__name__)


class EndReason(Enum):
    """Why a stream is over."""

    COMPLETE = "complete"
    CLIENT_GONE = "client gone"
    SLOW_READER = "slow reader"
    SESSION_ENDED = "session ended"
    SHUTDOWN = "shutdown"
    UNAVAILABLE = "database unavailable"


class OpenStream:
    """A stream while its task sends events, which others can ask to end."""

    __slots__ = ("_task", "counted", "end_reason", "expires_at", "session_id", "user_id")

    def __init__(
        self, identity: Identity, task: asyncio.Task[object], counted: Collection[UUID | str]
    ) -> None:
        """Stand for the stream of that identity's that the task serves, and that counts as theirs."""
        self.counted = counted
        self.session_id = identity.session.id if identity.session else None
        # Who has no session is watched by themselves, and by the end of what vouches for them.
        self.user_id = identity.user.id if identity.user and self.session_id is None else None
        self.expires_at = identity.expires_at
        self.end_reason: EndReason | None = None
        self._task = task

    def end(self, reason: EndReason) -> None:
        """Interrupt the task, which finds the reason here; the first one counts."""
        if self.end_reason is None:
            self.end_reason = reason
            self._task.cancel()

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """Run the block until it is done or the stream is asked to end, whichever comes first.

        Afterwards the stream has a reason to be over, and its task goes on uncancelled.
        """
        try:
            yield
            if self.end_reason is None:
                self.end_reason = EndReason.COMPLETE
        except asyncio.CancelledError:
            # With no reason of ours, somebody else cancels the task: the server's time is up.
            if self.end_reason is None:
                raise
            self._task.uncancel()


class OpenStreams:
    """All streams of this process."""

    def __init__(self, settings: Settings) -> None:
        """Have none yet, and only so many for each user and each address as the settings say."""
        self._streams: set[OpenStream] = set()
        self._settings = settings
        self._counts = Counter[UUID | str]()
        self.heartbeats = Heartbeats(settings.heartbeat_seconds)
        self.shared = SharedEvents()
        self.closing = False

    def open(self, identity: Identity, address: str | None) -> OpenStream:
        """Count the current task's stream among the open ones until `close`.

        Raises:
            HttpRefusal: 429, its user or its address has too many already.
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
        """Count it no more."""
        self._streams.discard(stream)
        self._counts.subtract(stream.counted)
        for each in stream.counted:
            if self._counts[each] <= 0:
                del self._counts[each]
        OPEN_STREAMS.dec()
        STREAMS_ENDED.labels((stream.end_reason or EndReason.CLIENT_GONE).value).inc()

    def check_room(self, identity: Identity, address: str | None) -> None:
        """Accept that a stream is opened for them.

        Raises:
            HttpRefusal: 429, the user or the address has too many already.
        """
        if not self._settings.rate_limits:
            return
        for each in _counted(identity, address):
            by_user = isinstance(each, UUID)
            most = self._settings.max_streams_per_user if by_user else self._settings.max_streams_per_address
            if self._counts[each] >= most:
                if not by_user:
                    raise TooManyFromAddress(
                        f"Your address has {most} streams open: close one.", _RETRY_STREAM_SECONDS
                    )
                raise HttpRefusal(
                    429,
                    "RATE_LIMITED",
                    f"You have {most} streams open: close one.",
                    {"retry-after": str(_RETRY_STREAM_SECONDS)},
                )

    def end_sessions(self, ids: Collection[UUID]) -> None:
        """End the streams of sessions that have ended."""
        for stream in list(self._streams):
            if stream.session_id in ids:
                stream.end(EndReason.SESSION_ENDED)

    async def drain(self, seconds: float) -> None:
        """Take no new streams and end the open ones, spread over that time.

        Their clients connect again, elsewhere, and do not all do so at once.
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
        """Return the sessions that have a stream."""
        return {stream.session_id for stream in self._streams if stream.session_id is not None}

    def end_users(self, ids: Collection[UUID]) -> None:
        """End the streams of those without a session who are no more."""
        for stream in list(self._streams):
            if stream.user_id in ids:
                stream.end(EndReason.SESSION_ENDED)

    def user_ids(self) -> set[UUID]:
        """Return the users who have a stream without a session."""
        return {stream.user_id for stream in self._streams if stream.user_id is not None}

    def end_expired(self) -> None:
        """End the streams of those for whom nobody vouches any more."""
        now = datetime.now(UTC)
        for stream in list(self._streams):
            if stream.user_id is not None and stream.expires_at is not None and stream.expires_at <= now:
                stream.end(EndReason.SESSION_ENDED)


def _counted(identity: Identity, address: str | None) -> tuple[UUID | str, ...]:
    user_id = identity.user.id if identity.user else None
    return tuple(each for each in (user_id, address) if each is not None)


async def end_with_their_sessions(streams: OpenStreams, database: Database, every_seconds: float) -> None:
    """End each stream within `every_seconds` of its session's, token's or user's end, wherever that was."""
    while True:
        await asyncio.sleep(every_seconds)
        streams.end_expired()
        watched, vouched_for = streams.session_ids(), streams.user_ids()
        if not watched and not vouched_for:
            continue
        try:
            ended = await sessions.ended_among(database, watched)
            removed = await sessions.removed_among(database, vouched_for)
        except DatabaseUnavailable as error:
            # Nobody is signed out by a database that does not answer; the next round asks again.
            log.warning("cannot tell which sessions have ended", error=str(error))
            continue
        streams.end_sessions(ended)
        streams.end_users(removed)
