"""graphql-sse's single connection mode: all operations of a client share one stream.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md#single-connection-mode

A client reserves a stream (PUT), opens it (GET), sends operations (POST) and stops them (DELETE). Any process
can take each of these requests, because reservations and their operations are rows in the database. The
process that serves the stream reads its operations from there when the broadcaster wakes it up.
"""

import asyncio
import secrets
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Send

from db import reservations
from db.engine import Connection, Database, DatabaseUnavailable
from db.ids import new_id
from db.records import User
from db.reservations import State
from db.users import UserGone
from execution.answers import Answer, encode_json, invalid
from execution.budgets import WORK_PER_STATEMENT, Budget
from resolvers import inbox
from resolvers.context import Context
from resolvers.errors import AccountGone
from server.auth.authentication import Authenticator, Identity, cookie_renewal
from server.config.settings import Settings
from server.endpoints.reserved_requests import (
    checked_operation_id,
    token_hash_of,
    token_of,
    wants_stream,
)
from server.graphql.execution import Execution
from server.graphql.request import GraphQLRequest, NothingToExecute, read_graphql_request
from server.graphql.sse import Sse
from server.http.accept import accept_of, best_match
from server.http.bodies import BodyLimits
from server.http.refusals import HttpRefusal, cannot_answer_now, unauthenticated
from server.http.responses import json_response
from server.limits.budgets import Budgets
from server.limits.rate_limits import address_of
from server.streams.accepted import AcceptedSubscription
from server.streams.open_streams import OpenStreams, end_with_ended_sessions
from server.streams.reserved import ReservedStream
from server.streams.response import ResponseStream

# Answers of this size are stored even in a full mailbox, so that the result of a mutation is not lost. The
# number of operations limits them.
_SMALL_ANSWER_BYTES = 64 * 1024

log = structlog.stdlib.get_logger(__name__)


class SingleConnections:
    """The requests of this mode that reach this process, and the streams that it serves."""

    def __init__(
        self,
        execution: Execution,
        authenticator: Authenticator,
        streams: OpenStreams,
        budgets: Budgets,
        settings: Settings,
    ) -> None:
        """Serve no streams yet; `keep` must run while streams are served."""
        self._execution = execution
        self._database = execution.database
        self._broadcaster = execution.broadcaster
        self._authenticator = authenticator
        self._streams = streams
        self._budgets = budgets
        self._body_limits = BodyLimits.of(settings)
        self._settings = settings
        # Its last answer may exceed it, so that it never has more than two answers of the maximum size.
        self._max_mailbox_bytes = settings.max_answer_bytes
        self._process_id = new_id()
        self._served: dict[UUID, ReservedStream] = {}

    def is_for(self, request: Request) -> bool:
        """Return whether the request belongs to this mode, by its method or because it has a token."""
        return request.method in {"PUT", "DELETE"} or token_of(request) is not None

    async def respond(self, request: Request, send: Send) -> Response | None:
        """Return the response, or None after a stream has been served.

        Raises:
            HttpRefusal: among others 404, the reservation does not exist, has ended or is another user's.
        """
        identity = await self._authenticator.of(request)
        address = address_of(request)
        caller = None
        if identity.user is not None:
            caller = _Caller(
                identity, identity.user, self._budgets.of(identity.user.id, address), self._database
            )
        if request.method == "PUT":
            if caller is None:
                raise unauthenticated(identity.refused or "Sign in to reserve a stream.")
            return await self._reserve(request, caller)
        reservation_id = None if caller is None else await self._find(request, caller)
        if caller is None or reservation_id is None:
            raise HttpRefusal(404, "NOT_FOUND", "The stream does not exist. Reserve one with PUT.")
        if request.method == "DELETE":
            return await self._stop(request, caller, reservation_id)
        if request.method not in {"GET", "POST"}:
            # Opening the stream uses up the reservation, which HEAD must not do.
            allowed = {"allow": "GET, POST, PUT, DELETE"}
            raise HttpRefusal(405, "BAD_USER_INPUT", "Use GET, POST, PUT or DELETE.", allowed)
        if wants_stream(request):
            response = ResponseStream(
                request.scope,
                send,
                stream_format=Sse(),
                write_timeout_seconds=self._settings.write_timeout_seconds,
                more_headers=cookie_renewal(request.scope),
            )
            stream = ReservedStream(
                self._execution,
                identity,
                reservation_id,
                response,
                budget=caller.budget,
                streams=self._streams,
                address=address,
            )
            return await self._serve(stream, caller, reservation_id)
        return await self._accept(request, caller, reservation_id)

    async def keep(self, every_seconds: float = 2) -> None:
        """Mark this process as alive, look for operations whose wake-up was lost, and sweep, until cancelled.

        A stream ends if another process has deleted its reservation, which happens after this process was
        suspended: operations would no longer reach it.
        """
        alive_since = last_round = time.monotonic()
        while True:
            served = list(self._served)
            now = time.monotonic()
            if now - last_round > reservations.ALIVE.total_seconds():
                alive_since = now
            try:
                async with self._database.transaction() as connection:
                    await reservations.note_alive(connection, self._process_id)
                    waiting = await reservations.with_mail(connection, served)
                    existing = set(await reservations.existing(connection, served))
                    if now - alive_since > reservations.GONE.total_seconds():
                        await reservations.sweep(connection)
                        alive_since = now
                missing = [each for each in served if each not in existing]
                if missing:
                    # A removed user's reservations are deleted too, and their clients must not reconnect.
                    await end_with_ended_sessions(self._streams, self._database)
            except DatabaseUnavailable as error:
                log.warning("reserved streams not maintained", error=str(error))
            else:
                last_round = now
                for reservation_id in waiting:
                    self._broadcaster.subscribers.wake(reservation_id)
                for reservation_id in missing:
                    if reservation_id in self._served:
                        self._served[reservation_id].end()
            await asyncio.sleep(every_seconds)

    async def _reserve(self, request: Request, caller: "_Caller") -> Response:
        if best_match(accept_of(request), ["text/plain"]) is None:
            raise HttpRefusal(
                406, "BAD_USER_INPUT", "A reservation is answered with its token. Send `Accept: text/plain`."
            )
        if token_of(request) is not None and await self._find(request, caller) is not None:
            raise HttpRefusal(
                409, "BAD_USER_INPUT", "The stream is already reserved. Send PUT without its token."
            )
        token = secrets.token_urlsafe(32)
        most = self._settings.max_reservations
        try:
            async with caller.transaction() as connection:
                made = await reservations.create(
                    connection, token_hash_of(token), caller.viewer.id, most=most
                )
        except UserGone as error:
            raise unauthenticated(str(AccountGone())) from error
        if made is None:
            message = f"You have {most} reserved or open streams. Close one, or try again in a minute."
            raise HttpRefusal(429, "RATE_LIMITED", message, {"retry-after": "60"})
        return PlainTextResponse(token, 201, {"cache-control": "no-store"})

    async def _find(self, request: Request, caller: "_Caller") -> UUID | None:
        token_hash = token_hash_of(token_of(request) or "")
        async with caller.connection() as connection:
            return await reservations.find(connection, token_hash, caller.viewer.id)

    async def _stop(self, request: Request, caller: "_Caller", reservation_id: UUID) -> Response:
        operation_id = checked_operation_id(request.query_params.get("operationId"))
        async with caller.connection() as connection:
            await reservations.stop_operation(connection, reservation_id, operation_id)
        self._broadcaster.wake(reservation_id)
        return Response(status_code=200)

    async def _accept(self, request: Request, caller: "_Caller", reservation_id: UUID) -> Response:
        """Hand a subscription to the process that serves the stream, and execute anything else here."""
        try:
            graphql_request = await read_graphql_request(
                request,
                self._execution.api,
                self._execution.trusted,
                self._body_limits,
                caller.budget,
            )
        except NothingToExecute as error:
            return json_response(invalid([error.error]), 400)
        if graphql_request.errors:
            return json_response(invalid(graphql_request.errors), 400)
        operation_id = checked_operation_id(graphql_request.operation_id)
        if graphql_request.is_subscription:
            start = await self._end_of_inbox(caller)
            accepted = AcceptedSubscription.of(graphql_request.operation, start)
            await self._add(caller, reservation_id, operation_id, State.NEW, accepted.encode())
        else:
            seq = await self._add(caller, reservation_id, operation_id, State.EXECUTING, None)
            await self._answer(graphql_request, caller, reservation_id, operation_id, seq)
        self._broadcaster.wake(reservation_id)
        return Response(status_code=202)

    async def _end_of_inbox(self, caller: "_Caller") -> str:
        """Return the cursor of the inbox's end, so that messages sent after the 202 are delivered."""
        async with Context(
            self._database,
            self._broadcaster,
            viewer=caller.viewer,
            count_statement=caller.charge_statement,
            cursor_form=self._execution.cursor_form,
        ) as context:
            return await inbox.inbox_cursor(context)

    async def _add(
        self,
        caller: "_Caller",
        reservation_id: UUID,
        operation_id: str,
        state: State,
        content: str | None,
    ) -> int:
        """Add the operation and return its `seq`."""
        most = self._settings.max_stream_operations
        try:
            async with caller.transaction() as connection:
                seq = await reservations.add_operation(
                    connection,
                    reservation_id,
                    operation_id,
                    state,
                    content,
                    most=most,
                    most_bytes=self._max_mailbox_bytes,
                )
        except reservations.ReservationGone as error:
            raise HttpRefusal(404, "NOT_FOUND", "The stream has ended. Reserve another one.") from error
        except reservations.TooManyOperations as error:
            message = f"The stream already has {most} operations. Stop one, or wait for one to complete."
            raise HttpRefusal(429, "RATE_LIMITED", message, {"retry-after": "1"}) from error
        except reservations.MailboxFull as error:
            waiting = self._max_mailbox_bytes
            message = f"Answers of more than {waiting} bytes wait on the stream. Read them first."
            raise HttpRefusal(429, "RATE_LIMITED", message, {"retry-after": "1"}) from error
        if seq is None:
            message = f"The stream already has an operation with the ID {operation_id!r}. Use another ID."
            raise HttpRefusal(409, "BAD_USER_INPUT", message)
        return seq

    async def _answer(
        self,
        graphql_request: GraphQLRequest,
        caller: "_Caller",
        reservation_id: UUID,
        operation_id: str,
        seq: int,
    ) -> None:
        try:
            answer = await self._execution.answer(graphql_request, caller.identity)
            await self._store_answer(caller, reservation_id, operation_id, seq, encode_json(answer))
        except BaseException:
            # The client sees the failure in the response to this request, and may use the ID again.
            async with caller.connection() as connection:
                await reservations.remove_operation(connection, reservation_id, operation_id, seq)
            raise

    async def _store_answer(
        self, caller: "_Caller", reservation_id: UUID, operation_id: str, seq: int, answer: bytes
    ) -> None:
        """Store an answer for the stream, or an error if the mailbox has no room for it."""
        if len(answer) <= _SMALL_ANSWER_BYTES:
            async with caller.connection() as connection:
                await reservations.answer_operation(
                    connection, reservation_id, operation_id, seq, answer.decode()
                )
            return
        most = self._max_mailbox_bytes
        async with caller.transaction() as connection:
            if not await reservations.has_room(connection, reservation_id, most_bytes=most):
                answer = encode_json(_discarded(most))
            await reservations.answer_operation(
                connection, reservation_id, operation_id, seq, answer.decode()
            )

    async def _serve(self, stream: ReservedStream, caller: "_Caller", reservation_id: UUID) -> None:
        if self._streams.closing:
            raise cannot_answer_now()
        stream.check_room()
        async with caller.transaction() as connection:
            await reservations.note_alive(connection, self._process_id)
            claimed = await reservations.claim(connection, reservation_id, self._process_id)
        if not claimed:
            raise HttpRefusal(409, "BAD_USER_INPUT", "The stream is already open. Reserve another one.")
        self._served[reservation_id] = stream
        try:
            await stream.serve()
        finally:
            del self._served[reservation_id]
            await self._release(reservation_id)

    async def _release(self, reservation_id: UUID) -> None:
        try:
            async with self._database.connection() as connection:
                await reservations.release(connection, reservation_id)
        except DatabaseUnavailable as error:
            log.warning("reservation not released", error=str(error))


@dataclass(frozen=True, slots=True)
class _Caller:
    """The user who sent a request, whose share of the connections and whose budget its statements use."""

    identity: Identity
    viewer: User
    budget: Budget
    database: Database

    def charge_statement(self) -> None:
        """Charge the budget with a statement."""
        self.budget.charge(WORK_PER_STATEMENT)

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a connection for a single statement, as `Database.connection` does."""
        self.charge_statement()
        return self.database.connection(requests_of=self.viewer.id)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Yield a transaction, as `Database.transaction` does."""
        self.charge_statement()
        return self.database.transaction(requests_of=self.viewer.id)


def _discarded(most_bytes: int) -> Answer:
    """Return what replaces an answer for which the mailbox has no room.

    It is not a RATE_LIMITED, because a client must not repeat a mutation that has been executed.
    """
    message = (
        "The operation was executed, but its answer was discarded, because answers of more than"
        f" {most_bytes} bytes wait on the stream. Read them before you send further operations."
    )
    return {"data": None, "errors": [{"message": message, "extensions": {"code": "TOO_COMPLEX"}}]}
