"""Subscriptions of single connection mode, from the process that accepts one to the one that serves it."""

import json
from dataclasses import dataclass
from typing import Any

from execution.api import Api, Operation
from execution.budgets import Budget


@dataclass(frozen=True, slots=True)
class AcceptedSubscription:
    """A subscription that has been answered with 202, in the mailbox of its stream."""

    query: str
    name: str | None
    variables: dict[str, Any]
    request_id: str
    start: str
    """The cursor at which it begins, unless its variables say where."""

    @classmethod
    def of(cls, operation: Operation, start: str) -> "AcceptedSubscription":
        return cls(operation.query, operation.name, dict(operation.variables), operation.request_id, start)

    def encode(self) -> str:
        """Return it as JSON.

        While the server is upgraded, processes of both versions read it: a change of this format must be one
        that the version before reads.
        """
        return json.dumps([self.query, self.name, self.variables, self.request_id, self.start])

    @classmethod
    def decode(cls, content: bytes) -> "AcceptedSubscription":
        """Parse what `encode` has returned, in this process or another one."""
        query, name, variables, request_id, start = json.loads(content)
        return cls(query, name, variables, request_id, start)

    async def operation(self, api: Api, budget: Budget) -> Operation:
        """Return its operation.

        Raises:
            RateLimited: its document is not cached, and the budget is exhausted.
        """
        return await api.operation(self.query, self.name, self.variables, self.request_id, budget)
