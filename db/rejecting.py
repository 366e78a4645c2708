"""Raising one error for several callers."""

import asyncio
from copy import copy
from typing import Any


def reject(caller: asyncio.Future[Any], error: Exception) -> None:
    """Raise the error for a caller that still waits.

    Each caller gets a copy, because an exception that is raised several times adds to one traceback.
    """
    if not caller.done():
        own = copy(error)
        own.__cause__ = error
        caller.set_exception(own)
