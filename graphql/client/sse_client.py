"""Base class of the client that ariadne-codegen generates, with subscriptions over SSE that resume.

The generator copies this file into its package.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import httpx
from httpx_sse import aconnect_sse
from pydantic import BaseModel

from .base_model import UNSET


class GraphQLErrors(Exception):
    """The errors of an answer. Each has a message, and a code in its extensions."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(error["message"] for error in errors))
        self.errors = errors

    def has_code(self, code: str) -> bool:
        """Return whether an error has this code in its extensions."""
        return any(error.get("extensions", {}).get("code") == code for error in self.errors)


class SseClient:
    """Executes operations for the generated methods."""

    def __init__(self, http_client: httpx.AsyncClient, url: str = "/graphql") -> None:
        """Take ownership of an HTTP client that is configured with the base URL and the headers."""
        self.http_client = http_client
        self.url = url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http_client.aclose()

    async def execute(
        self, query: str, operation_name: str, variables: dict[str, Any], **kwargs: Any
    ) -> httpx.Response:
        """Execute a query or mutation."""
        return await self.http_client.post(self.url, json=_body(query, operation_name, variables), **kwargs)

    def get_data(self, response: httpx.Response) -> dict[str, Any]:
        """Return the data of an answer.

        Raises:
            GraphQLErrors: the answer has errors.
        """
        return _data(response.content)

    async def execute_ws(
        self,
        query: str,
        operation_name: str,
        variables: dict[str, Any],
        *,
        refetch: Callable[[], Awaitable[str]] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield each event of a subscription once, over SSE. (The generator requires this method's name.)

        Resumes from the last event when the connection is lost. Pass `after` from the start, so that no event
        is missed before the first one.

        `refetch` is called when the cursor has expired, or once if the server rejects it as invalid, as an
        older version does after a downgrade. Fetch again what you show, and return the `inboxCursor` that
        comes with it; the subscription continues from there.

        Raises:
            GraphQLErrors: the server ended the subscription with errors.
        """
        # A copy, because the cursor in it changes.
        variables = dict(variables)
        headers: dict[str, str] = {}
        refetched = False
        while True:
            body = _body(query, operation_name, variables)
            try:
                connection = aconnect_sse(
                    self.http_client, "POST", self.url, json=body, headers=headers, **kwargs
                )
                async with connection as source:
                    if source.response.is_client_error:
                        _data(await source.response.aread())
                    async for event in source.aiter_sse():
                        if event.event == "next":
                            data = _data(event.data)
                            headers["last-event-id"] = event.id
                            refetched = False
                            yield data
            except httpx.TransportError:
                pass
            except GraphQLErrors as errors:
                invalid = errors.has_code("CURSOR_INVALID") and not refetched
                if refetch is None or not (invalid or errors.has_code("CURSOR_EXPIRED")):
                    raise
                variables["after"] = await refetch()
                headers.pop("last-event-id", None)
                refetched = True
            await asyncio.sleep(random.uniform(0, 1))


def _body(query: str, operation_name: str, variables: dict[str, Any]) -> dict[str, Any]:
    return {
        "query": query,
        "operationName": operation_name,
        "variables": {name: _plain(value) for name, value in variables.items() if value is not UNSET},
    }


def _plain(value: object) -> object:
    # Omitted fields of an input stay omitted, because null has a different meaning.
    return (
        value.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if isinstance(value, BaseModel)
        else value
    )


def _data(answer: bytes | str) -> dict[str, Any]:
    parsed = json.loads(answer)
    if errors := parsed.get("errors"):
        raise GraphQLErrors(errors)
    return parsed["data"]
