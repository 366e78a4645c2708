"""graphql-sse's single connection mode: all operations of a client share one stream.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md#single-connection-mode

A client reserves a stream (PUT), opens it (GET), sends operations (POST) and stops them (DELETE), each at any
process: a reservation is a row in the database, and so is each of its operations, which the process that
serves the stream takes from there as from a mailbox. A wake-up on the broadcaster tells it to look.
"""

import asyncio
import secrets
import time
from hashlib import sha256
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Send

from db import reservations
from db.engine import DatabaseUnavailable
from db.ids import new_id
from db.records import User
from db.reservations import State
from db.users import UserGone
from execution.answers import encode_json, invalid
from resolvers import inbox
from resolvers.content import is_storable
from resolvers.context import Context
from resolvers.errors import AccountGone
from server.auth.identity import Identities, Identity, cookie_renewal
from server.config.settings import Settings
from server.graphql import sse
from server.graphql.execution import Execution
from server.graphql.request import GraphQLRequest, NothingToExecute, read_graphql_request
from server.graphql.sse import Sse
from server.http.accept import accept_of, best_match
from server.http.bodies import BodyLimits
from server.http.refusals import HttpRefusal, cannot_answer_now, unauthenticated
from server.http.responses import json_response
from server.limits.budgets import Budgets
from server.limits.rate_limits import address_of
from server.streams.open_streams import OpenStreams
from server.streams.reserved import ReservedStream, encode_subscription
from server.streams.response import ResponseStream

TOKEN_HEADER = "x-graphql-event-stream-token"
_MOST_OPERATION_ID_CHARS = 200

log = structlog.stdlib.get_logger(__name__)


class SingleConnections:
    """The reservations, streams and operations of this mode, as far as they reach this process."""

    def __init__(
        self,
        execution: Execution,
        identities: Identities,
        streams: OpenStreams,
        budgets: Budgets,
        settings: Settings,
        *,
        body_limits: BodyLimits,
    ) -> None:
        """Serve none yet; `keep` must run for as long as streams are served."""
        self._execution = execution
        self._database = execution.database
        self._broadcaster = execution.broadcaster
        self._identities = identities
        self._streams = streams
        self._budgets = budgets
        self._body_limits = body_limits
        self._settings = settings
        self._process_id = new_id()
        self._served: dict[UUID, ReservedStream] = {}

    def is_for(self, request: Request) -> bool:
        """Say whether the request is of this mode: by its method, or by the reservation's token."""
        return request.method in {"PUT", "DELETE"} or _token_of(request) is not None

    async def respond(self, request: Request, send: Send) -> Response | None:
        """Return the response, or None when a stream has been it.

        Raises:
            HttpRefusal: among others 404, the reservation does not exist, is spent, or somebody else's.
        """
        identity = await self._identities.of(request)
        viewer = identity.user
        if request.method == "PUT":
            if viewer is None:
                raise unauthenticated(identity.refused or "Sign in first: a stream is reserved for somebody.")
            return await self._reserve(request, viewer)
        reservation_id = None if viewer is None else await self._find(request, viewer)
        if viewer is None or reservation_id is None:
            raise HttpRefusal(404, "NOT_FOUND", "There is no such stream: reserve one by PUT.")
        if request.method == "DELETE":
            return await self._stop(request, reservation_id)
        if request.method not in {"GET", "POST"}:
            # Opening the stream spends the reservation, which HEAD must not do.
            allowed = {"allow": "GET, POST, PUT, DELETE"}
            raise HttpRefusal(405, "BAD_USER_INPUT", "This method is not answered.", allowed)
        if _wants_stream(request):
            response = ResponseStream(
                request.scope,
                send,
                stream_format=Sse(),
                write_timeout_seconds=self._settings.write_timeout_seconds,
                more_headers=cookie_renewal(request.scope),
            )
            budget = self._budgets.of(viewer.id, address_of(request))
            stream = ReservedStream(self._execution, identity, reservation_id, response, budget)
            return await self._serve(request, stream, reservation_id)
        return await self._accept(request, identity, viewer, reservation_id)

    async def keep(self, every_seconds: float = 2) -> None:
        """Say that this process is alive, look for mail that no wake-up told of, and sweep, without end.

        Streams end whose reservation another process has swept, as after a pause of this one: nothing more
        would reach them.
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
            except DatabaseUnavailable as error:
                log.warning("cannot look after reserved streams", error=str(error))
            else:
                last_round = now
                for reservation_id in waiting:
                    self._broadcaster.subscribers.wake(reservation_id)
                for reservation_id in served:
                    if reservation_id not in existing and reservation_id in self._served:
                        self._served[reservation_id].end()
            await asyncio.sleep(every_seconds)

    async def _reserve(self, request: Request, viewer: User) -> Response:
        if best_match(accept_of(request), ["text/plain"]) is None:
            raise HttpRefusal(406, "BAD_USER_INPUT", "A reservation's token is text/plain.")
        if _token_of(request) is not None and await self._find(request, viewer) is not None:
            raise HttpRefusal(409, "BAD_USER_INPUT", "This stream has been reserved already.")
        token = secrets.token_urlsafe(32)
        most = self._settings.max_reservations
        try:
            async with self._database.transaction() as connection:
                made = await reservations.create(connection, _hash(token), viewer.id, most=most)
        except UserGone as error:
            raise unauthenticated(str(AccountGone())) from error
        if made is None:
            message = f"You have {most} streams reserved or open: close one, or wait a minute."
            raise HttpRefusal(429, "RATE_LIMITED", message, {"retry-after": "60"})
        return PlainTextResponse(token, 201, {"cache-control": "no-store"})

    async def _find(self, request: Request, viewer: User) -> UUID | None:
        token_hash = _hash(_token_of(request) or "")
        async with self._database.connection() as connection:
            return await reservations.find(connection, token_hash, viewer.id)

    async def _stop(self, request: Request, reservation_id: UUID) -> Response:
        operation_id = _checked_operation_id(request.query_params.get("operationId"))
        async with self._database.connection() as connection:
            await reservations.stop_operation(connection, reservation_id, operation_id)
        self._broadcaster.wake(reservation_id)
        return Response(status_code=200)

    async def _accept(
        self, request: Request, identity: Identity, viewer: User, reservation_id: UUID
    ) -> Response:
        """Take an operation: begin a subscription where the stream is, answer anything else here."""
        try:
            asked = await read_graphql_request(
                request,
                self._execution.api,
                self._execution.trusted,
                self._body_limits,
                self._budgets.of(viewer.id, address_of(request)),
            )
        except NothingToExecute as refused:
            return json_response(invalid([refused.error]), 400)
        if asked.errors:
            return json_response(invalid(asked.errors), 400)
        operation_id = _checked_operation_id(asked.operation_id)
        if asked.is_subscription:
            content = encode_subscription(asked.operation, await self._place_of(viewer))
            await self._add(reservation_id, operation_id, State.NEW, content)
        else:
            await self._add(reservation_id, operation_id, State.EXECUTING, None)
            await self._answer(asked, identity, reservation_id, operation_id)
        self._broadcaster.wake(reservation_id)
        return Response(status_code=202)

    async def _place_of(self, viewer: User) -> str:
        """Return where the inbox ends now: what is sent after the 202 is delivered."""
        async with Context(self._database, self._broadcaster, viewer=viewer) as context:
            return await inbox.inbox_cursor(context)

    async def _add(self, reservation_id: UUID, operation_id: str, state: State, content: str | None) -> None:
        most = self._settings.max_stream_operations
        try:
            async with self._database.transaction() as connection:
                added = await reservations.add_operation(
                    connection, reservation_id, operation_id, state, content, most=most
                )
        except reservations.ReservationGone as error:
            raise HttpRefusal(404, "NOT_FOUND", "The stream has ended: reserve another.") from error
        except reservations.TooManyOperations as error:
            message = f"The stream has {most} operations already: stop one, or wait for one to end."
            raise HttpRefusal(429, "RATE_LIMITED", message, {"retry-after": "1"}) from error
        if not added:
            message = f"The stream has an operation {operation_id!r} already: choose another id."
            raise HttpRefusal(409, "BAD_USER_INPUT", message)

    async def _answer(
        self, asked: GraphQLRequest, identity: Identity, reservation_id: UUID, operation_id: str
    ) -> None:
        try:
            answer = await self._execution.answer(asked, identity)
            async with self._database.connection() as connection:
                await reservations.answer_operation(
                    connection, reservation_id, operation_id, encode_json(answer).decode()
                )
        except BaseException:
            # The client is told by the response to its request, and may use the id again.
            async with self._database.connection() as connection:
                await reservations.remove_operation(connection, reservation_id, operation_id)
            raise

    async def _serve(self, request: Request, stream: ReservedStream, reservation_id: UUID) -> None:
        if self._streams.closing:
            raise cannot_answer_now()
        stream.check_room(self._streams, address_of(request))
        async with self._database.transaction() as connection:
            await reservations.note_alive(connection, self._process_id)
            claimed = await reservations.claim(connection, reservation_id, self._process_id)
        if not claimed:
            raise HttpRefusal(409, "BAD_USER_INPUT", "The stream is open already.")
        self._served[reservation_id] = stream
        try:
            await stream.serve(self._streams, address_of(request))
        finally:
            del self._served[reservation_id]
            await self._release(reservation_id)

    async def _release(self, reservation_id: UUID) -> None:
        try:
            async with self._database.connection() as connection:
                await reservations.release(connection, reservation_id)
        except DatabaseUnavailable as error:
            log.warning("a reservation could not be released", error=str(error))


def _token_of(request: Request) -> str | None:
    given = request.headers.get(TOKEN_HEADER)
    # Hardly any request has a query.
    return given or (request.query_params.get("token") if request.scope["query_string"] else None)


def _wants_stream(request: Request) -> bool:
    media_type = best_match(
        accept_of(request),
        ["application/json", "application/graphql-response+json", sse.MEDIA_TYPE],
    )
    if media_type is None:
        raise HttpRefusal(406, "BAD_USER_INPUT", f"Ask for {sse.MEDIA_TYPE} or application/json.")
    return media_type == sse.MEDIA_TYPE


def _checked_operation_id(operation_id: str | None) -> str:
    if not operation_id:
        message = "The operation's id is missing: `extensions.operationId`, or `operationId` to stop it."
        raise HttpRefusal(400, "BAD_USER_INPUT", message)
    if len(operation_id) > _MOST_OPERATION_ID_CHARS or not is_storable(operation_id):
        message = f"An operation's id has at most {_MOST_OPERATION_ID_CHARS} characters, none of them NUL."
        raise HttpRefusal(400, "BAD_USER_INPUT", message)
    return operation_id


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
